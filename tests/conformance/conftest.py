"""Every test of the conformance suite names the documentation that it holds the local cloud to."""

import inspect

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = __package__ or ""
    for item in items:
        if not isinstance(item, pytest.Function) or not item.module.__name__.startswith(here):
            continue
        if item.get_closest_marker("documented") is None or not inspect.getdoc(item.function):
            raise pytest.UsageError(f"{item.nodeid} needs @documented(…) and a docstring that says the behaviour")
