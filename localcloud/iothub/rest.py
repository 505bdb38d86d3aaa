"""The service API: registry, twins and direct methods over HTTPS, api-version 2021-04-12.

Source: "Azure IoT Hub service REST API" and the answers that the service was seen to give.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from localcloud.errors import Rejected
from localcloud.iothub.hub import Hub
from localcloud.iothub.methods import parse_method_request
from localcloud.iothub.rest_errors import UnauthorizedError, error_response
from localcloud.iothub.sas import parse_sas
from localcloud.iothub.twin import Document, parse_document

POLICY: Final = "iothubowner"
_MAX_BODY_BYTES: Final = 256 * 1024
_DEFAULT_PAGE: Final = 1000

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(hub: Hub, hostname: str, key: str) -> web.Application:
    """The API, open to tokens for `hostname` (with any port or none) that are signed with the key of `iothubowner`."""
    app = web.Application(middlewares=[_errors, _authorization(hostname, key)], client_max_size=_MAX_BODY_BYTES)
    api = _Api(hub)
    app.router.add_routes(
        [
            web.get("/devices", api.list_devices),
            web.get("/devices/{id}", api.get_device),
            web.put("/devices/{id}", api.put_device),
            web.delete("/devices/{id}", api.delete_device),
            web.get("/twins/{id}", api.get_twin),
            web.patch("/twins/{id}", api.patch_twin),
            web.put("/twins/{id}", api.put_twin),
            web.post("/twins/{id}/methods", api.invoke),
        ]
    )
    return app


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
        top = request.query.get("top", str(_DEFAULT_PAGE))
        if not top.isdecimal():
            raise Rejected("bad-top", "top is a number")
        return _json([device.identity_json() for device in self._hub.registry][: int(top)])

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
        call = parse_method_request(await request.read())
        answer = await self._hub.invoke(_device_id(request), call)
        return _json({"status": answer.status, "payload": answer.payload})


def _device_id(request: web.Request) -> str:
    return request.match_info["id"]


def _if_match(request: web.Request) -> str | None:
    return request.headers.get("If-Match")


async def _document(request: web.Request) -> Document:
    return parse_document(await request.read())


def _json(body: Any, etag: str | None = None) -> web.Response:
    headers = {"ETag": f'"{etag}"'} if etag else None
    return web.Response(
        body=msgspec.json.encode(body), content_type="application/json", charset="utf-8", headers=headers
    )
