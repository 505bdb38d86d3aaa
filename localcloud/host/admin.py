"""The host's own endpoints: its state, its functions, and firing any function by hand.

Sources: HostController and FunctionsController of the real host; "Manually run a non-HTTP-triggered function". As with
Core Tools, whoever reaches the loopback address needs no key for them.
"""

import json
import os
import platform
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from localcloud.errors import Rejected
from localcloud.host.app import HTTP, SCRIPT, IndexedFunction
from localcloud.host.decoding import TriggerInput
from localcloud.host.http_server import HttpServer
from localcloud.host.invoker import InvocationFailed, Invoker
from localcloud.host.waiting import RunningTasks

_RUNTIME_VERSION = "4.0.0.0"
_STARTED = time.monotonic()


@dataclass(frozen=True, slots=True)
class About:
    """What the host tells of itself and its app."""

    host_id: str
    route_prefix: str
    extension_bundle: Mapping[str, Any]
    disabled: frozenset[str]
    """Names of functions."""


class Admin:
    """`/admin/host/status`, `/admin/host/ping`, `/admin/functions` and what is below it."""

    def __init__(
        self,
        functions: list[IndexedFunction],
        invoker: Invoker,
        about: About,
        input_by_hand: Callable[[IndexedFunction, str], Awaitable[TriggerInput]],
    ) -> None:
        """`input_by_hand` raises `Rejected` for a text that stands for nothing."""
        self._functions = {function.name.lower(): function for function in functions}
        self._invoker = invoker
        self._about = about
        self._input_by_hand = input_by_hand
        self._running = RunningTasks()
        self.state = "Initialized"

    def add_to(self, server: HttpServer) -> None:
        for method in ("GET", "POST"):
            server.add_route(method, "/admin/host/ping", self._ping)
        server.add_route("GET", "/admin/host/status", self._status)
        server.add_route("GET", "/admin/functions", self._list)
        server.add_route("GET", "/admin/functions/{name}", self._describe)
        server.add_route("GET", "/admin/functions/{name}/status", self._function_status)
        server.add_route("POST", "/admin/functions/{name}", self._fire)

    async def stop(self, grace_s: float) -> None:
        """Lets functions that were fired by hand finish, at most for `grace_s` seconds."""
        await self._running.finish(grace_s)

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(headers={"Cache-Control": "no-store, no-cache"})

    async def _status(self, _: web.Request) -> web.Response:
        """The real host's fields, and under `functions` counts that only this host has."""
        status = {
            "id": self._about.host_id,
            "state": self.state,
            "version": _RUNTIME_VERSION,
            "versionDetails": f"{_RUNTIME_VERSION} local cloud",
            "instanceId": str(os.getpid()),
            "computerName": platform.node(),
            "processUptime": int((time.monotonic() - _STARTED) * 1000),
            "functionAppContentEditingState": "NotAllowed",
            "functions": {function.name: self._counts(function) for function in self._functions.values()},
        }
        if bundle := self._about.extension_bundle:
            status["extensionBundle"] = dict(bundle)
        return web.json_response(status)

    def _counts(self, function: IndexedFunction) -> dict[str, Any]:
        counts = self._invoker.counts[function.name]
        return {
            "trigger": function.trigger.type,
            "invocations": counts.invocations,
            "failures": counts.failures,
            "running": counts.running,
        }

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response([self._described(request, function) for function in self._functions.values()])

    async def _describe(self, request: web.Request) -> web.Response:
        return web.json_response(self._described(request, self._named(request)))

    async def _function_status(self, request: web.Request) -> web.Response:
        """No errors: a function in error keeps the whole app from loading here."""
        self._named(request)
        return web.json_response({"errors": None})

    def _named(self, request: web.Request) -> IndexedFunction:
        """Raises 404. Names have no case, as in the real host."""
        function = self._functions.get(request.match_info["name"].lower())
        if function is None:
            raise web.HTTPNotFound(text="there is no function of this name")
        return function

    def _described(self, request: web.Request, function: IndexedFunction) -> dict[str, Any]:
        base = str(request.url.origin())
        prefix = f"{self._about.route_prefix}/" if self._about.route_prefix else ""
        route = str(function.trigger.properties.get("route", ""))
        return {
            "name": function.name,
            "href": f"{base}/admin/functions/{function.name}",
            "invoke_url_template": f"{base}/{prefix}{route}".lower() if function.trigger.type == HTTP else None,
            "language": "python",
            "config": {
                "name": function.name,
                "entryPoint": function.call.__name__,
                "scriptFile": SCRIPT,
                "language": "python",
                "functionDirectory": str(function.directory),
                "bindings": list(function.bindings),
            },
            "isDisabled": function.name in self._about.disabled,
            "isDirect": False,
            "isProxy": False,
        }

    async def _fire(self, request: web.Request) -> web.Response:
        function = self._named(request)
        # A form on some web page can send anything but JSON without asking first.
        if request.body_exists and request.content_type != "application/json":
            return web.Response(status=415, text="the body must be application/json")
        try:
            document = json.loads(await request.text() or "{}")
        except ValueError:
            document = None
        text = document.get("input") or "" if isinstance(document, dict) else None
        if not isinstance(text, str):
            return web.Response(status=400, text='the body must be JSON of the form {"input": "..."}')
        try:
            trigger_input = await self._input_by_hand(function, text)
        except Rejected as error:
            return web.Response(status=400, text=error.detail)
        self._running.start(self._invoke(function, trigger_input))
        return web.Response(status=202)

    async def _invoke(self, function: IndexedFunction, trigger_input: TriggerInput) -> None:
        try:
            await self._invoker.invoke(function, trigger_input)
        except InvocationFailed:
            return  # logged and counted; nobody waits for an answer
