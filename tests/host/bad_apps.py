"""Function apps that the real Python worker does not load, and what the local host says of each."""

from pathlib import Path

_HEAD = """
import azure.functions as func
app = func.FunctionApp()
"""
_EVENT_HUB = """
@app.event_hub_message_trigger(arg_name="events", event_hub_name="many", connection="Events", cardinality="many")
"""
_TIMER = """
@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
"""

BAD_APPS: dict[str, tuple[str, str]] = {
    "builtin_list": (
        _HEAD + _EVENT_HUB + "def many(events: list[func.EventHubEvent]) -> None: ...",
        r"many function: events has the non-type annotation .*typing\.List",
    ),
    "second_name_for_the_app": (_HEAD + "again = app" + _TIMER + "def tick(timer): ...", "more than one name"),
    "second_app": (_HEAD + "other = func.FunctionApp()" + _TIMER + "def tick(timer): ...", "more than one name"),
    "no_app": ("import azure.functions", "no function app at its top level"),
    "duplicate_name": (
        _HEAD + _TIMER + "def tick(timer): ...\n" + _TIMER + "def tick(timer): ...",
        "does not have a unique function name",
    ),
    "undeclared_parameter": (
        _HEAD + _TIMER + "def tick(timer, extra): ...",
        "tick function: parameters that no decorator declares: extra",
    ),
    "missing_parameter": (_HEAD + _TIMER + "def tick(): ...", "declares the parameter timer, which the function lacks"),
    "typing_only_annotation": (
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import decimal\n"
        + _HEAD
        + _TIMER
        + "def tick(timer: func.TimerRequest) -> decimal.Decimal: ...",
        "annotation cannot be resolved at run time: name 'decimal'",
    ),
    "union_return": (
        _HEAD + '@app.route(route="x")\ndef x(req: func.HttpRequest) -> func.HttpResponse | None: ...',
        "non-type return annotation",
    ),
    "wrong_annotation": (
        _HEAD + _TIMER + "def tick(timer: func.EventHubEvent) -> None: ...",
        "does not go with timerTrigger",
    ),
    "wrong_context": (
        _HEAD + _TIMER + "def tick(timer: func.TimerRequest, context: int) -> None: ...",
        "context must be an azure.functions.Context",
    ),
    "import_error": ("import no_such_module", "cannot be imported: ModuleNotFoundError"),
}


def write_bad_app(folder: Path, name: str) -> Path:
    """The app's folder."""
    app_root = folder / name
    app_root.mkdir()
    (app_root / "function_app.py").write_text(BAD_APPS[name][0], "utf-8")
    (app_root / "host.json").write_text('{"version": "2.0"}', "utf-8")
    return app_root
