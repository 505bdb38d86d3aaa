"""The host's own endpoints: its state, and firing any function by hand."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from localcloud.clock import utc_now
from localcloud.host.app import BLOB, EVENT_HUB, HTTP, STORAGE_QUEUE, TIMER, IndexedFunction
from localcloud.host.decoding import (
    Event,
    Message,
    Partition,
    Request,
    TriggerInput,
    event_batch,
    http_request,
    message_batch,
    single_event,
    single_message,
    timer_info,
)
from localcloud.host.http_server import HttpServer
from localcloud.host.invoker import InvocationFailed, Invoker
from localcloud.host.storage_decoding import StoredMessage, stored_message

_NOWHERE = Partition("", "", "", "")


class Admin:
    """`GET /admin/host/status`, `GET /admin/host/ping`, `POST /admin/functions/{name}`, as the real host has them."""

    def __init__(self, functions: list[IndexedFunction], invoker: Invoker) -> None:
        self._functions = {function.name: function for function in functions}
        self._invoker = invoker
        self._running: set[asyncio.Task[None]] = set()
        self.state = "Initializing"

    def add_to(self, server: HttpServer) -> None:
        server.add_route("GET", "/admin/host/ping", self._ping)
        server.add_route("GET", "/admin/host/status", self._status)
        server.add_route("POST", "/admin/functions/{name}", self._fire)

    async def stop(self, grace_s: float) -> None:
        """Lets functions that were fired by hand finish, at most for `grace_s` seconds."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _status(self, _: web.Request) -> web.Response:
        counts = self._invoker.counts
        functions = {
            name: {
                "trigger": function.trigger.type,
                "invocations": counts[name].invocations,
                "failures": counts[name].failures,
                "running": counts[name].running,
            }
            for name, function in self._functions.items()
        }
        return web.json_response({"state": self.state, "functions": functions})

    async def _fire(self, request: web.Request) -> web.Response:
        function = self._functions.get(request.match_info["name"])
        if function is None:
            return web.Response(status=404, text="there is no function of this name")
        if function.trigger.type == BLOB:
            return web.Response(status=400, text="write a blob to fire this function")
        # A form on some web page can send anything but JSON without asking first.
        if request.body_exists and request.content_type != "application/json":
            return web.Response(status=415, text="the body must be application/json")
        try:
            document = json.loads(await request.text() or "{}")
        except ValueError:
            document = None
        if not isinstance(document, dict) or not isinstance(document.get("input", ""), str):
            return web.Response(status=400, text='the body must be JSON of the form {"input": "..."}')
        task = asyncio.create_task(self._invoke(function, document))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return web.Response(status=202)

    async def _invoke(self, function: IndexedFunction, document: Mapping[str, Any]) -> None:
        try:
            await self._invoker.invoke(function, input_by_hand(function, document.get("input", "")))
        except InvocationFailed:
            return  # logged and counted; nobody waits for an answer


def input_by_hand(function: IndexedFunction, text: str) -> TriggerInput:
    """The input of a function that is fired by hand: `text` as a message that never was on a broker."""
    trigger, body, now = function.trigger, text.encode(), utc_now()
    if trigger.type == TIMER:
        return timer_info(past_due=False, status=None)
    if trigger.type == HTTP:
        return http_request(Request("POST", f"http://localhost/{trigger.properties['route']}", body=body))
    if trigger.type == EVENT_HUB:
        event = Event(body, 0, "0", now)
        if trigger.is_batch:
            return event_batch([event], _NOWHERE, binary=trigger.is_binary, checkpointing=False)
        return single_event(event, _NOWHERE, binary=trigger.is_binary, checkpointing=False)
    if trigger.type == STORAGE_QUEUE:
        return stored_message(StoredMessage(body, "", 0, now, now, ""), binary=trigger.is_binary)
    message = Message(body, "", 0, 1, now, datetime.max.replace(tzinfo=UTC), "")
    if trigger.is_batch:
        return message_batch([message], binary=trigger.is_binary)
    return single_message(message, binary=trigger.is_binary)
