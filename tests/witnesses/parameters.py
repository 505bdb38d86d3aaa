"""Every behaviour as a test of its own, with its reference as that of the conformance suite's tests."""

import pytest

from tests.conformance.documented import documented
from tests.witnesses.listing import behaviours


def each_behaviour(service: str) -> pytest.MarkDecorator:
    """Runs a test for each behaviour of a service."""
    return pytest.mark.parametrize(
        "behaviour",
        [
            pytest.param(one, id=f"{one.feature}: {one.name}", marks=documented(one.reference))
            for one in behaviours(service)
        ],
    )
