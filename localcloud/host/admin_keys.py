"""Access keys over HTTP, for whoever has the master key (KeysController of the real host)."""

from typing import Any

from aiohttp import web

from localcloud.host.http_server import Handler, HttpServer
from localcloud.host.keys import MASTER, AuthLevel, KeyRing

_HOST_KEYS = "/admin/host/{kind:keys|functionkeys}"
_SYSTEM_KEYS = "/admin/host/systemkeys"
_FUNCTION_KEYS = "/admin/functions/{function}/keys"


class KeysAdmin:
    """Lists, reads, sets and deletes keys of the host and of functions."""

    def __init__(self, keys: KeyRing, functions: frozenset[str], server: HttpServer) -> None:
        self._keys = keys
        self._functions = {name.lower(): name for name in functions}
        self._server = server
        for path in (_HOST_KEYS, _FUNCTION_KEYS):
            self._add("GET", path, self._list)
            self._add("GET", path + "/{key}", self._read)
            self._add("PUT", path + "/{key}", self._put)
            self._add("POST", path + "/{key}", self._renew)
            self._add("DELETE", path + "/{key}", self._delete)
        self._add("GET", f"{_SYSTEM_KEYS}/{MASTER}", self._read_master)

    def _add(self, method: str, path: str, handler: Handler) -> None:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if self._server.level(request) < AuthLevel.ADMIN:
                return web.Response(status=401)
            return await handler(request)

        self._server.add_route(method, path, guarded)

    def _scope(self, request: web.Request) -> str | None:
        """Raises 404 for a function that is not there."""
        function = request.match_info.get("function")
        if function is None:
            return None
        if function.lower() not in self._functions:
            raise web.HTTPNotFound
        return self._functions[function.lower()]

    async def _list(self, request: web.Request) -> web.Response:
        keys = self._keys.of(self._scope(request))
        return web.json_response({"keys": [{"name": name, "value": value} for name, value in keys.items()]})

    async def _read(self, request: web.Request) -> web.Response:
        name = request.match_info["key"]
        value = self._keys.of(self._scope(request)).get(name)
        return web.Response(status=404) if value is None else web.json_response({"name": name, "value": value})

    async def _read_master(self, _: web.Request) -> web.Response:
        return web.json_response({"name": MASTER, "value": self._keys.master})

    async def _put(self, request: web.Request) -> web.Response:
        try:
            document: Any = await request.json()
        except ValueError:
            document = None
        value = document.get("value") if isinstance(document, dict) else None
        if not isinstance(value, str) or not value:
            return web.Response(status=400, text="Invalid key value")
        return self._set(request, value)

    async def _renew(self, request: web.Request) -> web.Response:
        return self._set(request, None)

    def _set(self, request: web.Request, value: str | None) -> web.Response:
        name = request.match_info["key"]
        value, is_new = self._keys.put(self._scope(request), name, value)
        return web.json_response({"name": name, "value": value}, status=201 if is_new else 200)

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["key"]
        if name == MASTER:
            return web.Response(status=400, text="Cannot delete System Key.")
        return web.Response(status=204 if self._keys.delete(self._scope(request), name) else 404)
