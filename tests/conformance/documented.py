"""Where the service's documentation says what a test holds the local cloud to."""

from typing import Final

import pytest

_LEARN: Final = "https://learn.microsoft.com/"


def documented(page: str) -> pytest.MarkDecorator:
    """The reference of a behaviour: a page of Microsoft Learn with its section, or the whole address of another source.

    The test's name and docstring say the behaviour.
    """
    return pytest.mark.documented(page if "://" in page else _LEARN + page)
