"""The function app: imports function_app.py and indexes it as strictly as the real Python worker.

Rules are those of azure-functions-runtime (`loader.py`, `functions.py`): what one function does wrong keeps the
whole app from loading, there and here.
"""

import importlib.util
import inspect
import json
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.functions import Function, FunctionRegister

from localcloud.errors import Misconfigured
from localcloud.host.indexing import inspected
from localcloud.host.retries import RetryPolicy, parse_retry_policy

SCRIPT = "function_app.py"
EVENT_HUB, SERVICE_BUS, TIMER, HTTP = "eventHubTrigger", "serviceBusTrigger", "timerTrigger", "httpTrigger"
STORAGE_QUEUE, BLOB = "queueTrigger", "blobTrigger"
_TRIGGERS = (EVENT_HUB, SERVICE_BUS, STORAGE_QUEUE, BLOB, TIMER, HTTP)
_RESERVED_ROUTES = ("admin", "runtime")
_OWN_ROOT = Path(__file__).resolve().parents[2]
_SCRIPT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*\.py")
_FUNCTION_NAME = re.compile(r"(?!host$)[a-z][a-z0-9_-]{0,127}", re.IGNORECASE)
_MISSING_MODULE = (
    "Cannot find module. Please check the requirements.txt file for the missing module. For more info, please refer "
    "the troubleshooting guide: https://aka.ms/functions-modulenotfound. Current sys.path: "
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger binding as the host sees it: the JSON that the worker sends of it."""

    type: str
    parameter: str
    properties: Mapping[str, Any]

    @property
    def is_batch(self) -> bool:
        """Whether the function takes many events at once; the decorators' default is one."""
        return str(self.properties.get("cardinality", "ONE")).upper() == "MANY"

    @property
    def is_binary(self) -> bool:
        return str(self.properties.get("dataType", "")).upper() == "BINARY"


@dataclass(frozen=True, slots=True)
class IndexedFunction:
    """One function that can be invoked."""

    name: str
    call: Callable[..., Any]
    directory: Path
    trigger: Trigger
    converter: Any  # azure-functions' class that decodes the trigger; it has no public type
    return_converter: Any | None
    takes_context: bool
    retry_policy: RetryPolicy | None
    bindings: Sequence[Mapping[str, Any]] = field(repr=False)

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.call)


def load_app(app_root: Path, script_name: str = SCRIPT) -> list[IndexedFunction]:
    """The functions of the app in `app_root`.

    Raises `Misconfigured` in the real worker's words if that would not load it, or in the host's for what this host
    lacks.
    """
    if not _SCRIPT_NAME.fullmatch(script_name):
        raise Misconfigured(f"InvalidFileNameError: ('Invalid file name: %s', {script_name!r})")
    script = app_root / script_name
    if not script.is_file():
        raise Misconfigured(f"there is no {script_name} in {app_root}")
    try:
        module = _imported(app_root, script)
        functions = _app_of(module, script_name).get_functions()  # once only: a second call finds duplicates
        return [_indexed(function) for function in functions]
    except Misconfigured:
        raise
    except Exception as error:  # whatever the app raises when it is imported
        raise Misconfigured(f"{type(error).__name__}: {error}") from error


def _app_of(module: types.ModuleType, script_name: str) -> FunctionRegister:
    # As in the worker, each top-level name counts: an alias of the one app is a second one.
    apps = [value for value in vars(module).values() if isinstance(value, FunctionRegister)]
    if not apps:
        raise ValueError(f"Could not find top level function app instances in {script_name}.")
    if len(apps) > 1:
        name = type(apps[0]).__name__
        raise ValueError(f"More than one {name} or other top level function app instances are defined.")
    return apps[0]


def _imported(app_root: Path, script: Path) -> types.ModuleType:
    sys.path[:] = import_path(sys.path, app_root)
    # By path and not by name: the working directory may hold another app.
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise type(error)(f"{error.msg.rstrip('.')}. {_MISSING_MODULE}{' '.join(sys.path)}") from error
    return module


def import_path(entries: Sequence[str], app_root: Path) -> list[str]:
    """The import path for an app.

    The worker has the app root last, so that installed packages win over folders of the same name. Behind it comes
    only what the worker does not know: this host's own root, whose packages must not hide the app's.
    """
    own = {app_root, _OWN_ROOT, Path.cwd()}
    others = [entry for entry in entries if Path(entry).resolve() not in own]
    return [*others, str(app_root), *({str(_OWN_ROOT)} - {str(app_root)})]


def _indexed(function: Function) -> IndexedFunction:
    name, call = str(function.get_function_name()), function.get_user_function()
    signature = inspected(function)
    retry_settings = function.get_settings_dict("retry_policy")
    retry_policy = parse_retry_policy(retry_settings) if retry_settings else None
    bindings = [json.loads(raw) for raw in function.get_raw_bindings()]
    try:
        trigger = _trigger(name, bindings)
    except Misconfigured as error:
        raise Misconfigured(f"The '{name}' function is in error: {error}") from error
    return IndexedFunction(
        name=name,
        call=call,
        directory=Path(inspect.getfile(call)).parent,
        trigger=trigger,
        converter=signature.converters[trigger.parameter],
        return_converter=signature.return_converter,
        takes_context=signature.takes_context,
        retry_policy=retry_policy,
        bindings=bindings,
    )


def _trigger(name: str, bindings: list[dict[str, Any]]) -> Trigger:
    """The trigger; the only other binding that this host knows is an HTTP output `$return`."""
    if not _FUNCTION_NAME.fullmatch(name):
        raise Misconfigured(f"'{name}' is not a valid function name.")
    trigger = next(binding for binding in bindings if binding["type"].lower().endswith("trigger"))
    if trigger["type"] not in _TRIGGERS:
        raise Misconfigured(f"the local host fires the triggers {', '.join(_TRIGGERS)}; this one has {trigger['type']}")
    for binding in bindings:
        if binding is not trigger and (binding["name"], binding["type"]) != ("$return", "http"):
            raise Misconfigured(f"the local host does not know the binding {binding['name']} of type {binding['type']}")
    if trigger["type"] == HTTP and str(trigger["route"]).strip("/").lower().startswith(_RESERVED_ROUTES):
        raise Misconfigured("The specified route conflicts with one or more built in routes.")
    return Trigger(trigger["type"], trigger["name"], trigger)
