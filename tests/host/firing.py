"""Indexes function apps and fires the test app, or the deployed one, in one of two ways.

`python firing.py local APP_ROOT…` uses this project's host, `python firing.py worker APP_ROOT…` the library of
Microsoft's Python worker by its protobuf-free entry. Both print, line by line as JSON, which functions they indexed or
why they would not, and what each function saw. An app root named `app` is fired with `payloads.INPUTS`; one that is
the repository with `app_payloads`, if the environment has what these need.
"""

import asyncio
import importlib
import json
import os
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localcloud.host.decoding import TriggerInput

ROOT = Path(__file__).parents[2]


async def fire_locally(app_root: Path) -> None:
    from localcloud.errors import Misconfigured
    from localcloud.host.app import load_app
    from localcloud.host.invoker import InvocationFailed, Invoker

    try:
        functions = {function.name: function for function in load_app(app_root)}
    except Misconfigured as error:
        _tell(refused=app_root.name, error=str(error))
        return
    _tell(indexed=sorted(functions))
    invoker = Invoker(list(functions.values()), None)
    for name, trigger_input in _inputs(app_root):
        try:
            answer = await invoker.invoke(functions[name], trigger_input)
        except InvocationFailed as error:
            _tell(failed=name, error=str(error))
        else:
            _tell(answered=name, answer=_plain(answer))


async def fire_with_the_worker(app_root: Path) -> None:
    """Protobuf's classes are stood in for by plain objects: this entry only fills them in."""
    runtime = importlib.import_module("azure_functions_runtime")
    runtime.start_threadpool_executor()
    request = SimpleNamespace(
        request=SimpleNamespace(
            worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(app_root))
        ),
        properties={"host": "127.0.0.1", "protos": _Protos()},
    )
    answer = await runtime.worker_init_request(request)
    if answer.result.status == "Failure":
        _tell(refused=app_root.name, error=answer.result.exception.message)
        return
    metadata = await runtime.functions_metadata_request(request)
    _tell(indexed=sorted(function.name for function in metadata.function_metadata_results))
    parameters = {function.name: _trigger_parameter(function) for function in metadata.function_metadata_results}
    await _invoke_natively(app_root, parameters)
    runtime.stop_threadpool_executor()


def _trigger_parameter(function: Any) -> str:
    bindings = map(json.loads, function.raw_bindings)
    return next(str(binding["name"]) for binding in bindings if binding["type"].endswith("Trigger"))


async def _invoke_natively(app_root: Path, parameters: Mapping[str, str]) -> None:
    invoke = importlib.import_module("azure_functions_runtime.native_invocation").invocation_request_native
    datum_class = importlib.import_module("azure_functions_runtime.bindings.datumdef").Datum
    for name, trigger_input in _inputs(app_root):
        ok, answer, _, error, _ = await invoke(
            str(uuid.uuid4()),
            str(uuid.uuid5(uuid.NAMESPACE_OID, name)),  # the worker's function id
            [(parameters[name], _as_worker_datum(trigger_input.datum, datum_class))],
            {key: _as_worker_datum(datum, datum_class) for key, datum in trigger_input.metadata.items()},
            trigger_input.trace_parent or "",
        )
        if ok:
            _tell(answered=name, answer=_plain(answer))
        else:
            _tell(failed=name, error=error)


def _inputs(app_root: Path) -> "list[tuple[str, TriggerInput]]":
    from tests.host import app_payloads, payloads

    if app_root == ROOT and app_payloads.CERTIFICATE_FILE in os.environ:
        return app_payloads.inputs()
    return payloads.INPUTS if app_root.name == "app" else []


class _Protos:
    """The constants that indexing compares with, and constructors that keep what they are given."""

    BindingInfo = type(
        "BindingInfo",
        (SimpleNamespace,),
        {"in": 0, "out": 1, "inout": 2, "undefined": 0, "string": 1, "binary": 2, "stream": 3},
    )
    StatusResult = type("StatusResult", (SimpleNamespace,), {"Failure": "Failure", "Success": "Success"})

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace


def _as_worker_datum(datum: Any, datum_class: Any) -> Any:
    value = datum.value
    if datum.type == "http":
        value = {name: _as_worker_value(part, datum_class) for name, part in value.items()}
    return datum_class(value, datum.type)


def _as_worker_value(part: Any, datum_class: Any) -> Any:
    if isinstance(part, dict):
        return {name: _as_worker_datum(datum, datum_class) for name, datum in part.items()}
    return _as_worker_datum(part, datum_class)


def _plain(datum: Any) -> Any:
    if datum is None or datum.type is None:
        return None
    if not isinstance(datum.value, dict):
        return str(datum.value)
    return {name: str(getattr(part, "value", part)) for name, part in datum.value.items() if name != "headers"}


def _tell(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts, sort_keys=True) + "\n")


async def _main(way: Callable[[Path], Awaitable[None]], app_roots: list[Path]) -> None:
    for app_root in app_roots:
        # The worker finds the script by name: each app must be found before the last one and before the repository's.
        sys.modules.pop("function_app", None)
        sys.path.insert(0, str(app_root))
        importlib.invalidate_caches()
        await way(app_root)
        sys.path.remove(str(app_root))


if __name__ == "__main__":
    sys.path[:] = [*(entry for entry in sys.path if entry != str(Path(__file__).parent)), str(ROOT)]
    chosen = {"local": fire_locally, "worker": fire_with_the_worker}[sys.argv[1]]
    asyncio.run(_main(chosen, [Path(argument).resolve() for argument in sys.argv[2:]]))
