"""What the real Python worker checks of one function before it loads it, in its own words.

The rules and their order are those of azure-functions-runtime (`functions.py`): whoever searches the web for a message
of this host finds what others made of it in the cloud. `tests/host/test_real_worker.py` compares the words.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from azure.functions import Function, meta

from localcloud.host.generic_binding import GenericBinding

_RETURN = "$return"
_IN, _OUT, _INOUT = 0, 1, 2
_UNDEFINED_DATA_TYPE = 0


class FunctionLoadError(Exception):
    """Named as in the worker, since the name is part of what people see."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How a function is to be called. Converters are azure-functions' classes, which have no public type."""

    converters: Mapping[str, Any]
    """Of the input bindings, by parameter."""
    return_converter: Any | None
    takes_context: bool


def inspected(function: Function) -> Signature:
    """The signature of a function that the worker would load. Raises what the worker raises otherwise."""
    call = function.get_user_function()
    try:
        return _checked(call, {binding.name: binding for binding in function.get_bindings()})
    except FunctionLoadError as error:
        raise FunctionLoadError(f"cannot load the {function.get_function_name()} function: {error}") from error


def _checked(call: Callable[..., Any], bindings: dict[str, Any]) -> Signature:
    parameters = dict(inspect.signature(call).parameters)
    annotations = typing.get_type_hints(call)
    for binding in bindings.values():
        _check_direction(binding)
    returned = bindings.pop(_RETURN, None)
    takes_context = _takes_context(parameters, annotations, bindings)
    _check_names(parameters, bindings)
    return Signature(
        converters={
            name: _converter(binding, annotations.get(name), annotated=name in annotations)
            for name, binding in bindings.items()
        },
        return_converter=None if returned is None else _return_converter(returned, annotations),
        takes_context=takes_context,
    )


def _check_direction(binding: Any) -> None:
    if binding.direction == _INOUT:
        raise FunctionLoadError('"inout" bindings are not supported')
    if binding.name == _RETURN and binding.direction != _OUT:
        raise FunctionLoadError('"$return" binding must have direction set to "out"')


def _takes_context(
    parameters: dict[str, inspect.Parameter], annotations: Mapping[str, Any], bindings: Mapping[str, Any]
) -> bool:
    if "context" not in parameters or "context" in bindings:
        return False
    del parameters["context"]
    annotation = annotations.get("context")
    if annotation is not None and not (isinstance(annotation, type) and annotation.__name__ == "Context"):
        raise FunctionLoadError(
            'the "context" parameter is expected to be of type azure.functions.Context, got "' + repr(annotation) + '"'
        )
    return True


def _check_names(parameters: Mapping[str, inspect.Parameter], bindings: Mapping[str, Any]) -> None:
    if undeclared := set(parameters) - set(bindings):
        raise FunctionLoadError(
            "the following parameters are declared in Python but not in the function definition "
            f"(function.json or function decorators):  {undeclared!r}"
        )
    if missing := set(bindings) - set(parameters):
        raise FunctionLoadError(
            "Extra parameters in binding definition — the following parameters are declared as bindings but are not "
            f"present in Python: {missing!r}"
        )


def _converter(binding: Any, annotation: Any, *, annotated: bool) -> Any:
    is_out = annotated and _is_out(annotation)
    python_type = _argument_of_out(binding, annotation) if is_out else annotation
    if annotated and not isinstance(python_type, type) and not _is_typing_generic(python_type):
        raise FunctionLoadError(f"binding {binding.name} has invalid non-type annotation {annotation!r}")
    if binding.direction == _OUT and annotated and not is_out:
        raise FunctionLoadError(
            f'binding {binding.name} is declared to have the "out" direction, but its annotation in Python is not '
            "a subclass of azure.functions.Out"
        )
    if binding.direction != _OUT and is_out:
        raise FunctionLoadError(
            f'binding {binding.name} is declared to have the "in" direction in the binding decorator, but its '
            "annotation is azure.functions.Out in Python"
        )
    converter = GenericBinding if annotated and python_type in (str, bytes) else registered(binding.type)
    if annotated:
        fits = converter.check_output_type_annotation if is_out else converter.check_input_type_annotation
        if not fits(python_type):
            raise FunctionLoadError(_mismatch(binding, python_type))
    return converter


def registered(binding_type: str) -> Any:
    """azure-functions' converter of a binding type, or the general one."""
    registry = meta.get_binding_registry()  # type: ignore[no-untyped-call]  # azure-functions has no annotation for it
    return registry.get(binding_type) or GenericBinding


def _is_out(annotation: Any) -> bool:
    outer = (typing.get_origin(annotation) or annotation) if _is_typing_generic(annotation) else annotation
    return isinstance(outer, type) and outer.__name__ == "Out"


def _argument_of_out(binding: Any, annotation: Any) -> Any:
    arguments = typing.get_args(annotation)
    if len(arguments) != 1:
        raise FunctionLoadError(f"binding {binding.name} has invalid Out annotation {annotation!r}")
    return arguments[0]


def _mismatch(binding: Any, python_type: Any) -> str:
    # An absent data type counts as a defined one in the worker, so the first form is the one that people meet.
    if binding.data_type != _UNDEFINED_DATA_TYPE:
        return (
            f'binding type "{binding.name!r}" and dataType "{binding.type}" in the binding decorator do not match the '
            f"corresponding function parameter's Python type annotation {python_type.__name__}"
        )
    return (
        f'type of {binding.name} binding in the binding decorator "{binding.type}" does not match its Python '
        f'annotation "{python_type.__name__}"'
    )


def _is_typing_generic(annotation: Any) -> bool:
    """`typing.List[X]`, but neither `list[X]` nor a union: the worker's own inspection knows no more."""
    if isinstance(annotation, types.GenericAlias):
        return False
    if isinstance(annotation, type):
        return issubclass(annotation, typing.Generic)
    origin = typing.get_origin(annotation)
    return isinstance(origin, type) and origin not in (types.UnionType, tuple)


def _return_converter(binding: Any, annotations: Mapping[str, Any]) -> Any:
    converter = registered(binding.type)
    if "return" in annotations:
        annotation = annotations["return"]
        if _is_typing_generic(annotation) and _is_out(annotation):
            raise FunctionLoadError("return annotation should not be azure.functions.Out")
        if not isinstance(annotation, type):
            raise FunctionLoadError(f"has invalid non-type return annotation {annotation!r}")
        if not converter.check_output_type_annotation(annotation):
            raise FunctionLoadError(
                f'Python return annotation "{annotation.__name__}" does not match binding type "{binding.type}"'
            )
    return converter
