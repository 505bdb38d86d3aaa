"""`python -m tests.conformance`: every documented behaviour that is tested, with its reference, as Markdown.

`python -m tests.conformance > docs/conformance.md` after a change; a test holds the page against the suite.
"""

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.witnesses.listing import Behaviour as Witnessed

ROOT: Final = Path(__file__).parents[2]
_LEARN: Final = "https://learn.microsoft.com/"
_SUITES: Final = {
    "conformance/servicebus": ("Service Bus", "azure-servicebus"),
    "witnesses/service-bus": ("Service Bus", "@azure/service-bus"),
    "conformance/eventhubs": ("Event Hubs", "azure-eventhub"),
    "witnesses/event-hubs": ("Event Hubs", "@azure/event-hubs"),
    "conformance/iothub": ("IoT Hub", "azure-iot-device, REST"),
    "witnesses/iot-hub": ("IoT Hub", "azure-iot-device-mqtt"),
    "conformance/host": ("Functions host", "azure-functions"),
}
_INTRODUCTION: Final = """# What the local cloud is held to

Every documented behaviour that the tests look at, through unmodified SDKs. Written by `python -m tests.conformance`;
[localcloud.md](localcloud.md) says what is missing. *sync, aio*: the behaviour is tested through both halves of the
SDK for Python.
"""


@dataclass(frozen=True, order=True)
class Behaviour:
    suite: str
    name: str
    page: str
    flavours: tuple[str, ...]


class _Collector:
    """Takes the tests that pytest has found."""

    def __init__(self) -> None:
        self.items: Sequence[pytest.Item] = ()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = session.items


def behaviours() -> list[Behaviour]:
    """One for each, however often it runs; nothing is run here. Raises RuntimeError if tests cannot be collected."""
    collector = _Collector()
    folders = [str(ROOT / "tests" / name) for name in ("conformance", "witnesses")]
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        code = pytest.main(
            ["--collect-only", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), *folders], [collector]
        )
    if code != pytest.ExitCode.OK:
        raise RuntimeError(told.getvalue())
    found: dict[tuple[str, str, str], set[str]] = {}
    for item in collector.items:
        suite, name, flavour = _described(item)
        marker = item.get_closest_marker("documented")
        assert marker is not None, item.nodeid
        found.setdefault((suite, name, marker.args[0]), set()).add(flavour)
    return sorted(Behaviour(*key, tuple(sorted(flavours - {""}))) for key, flavours in found.items())


def _described(item: pytest.Item) -> tuple[str, str, str]:
    """The suite, the behaviour in words, and the half of the SDK."""
    assert isinstance(item, pytest.Function)
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    witnessed = parameters.get("behaviour")
    if isinstance(witnessed, Witnessed):
        return f"witnesses/{witnessed.file.parent.name}", witnessed.name, ""
    words = item.function.__name__.removeprefix("test_").replace("_", " ")
    suite = "/".join(item.path.relative_to(ROOT / "tests").parts[:2])
    return suite, words[0].upper() + words[1:], str(parameters.get("flavour", ""))


def page(found: Sequence[Behaviour]) -> str:
    """The behaviours as a page, by service."""
    lines = [_INTRODUCTION]
    services = dict.fromkeys(service for service, _ in _SUITES.values())
    lines += ["| service | behaviours |", "| --- | --- |"]
    lines += [f"| {service} | {sum(_SUITES[one.suite][0] == service for one in found)} |" for service in services]
    for suite, (service, sdk) in _SUITES.items():
        ours = [one for one in found if one.suite == suite]
        flavours = sorted({flavour for one in ours for flavour in one.flavours}, reverse=True)
        halves = f" ({', '.join(flavours)})" if flavours else ""
        lines += ["", f"## {service} through {sdk}{halves}", ""]
        lines += ["| behaviour | documentation |", "| --- | --- |"]
        for one in ours:
            only = f" *({', '.join(one.flavours)})*" if one.flavours and len(one.flavours) < len(flavours) else ""
            name = one.name.replace("|", "\\|")
            lines.append(f"| {name}{only} | [{_title(one.page)}]({one.page}) |")
    return "\n".join(lines) + "\n"


def _title(address: str) -> str:
    return address.removeprefix(_LEARN).removeprefix("https://").removeprefix("azure/").replace("#", " › ")


if __name__ == "__main__":
    sys.stdout.write(page(behaviours()))
