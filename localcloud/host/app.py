"""The function app: imports function_app.py and indexes it as strictly as the real Python worker.

Rules are those of azure-functions-runtime (`loader.py`, `functions.py`): what one function does wrong keeps the
whole app from loading, there and here.
"""

import importlib.util
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.functions import Function, FunctionRegister, meta

from localcloud.errors import Misconfigured
from localcloud.host.retries import RetryPolicy, parse_retry_policy

SCRIPT = "function_app.py"
EVENT_HUB, SERVICE_BUS, TIMER, HTTP = "eventHubTrigger", "serviceBusTrigger", "timerTrigger", "httpTrigger"
STORAGE_QUEUE, BLOB = "queueTrigger", "blobTrigger"
_TRIGGERS = (EVENT_HUB, SERVICE_BUS, STORAGE_QUEUE, BLOB, TIMER, HTTP)
_RETURN = "$return"
_RESERVED_ROUTES = ("admin", "runtime")


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

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.call)


def load_app(app_root: Path) -> list[IndexedFunction]:
    """The functions of the app in `app_root`.

    Raises `Misconfigured` with the reason if the real worker would not load it.
    """
    module = _import_script(app_root)
    # As in the worker, each top-level name counts: an alias of the one app is a second one.
    apps = [value for value in vars(module).values() if isinstance(value, FunctionRegister)]
    if not apps:
        raise Misconfigured(f"{SCRIPT} has no function app at its top level")
    if len(apps) > 1:
        raise Misconfigured(f"{SCRIPT} has more than one name for a function app at its top level")
    try:
        functions = apps[0].get_functions()  # once only: azure-functions takes a second call for duplicates
    except ValueError as error:
        raise Misconfigured(f"{SCRIPT}: {error}") from error
    return [_index(function) for function in functions]


def _import_script(app_root: Path) -> types.ModuleType:
    script = app_root / SCRIPT
    if not script.is_file():
        raise Misconfigured(f"there is no {SCRIPT} in {app_root}")
    # The worker has the app root last, so that installed packages win over folders of the same name.
    sys.path[:] = [*(entry for entry in sys.path if Path(entry) != app_root), str(app_root)]
    # By path and not by name: the working directory may hold another app.
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise Misconfigured(f"{SCRIPT} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _index(function: Function) -> IndexedFunction:
    name = str(function.get_function_name())
    try:
        return _validated(name, function)
    except Misconfigured as error:
        raise Misconfigured(f"cannot load the {name} function: {error}") from error


def _validated(name: str, function: Function) -> IndexedFunction:
    call = function.get_user_function()
    bindings = [json.loads(raw) for raw in function.get_raw_bindings()]
    trigger, has_return = _split(bindings)
    parameters = dict(inspect.signature(call).parameters)
    annotations = _annotations(call)
    takes_context = _takes_context(parameters, annotations, trigger)
    _check_names(parameters, trigger)
    return_converter = _return_converter(annotations) if has_return else None
    retry_settings = function.get_settings_dict("retry_policy")
    _check_route(trigger)
    return IndexedFunction(
        name=name,
        call=call,
        directory=Path(inspect.getfile(call)).parent,
        trigger=trigger,
        converter=_input_converter(trigger, annotations),
        return_converter=return_converter,
        takes_context=takes_context,
        retry_policy=parse_retry_policy(retry_settings) if retry_settings else None,
    )


def _split(bindings: list[dict[str, Any]]) -> tuple[Trigger, bool]:
    """The trigger, and whether there is an HTTP output `$return`, the only other binding that this host knows."""
    triggers = [binding for binding in bindings if binding["type"].lower().endswith("trigger")]
    if len(triggers) != 1 or triggers[0]["type"] not in _TRIGGERS:
        found = ", ".join(str(binding["type"]) for binding in triggers) or "none"
        raise Misconfigured(f"the local host fires the triggers {', '.join(_TRIGGERS)}; this one has {found}")
    outputs = [binding for binding in bindings if binding is not triggers[0]]
    for binding in outputs:
        if binding["name"] != _RETURN or binding["type"] != "http":
            raise Misconfigured(f"the local host does not know the binding {binding['name']} of type {binding['type']}")
    trigger = triggers[0]
    return Trigger(trigger["type"], trigger["name"], trigger), bool(outputs)


def _annotations(call: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(call)
    except NameError as error:
        raise Misconfigured(f"an annotation cannot be resolved at run time: {error}") from error


def _takes_context(parameters: dict[str, inspect.Parameter], annotations: dict[str, Any], trigger: Trigger) -> bool:
    if "context" not in parameters or trigger.parameter == "context":
        return False
    del parameters["context"]
    annotation = annotations.get("context")
    if annotation is not None and getattr(annotation, "__name__", "") != "Context":
        raise Misconfigured(f"the parameter context must be an azure.functions.Context, not {annotation!r}")
    return True


def _check_names(parameters: Mapping[str, inspect.Parameter], trigger: Trigger) -> None:
    if undeclared := sorted(set(parameters) - {trigger.parameter}):
        raise Misconfigured(f"parameters that no decorator declares: {', '.join(undeclared)}")
    if trigger.parameter not in parameters:
        raise Misconfigured(f"the decorator declares the parameter {trigger.parameter}, which the function lacks")


def _input_converter(trigger: Trigger, annotations: Mapping[str, Any]) -> Any:
    registry = _registry()
    if trigger.parameter not in annotations:
        return registry.get(trigger.type)
    annotation = annotations[trigger.parameter]
    if not isinstance(annotation, type) and not _is_typing_generic(annotation):
        raise Misconfigured(f"{trigger.parameter} has the non-type annotation {annotation!r}; use typing.List")
    converter = registry.get("generic" if annotation in (str, bytes) else trigger.type)
    if not converter.check_input_type_annotation(annotation):
        raise Misconfigured(f"the annotation {annotation!r} of {trigger.parameter} does not go with {trigger.type}")
    return converter


def _registry() -> Any:
    """azure-functions' converters by binding type."""
    return meta.get_binding_registry()  # type: ignore[no-untyped-call]  # azure-functions has no annotation for it


def _is_typing_generic(annotation: Any) -> bool:
    """`typing.List[X]`, but neither `list[X]` nor a union: the worker's own inspection knows no more."""
    if isinstance(annotation, types.GenericAlias):
        return False
    origin = typing.get_origin(annotation)
    return isinstance(origin, type) and origin not in (types.UnionType, tuple)


def _return_converter(annotations: Mapping[str, Any]) -> Any:
    converter = _registry().get("http")
    if "return" in annotations:
        annotation = annotations["return"]
        if not isinstance(annotation, type):
            raise Misconfigured(f"it has the non-type return annotation {annotation!r}")
        if not converter.check_output_type_annotation(annotation):
            raise Misconfigured(f"the return annotation {annotation!r} does not go with an HTTP response")
    return converter


def _check_route(trigger: Trigger) -> None:
    first = str(trigger.properties.get("route", "")).lstrip("/").partition("/")[0].lower()
    if trigger.type == HTTP and first in _RESERVED_ROUTES:
        raise Misconfigured(f"its route starts with {first}, which is reserved for the host")
