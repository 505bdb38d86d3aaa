"""Function apps that the real Python worker does not load."""

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

_QUEUE = """
@app.queue_trigger(arg_name="message", queue_name="q", connection="C")
"""
_ROUTE = """
@app.route(route="x")
"""

BAD_APPS: dict[str, str] = {
    "builtin_list": _HEAD + _EVENT_HUB + "def many(events: list[func.EventHubEvent]) -> None: ...",
    "optional_event": _HEAD + _EVENT_HUB + "def many(events: func.EventHubEvent | None) -> None: ...",
    "typing_optional": _HEAD
    + "import typing\n"
    + _EVENT_HUB
    + "def many(events: typing.Optional[func.EventHubEvent]) -> None: ...",
    "list_of_others": _HEAD + "import typing\n" + _TIMER + "def tick(timer: typing.List[int]) -> None: ...",
    "second_name_for_the_app": _HEAD + "again = app" + _TIMER + "def tick(timer): ...",
    "second_app": _HEAD + "other = func.FunctionApp()" + _TIMER + "def tick(timer): ...",
    "no_app": "import azure.functions",
    "duplicate_name": _HEAD + _TIMER + "def tick(timer): ...\n" + _TIMER + "def tick(timer): ...",
    "duplicate_name_by_decorator": _HEAD
    + '@app.function_name("tick")'
    + _TIMER
    + "def tock(timer): ...\n"
    + _TIMER
    + "def tick(timer): ...",
    "undeclared_parameter": _HEAD + _TIMER + "def tick(timer, extra): ...",
    "missing_parameter": _HEAD + _TIMER + "def tick(): ...",
    "misspelt_parameter": _HEAD + _TIMER + "def tick(time): ...",
    "output_without_parameter": _HEAD
    + '@app.queue_output(arg_name="out", queue_name="q", connection="C")'
    + _TIMER
    + "def tick(timer): ...",
    "no_trigger": _HEAD
    + '@app.queue_output(arg_name="out", queue_name="q", connection="C")\n'
    + "def tick(out: func.Out[str]): ...",
    "two_triggers": _HEAD + _TIMER + _QUEUE + "def tick(timer, message): ...",
    "typing_only_annotation": (
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import decimal\n"
        + _HEAD
        + _TIMER
        + "def tick(timer: func.TimerRequest) -> decimal.Decimal: ..."
    ),
    "union_return": _HEAD + _ROUTE + "def x(req: func.HttpRequest) -> func.HttpResponse | None: ...",
    "out_return": _HEAD + _ROUTE + "def x(req: func.HttpRequest) -> func.Out[str]: ...",
    "wrong_return": _HEAD + _ROUTE + "def x(req: func.HttpRequest) -> func.TimerRequest: ...",
    "wrong_annotation": _HEAD + _TIMER + "def tick(timer: func.EventHubEvent) -> None: ...",
    "wrong_annotation_with_a_data_type": _HEAD
    + _QUEUE.replace('"C"', '"C", data_type=func.DataType.UNDEFINED')
    + "def take(message: func.EventHubEvent) -> None: ...",
    "wrong_message_annotation": _HEAD + _QUEUE + "def take(message: func.ServiceBusMessage) -> None: ...",
    "no_type_at_all": _HEAD + _QUEUE + "def take(message: 'func.Nothing') -> None: ...",
    "output_annotated_as_input": _HEAD
    + '@app.queue_output(arg_name="out", queue_name="q", connection="C")'
    + _TIMER
    + "def tick(timer, out: str): ...",
    "input_annotated_as_output": _HEAD + _TIMER + "def tick(timer: func.Out[str]) -> None: ...",
    "return_binding_of_the_wrong_direction": _HEAD
    + '@app.generic_input_binding(arg_name="$return", type="http")'
    + _TIMER
    + "def tick(timer): ...",
    "wrong_context": _HEAD + _TIMER + "def tick(timer: func.TimerRequest, context: int) -> None: ...",
    "unknown_decorator": _HEAD + "@app.warmup_trigger()\ndef warm(context): ...",
    "retry_count_is_no_number": _HEAD
    + '@app.retry(strategy="fixed_delay", max_retry_count="x", delay_interval="00:00:01")'
    + _TIMER
    + "def tick(timer): ...",
    "retry_delay_is_no_time": _HEAD
    + '@app.retry(strategy="fixed_delay", max_retry_count="1", delay_interval="1s")'
    + _TIMER
    + "def tick(timer): ...",
    "import_error": "import no_such_module",
    "import_error_of_a_name": "from azure.functions import NoSuchName",
    "syntax_error": "def tick(:",
    "error_at_import": "raise ValueError('no settings')",
}


def write_bad_app(folder: Path, name: str) -> Path:
    """The app's folder."""
    app_root = folder / name
    app_root.mkdir()
    (app_root / "function_app.py").write_text(BAD_APPS[name], "utf-8")
    (app_root / "host.json").write_text('{"version": "2.0"}', "utf-8")
    return app_root
