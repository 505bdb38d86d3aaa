"""The service API: registry, twins, queries and direct methods over HTTPS, api-version 2021-04-12.

Source: "Azure IoT Hub service REST API" and the answers that the service was seen to give.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec
from aiohttp import web

from localcloud.errors import Rejected
from localcloud.iothub.bulk import carry_out, parse_operations
from localcloud.iothub.hub import Hub
from localcloud.iothub.methods import parse_method_request
from localcloud.iothub.rest_errors import UnauthorizedError, error_response
from localcloud.iothub.sas import parse_sas
from localcloud.iothub.throttling import METHOD_METER_BYTES, Throttle
from localcloud.iothub.twin import Document, parse_document
from localcloud.iothub.twin_query import parse_twin_query
from localcloud.journal import Journal

POLICY: Final = "iothubowner"
_MAX_BODY_BYTES: Final = 1024 * 1024
_MAX_PAGE: Final = 1000
_DEFAULT_QUERY_PAGE: Final = 100

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(hub: Hub, hostname: str, key: str) -> web.Application:
    """The API, open to tokens for `hostname` (with any port or none) that are signed with the key of `iothubowner`."""
    app = web.Application(
        middlewares=[_output_commit(hub.journal), _errors, _authorization(hostname, key)],
        client_max_size=_MAX_BODY_BYTES,
    )
    api = _Api(hub)

    def limited(throttle: Throttle, handler: _Handler) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            await hub.shaper.admit(throttle)
            return await handler(request)

        return handle

    registry, read, update = Throttle.REGISTRY, Throttle.TWIN_READ, Throttle.TWIN_UPDATE
    app.router.add_routes(
        [
            web.get("/devices", limited(registry, api.list_devices)),
            web.get("/devices/", limited(registry, api.list_devices)),  # as the Node SDK asks
            web.post("/devices", api.change_devices),
            web.post("/devices/query", limited(Throttle.QUERY, api.query)),
            web.get("/devices/{id}", limited(registry, api.get_device)),
            web.put("/devices/{id}", limited(registry, api.put_device)),
            web.delete("/devices/{id}", limited(registry, api.delete_device)),
            web.get("/statistics/devices", limited(registry, api.device_statistics)),
            web.get("/statistics/service", limited(registry, api.service_statistics)),
            web.get("/twins/{id}", limited(read, api.get_twin)),
            web.patch("/twins/{id}", limited(update, api.patch_twin)),
            web.put("/twins/{id}", limited(update, api.put_twin)),
            web.post("/twins/{id}/methods", api.invoke),
            web.route("*", "/{collection:devices|twins}/{id}/modules{rest:.*}", api.refuse_modules),
        ]
    )
    return app


def _output_commit(journal: Journal) -> Any:
    """No answer leaves before what it tells of is in the journal."""

    @web.middleware
    async def middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
        response = await handler(request)
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        journal.when_durable(lambda: None if durable.done() else durable.set_result(None))
        await durable
        return response

    return middleware


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception as error:
        response = error_response(error)
        if response is None:
            raise
        return response


def _authorization(hostname: str, key: str) -> Any:
    @web.middleware
    async def middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            token = parse_sas(request.headers.get("Authorization", ""), time.time())
            token.require_signature([key])
        except Rejected as rejected:
            raise UnauthorizedError(rejected.detail) from rejected
        if token.resource.lower().partition(":")[0] != hostname.lower() or token.policy != POLICY:
            raise UnauthorizedError("the token is for another resource or policy")
        if "api-version" not in request.query:
            raise Rejected("no-api-version", "the query lacks api-version")
        return await handler(request)

    return middleware


class _Api:
    """A handler an operation."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def list_devices(self, request: web.Request) -> web.Response:
        top = _count(request.query.get("top"), "top", _MAX_PAGE)
        return _json([device.identity_json() for device in islice(self._hub.registry, top)])

    async def change_devices(self, request: web.Request) -> web.Response:
        operations = parse_operations(await request.read())
        await self._hub.shaper.admit(Throttle.REGISTRY, amount=len(operations))
        result = carry_out(self._hub, operations)
        return _json(result, status=200 if result["isSuccessful"] else 400)

    async def query(self, request: web.Request) -> web.Response:
        text = (await _document(request)).get("query")
        if not isinstance(text, str):
            raise Rejected("bad-query", 'the body is {"query": "…"}')
        size = _count(request.headers.get("x-ms-max-item-count"), "x-ms-max-item-count", _DEFAULT_QUERY_PAGE)
        page = parse_twin_query(text).page(self._twins, size, request.headers.get("x-ms-continuation"))
        headers = {"x-ms-item-type": "twin" if page.are_twins else "raw"}
        if page.continuation is not None:
            headers["x-ms-continuation"] = page.continuation
        return _json(page.items, headers=headers)

    def _twins(self, after: str) -> Iterator[Document]:
        return (device.twin_json() for device in self._hub.registry.behind(after))

    async def device_statistics(self, _: web.Request) -> web.Response:
        total = len(self._hub.registry)
        enabled = sum(device.enabled for device in self._hub.registry)
        counts = {
            "totalDeviceCount": total,
            "enabledDeviceCount": enabled,
            "disabledDeviceCount": total - enabled,
        }
        return _json(counts)

    async def service_statistics(self, _: web.Request) -> web.Response:
        return _json({"connectedDeviceCount": self._hub.connected_count})

    async def refuse_modules(self, _: web.Request) -> web.Response:
        raise Rejected("modules", "this hub has devices only, no modules")

    async def get_device(self, request: web.Request) -> web.Response:
        device = self._hub.registry.get(_device_id(request))
        return _json(device.identity_json(), device.etag)

    async def put_device(self, request: web.Request) -> web.Response:
        device = self._hub.put_device(_device_id(request), await _document(request), _if_match(request))
        return _json(device.identity_json(), device.etag)

    async def delete_device(self, request: web.Request) -> web.Response:
        self._hub.delete_device(_device_id(request), _if_match(request))
        return web.Response(status=204)

    async def get_twin(self, request: web.Request) -> web.Response:
        device = self._hub.registry.get(_device_id(request))
        return _json(device.twin_json(), device.twin.etag)

    async def patch_twin(self, request: web.Request) -> web.Response:
        return await self._change_twin(request, replace=False)

    async def put_twin(self, request: web.Request) -> web.Response:
        return await self._change_twin(request, replace=True)

    async def _change_twin(self, request: web.Request, *, replace: bool) -> web.Response:
        change = await _document(request)
        device = self._hub.change_twin(_device_id(request), change, _if_match(request), replace=replace)
        return _json(device.twin_json(), device.twin.etag)

    async def invoke(self, request: web.Request) -> web.Response:
        data = await request.read()
        call = parse_method_request(data)
        await self._hub.shaper.admit(Throttle.METHOD, amount=max(1, -(-len(data) // METHOD_METER_BYTES)))
        answer = await self._hub.invoke(_device_id(request), call)
        return _json({"status": answer.status, "payload": answer.payload})


def _device_id(request: web.Request) -> str:
    return request.match_info["id"]


def _if_match(request: web.Request) -> str | None:
    return request.headers.get("If-Match")


async def _document(request: web.Request) -> Document:
    return parse_document(await request.read())


def _count(text: str | None, name: str, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= _MAX_PAGE):
        raise Rejected("bad-count", f"{name} is a number from 1 to {_MAX_PAGE}")
    return int(text)


def _json(
    body: Any, etag: str | None = None, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        charset="utf-8",
        headers=(headers or {}) | ({"ETag": f'"{etag}"'} if etag else {}),
    )
