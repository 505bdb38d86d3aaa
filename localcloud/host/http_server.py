"""HTTP triggers and the host's own endpoints under /admin."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from azure.functions.meta import Datum

from localcloud.errors import Misconfigured
from localcloud.host.app import IndexedFunction
from localcloud.host.cors import cors_headers
from localcloud.host.decoding import Request, http_request
from localcloud.host.host_json import HttpOptions
from localcloud.host.invoker import InvocationFailed, Invoker
from localcloud.host.keys import AuthLevel, KeyRing
from localcloud.host.local_settings import Cors
from localcloud.host.routes import Route

_LARGEST_BODY_BYTES = 100 * 1024 * 1024  # the real host's limit
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """A function and the requests that it is for."""

    function: IndexedFunction
    route: Route
    methods: frozenset[str]
    """Empty for any."""
    level: AuthLevel
    is_disabled: bool

    def takes(self, method: str) -> bool:
        return not self.methods or method in self.methods

    def conflicts(self, other: "_Endpoint") -> bool:
        """The same route, and a method that both take."""
        same_route = self.route.template.strip("/").lower() == other.route.template.strip("/").lower()
        return same_route and (not self.methods or not other.methods or bool(self.methods & other.methods))


class HttpServer:
    """Serves HTTP functions under the route prefix, and the endpoints of the host itself."""

    def __init__(self, invoker: Invoker, keys: KeyRing, options: HttpOptions, cors: Cors) -> None:
        self._invoker = invoker
        self._keys = keys
        self._options = options
        self._cors = cors
        self._prefix = f"/{options.route_prefix}" if options.route_prefix else ""
        self._endpoints: list[_Endpoint] = []
        self._outstanding = 0
        self._slots: AbstractAsyncContextManager[Any] = (
            asyncio.Semaphore(options.max_concurrent_requests) if options.max_concurrent_requests else nullcontext()
        )
        self._application = web.Application(client_max_size=_LARGEST_BODY_BYTES, middlewares=[self._with_headers])
        self._runner = web.AppRunner(self._application, access_log=None, handle_signals=False)

    def add_function(self, function: IndexedFunction, *, is_disabled: bool) -> None:
        """Routes requests to an HTTP function. Raises `Misconfigured`."""
        properties = function.trigger.properties
        added = _Endpoint(
            function,
            Route.parse(str(properties["route"])),
            frozenset(str(method).upper() for method in properties.get("methods") or ()),
            AuthLevel.of(properties.get("authLevel")),
            is_disabled,
        )
        for other in self._endpoints:
            if added.conflicts(other):
                name = other.function.name
                raise Misconfigured(f"The route specified conflicts with the route defined by function '{name}'.")
        self._endpoints.append(added)
        self._endpoints.sort(key=lambda endpoint: endpoint.route.precedence)

    def add_route(self, method: str, path: str, handler: Handler) -> None:
        """Serves one of the host's own endpoints."""
        self._application.router.add_route(method, path, handler)

    async def start(self, address: str, port: int) -> int:
        """The port that is served; 0 asks for a free one. Raises `OSError` if it is taken."""
        self.add_route("*", "/{path:.*}", self._serve_function)  # what is none of the host's own endpoints
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port, shutdown_timeout=1).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Answers what is being answered, then closes."""
        await self._runner.cleanup()

    def level(self, request: web.Request, function: str | None = None) -> AuthLevel:
        """What the key of a request opens; one in a header wins over one in the query."""
        given = request.headers.get("x-functions-key") or request.query.get("code") or ""
        return self._keys.level(given, function)

    async def _serve_function(self, request: web.Request) -> web.StreamResponse:
        """To the real host a route with another method is no route: 404."""
        path = request.path
        if self._prefix and not path.lower().startswith(f"{self._prefix.lower()}/") and path != self._prefix:
            return web.Response(status=404)
        for endpoint in self._endpoints:
            parameters = endpoint.route.match(path[len(self._prefix) :])
            if parameters is not None and endpoint.takes(request.method):
                return await self._answer(request, endpoint, parameters)
        return web.Response(status=404)

    async def _answer(
        self, request: web.Request, endpoint: _Endpoint, parameters: dict[str, str]
    ) -> web.StreamResponse:
        function = endpoint.function
        level = self.level(request, function.name)
        if endpoint.is_disabled and level < AuthLevel.ADMIN:
            return web.Response(status=404)
        if level < endpoint.level:
            return web.Response(status=401)
        most = self._options.max_outstanding_requests
        if most is not None and self._outstanding >= most:
            return web.Response(status=429)
        self._outstanding += 1
        try:
            async with self._slots:
                result = await self._invoker.invoke(function, http_request(await _record(request, parameters)))
        except InvocationFailed:
            return web.Response(status=500)
        finally:
            self._outstanding -= 1
        return _response(result)

    @web.middleware
    async def _with_headers(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """CORS as in Core Tools, whose pages of other origins need it, and the headers of host.json."""
        shared = cors_headers(request, self._cors)
        if shared is not None and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204, headers=shared)
        added = {**self._options.custom_headers, **(shared or {})}
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(added)
            raise
        response.headers.update(added)
        return response


async def _record(request: web.Request, parameters: dict[str, str]) -> Request:
    return Request(
        method=request.method,
        url=str(request.url),
        headers=_joined((name.lower(), value) for name, value in request.headers.items()),
        query=_joined(request.query.items()),
        route_parameters=parameters,
        body=await request.read(),
    )


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Repeated names as the real host gives them: values joined by commas."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: ",".join(several) for name, several in values.items()}


def _response(result: Datum | None) -> web.Response:
    if result is None or result.value is None:
        return web.Response(status=204)
    if result.type != "http":
        return web.Response(text=str(result.value))
    answer: dict[str, Any] = result.value
    response = web.Response(
        status=int(answer["status_code"].value),
        headers={name: datum.value for name, datum in answer["headers"].items()},
        body=answer["body"].value,
    )
    for cookie in answer.get("cookies") or ():
        response.cookies.update(cookie)
    return response
