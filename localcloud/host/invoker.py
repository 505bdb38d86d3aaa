"""Invocation of functions: arguments, context, time limit, result and counts, as the real worker and host do it."""

import asyncio
import contextvars
import os
import secrets
import threading
import traceback
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from azure.functions.meta import Datum

from localcloud.host.app import IndexedFunction
from localcloud.host.app_errors import described
from localcloud.host.datums import time_span
from localcloud.host.decoding import TriggerInput
from localcloud.host.logs import current_function, logger

_thread_local_storage = threading.local()


@dataclass(frozen=True, slots=True)
class RpcException:
    """What the last attempt raised."""

    source: str
    stack_trace: str
    message: str


@dataclass(frozen=True, slots=True)
class RetryContext:
    """Which attempt this is. Before the first retry both counts are 0, whatever the policy."""

    retry_count: int = 0
    max_retry_count: int = 0
    rpc_exception: RpcException | None = None


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C trace context, under the current and the deprecated names of the worker."""

    trace_parent: str
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def Traceparent(self) -> str:  # noqa: N802 - the worker's name
        return self.trace_parent

    @property
    def Tracestate(self) -> str:  # noqa: N802 - the worker's name
        return self.trace_state

    @property
    def Attributes(self) -> dict[str, str]:  # noqa: N802 - the worker's name
        return self.attributes


@dataclass(frozen=True, slots=True)
class Context:
    """`azure.functions.Context` of one invocation."""

    invocation_id: str
    function_name: str
    function_directory: str
    trace_context: TraceContext
    retry_context: RetryContext
    thread_local_storage: threading.local = _thread_local_storage


@dataclass(slots=True)
class Counts:
    """Invocations of one function since the host started; each retry is one."""

    invocations: int = 0
    failures: int = 0
    running: int = 0


class InvocationFailed(Exception):  # noqa: N818 - an outcome, told apart from the host's own errors
    """The function raised, ran too long or returned what it must not. It has been logged and counted."""

    def __init__(self, rpc_exception: RpcException) -> None:
        super().__init__(rpc_exception.message)
        self.rpc_exception = rpc_exception


class Invoker:
    """Runs functions: coroutines on the event loop, plain functions in a thread pool."""

    def __init__(self, functions: list[IndexedFunction], timeout: timedelta | None) -> None:
        self._timeout_s = timeout.total_seconds() if timeout else None
        threads = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT")
        self._pool = ThreadPoolExecutor(int(threads) if threads else None, thread_name_prefix="function")
        self.counts = {function.name: Counts() for function in functions}

    async def invoke(
        self, function: IndexedFunction, trigger_input: TriggerInput, retry_context: RetryContext | None = None
    ) -> Datum | None:
        """The encoded return value. Raises `InvocationFailed`."""
        counts = self.counts[function.name]
        counts.invocations += 1
        counts.running += 1
        token = current_function.set(function.name)
        try:
            return await self._run(function, trigger_input, retry_context or RetryContext())
        except Exception as error:
            counts.failures += 1
            attempt = retry_context.retry_count if retry_context else 0
            logger.error("failed%s: %s", f" at retry {attempt}" if attempt else "", described(error))
            raise InvocationFailed(_rpc_exception(error)) from error
        finally:
            counts.running -= 1
            current_function.reset(token)

    async def _run(self, function: IndexedFunction, trigger_input: TriggerInput, retry: RetryContext) -> Datum | None:
        arguments: dict[str, Any] = {
            function.trigger.parameter: function.converter.decode(
                trigger_input.datum, trigger_metadata=trigger_input.metadata
            )
        }
        if function.takes_context:
            arguments["context"] = _context(function, trigger_input, retry)
        time_limit = asyncio.timeout(self._timeout_s)
        try:
            async with time_limit:
                result = await self._call(function, arguments)
        except TimeoutError:
            if time_limit.expired():
                limit = time_span(timedelta(seconds=self._timeout_s or 0))
                raise TimeoutError(
                    f"Timeout value of {limit} was exceeded by function: Functions.{function.name}"
                ) from None
            raise
        if function.return_converter is None:
            if result is not None:
                raise RuntimeError("a function without a $return binding returned a non-None value")
            return None
        encoded: Datum = function.return_converter.encode(result, expected_type=None)
        return encoded

    def _call(self, function: IndexedFunction, arguments: dict[str, Any]) -> Awaitable[Any]:
        if function.is_async:
            coroutine: Awaitable[Any] = function.call(**arguments)
            return coroutine
        run: Callable[..., Any] = contextvars.copy_context().run
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._pool, lambda: run(function.call, **arguments))

    def close(self) -> None:
        """Gives up threads without waiting for functions that outlasted the host."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _context(function: IndexedFunction, trigger_input: TriggerInput, retry: RetryContext) -> Context:
    return Context(
        invocation_id=str(uuid.uuid4()),
        function_name=function.name,
        function_directory=str(function.directory),
        trace_context=TraceContext(trigger_input.trace_parent or _new_trace_parent(), trigger_input.trace_state),
        retry_context=retry,
    )


def _new_trace_parent() -> str:
    """The start of a trace (W3C Trace Context, 3.2): the host begins one for what nobody traced before."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def _rpc_exception(error: Exception) -> RpcException:
    return RpcException(type(error).__module__, "".join(traceback.format_tb(error.__traceback__)), str(error))
