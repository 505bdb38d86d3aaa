"""HTTP triggers and the host's own endpoints under /admin."""

import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web
from azure.functions.meta import Datum

from localcloud.errors import Misconfigured
from localcloud.host.app import IndexedFunction
from localcloud.host.decoding import Request, http_request
from localcloud.host.invoker import InvocationFailed, Invoker
from localcloud.host.settings import AppSettings

KEY_SETTING = "AzureFunctionsLocalFunctionKey"
_LARGEST_BODY_BYTES = 100 * 1024 * 1024  # the real host's limit
_PARAMETER = re.compile(r"\{(\*{0,2})(\w+)(?::(\w+))?(\?)?\}")
_CONSTRAINTS = {
    "alpha": "[A-Za-z]+",
    "bool": "(?i:true|false)",
    "guid": "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "int": r"-?\d+",
    "long": r"-?\d+",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def route_paths(template: str) -> list[str]:
    """The aiohttp paths of an ASP.NET route template, two if its last parameter is optional.

    Raises `Misconfigured` for what this host does not translate.
    """
    segments = [segment for segment in template.strip("/").split("/") if segment]
    translated = [_PARAMETER.sub(_translate, segment) for segment in segments]
    if any("=" in segment or ":" in _PARAMETER.sub("", segment) for segment in segments):
        raise Misconfigured(f"the local host does not know this form of route: {template}")
    paths = ["/".join(translated)]
    if segments and segments[-1].endswith("?}"):
        paths.append("/".join(translated[:-1]))
    return paths


def _translate(parameter: re.Match[str]) -> str:
    stars, name, constraint, _ = parameter.groups()
    if stars:
        return f"{{{name}:.*}}"
    if constraint is None:
        return f"{{{name}}}"
    if constraint not in _CONSTRAINTS:
        raise Misconfigured(f"the local host does not know the route constraint {constraint}")
    return f"{{{name}:{_CONSTRAINTS[constraint]}}}"


def _precedence(template: str) -> list[int]:
    """ASP.NET prefers literal segments to constrained ones, those to free ones, and catch-alls come last."""
    ranks = []
    for segment in template.strip("/").split("/"):
        match = _PARAMETER.fullmatch(segment)
        ranks.append(0 if not match else 3 if match[1] else 1 if match[3] else 2)
    return ranks


class HttpServer:
    """Serves HTTP functions under the route prefix, and the endpoints of the host itself."""

    def __init__(self, invoker: Invoker, settings: AppSettings, route_prefix: str) -> None:
        self._invoker = invoker
        self._prefix = f"/{route_prefix}" if route_prefix else ""
        self.function_key = settings.get(KEY_SETTING) or secrets.token_urlsafe(32)
        self._application = web.Application(client_max_size=_LARGEST_BODY_BYTES, middlewares=[_method_not_known])
        self._runner = web.AppRunner(self._application, access_log=None, handle_signals=False)

    def add_functions(self, functions: Iterable[IndexedFunction]) -> None:
        """Routes requests to HTTP functions. Raises `Misconfigured`."""
        for function in sorted(functions, key=lambda each: _precedence(each.trigger.properties["route"])):
            template = str(function.trigger.properties["route"])
            handler = self._handler(function)
            for path in route_paths(template):
                whole = f"{self._prefix}/{path}".rstrip("/") or "/"
                for method in function.trigger.properties.get("methods") or ["*"]:
                    self._application.router.add_route(str(method).upper(), whole, handler)

    def add_route(self, method: str, path: str, handler: Handler) -> None:
        """Serves one of the host's own endpoints."""
        self._application.router.add_route(method, path, handler)

    async def start(self, address: str, port: int) -> int:
        """The port that is served; 0 asks for a free one. Raises `OSError` if it is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port, shutdown_timeout=1).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Answers what is being answered, then closes."""
        await self._runner.cleanup()

    def _handler(self, function: IndexedFunction) -> Handler:
        anonymous = str(function.trigger.properties.get("authLevel", "FUNCTION")).upper() == "ANONYMOUS"

        async def handle(request: web.Request) -> web.StreamResponse:
            if not anonymous and not self._is_authorized(request):
                return web.Response(status=401)
            try:
                result = await self._invoker.invoke(function, http_request(await _record(request)))
            except InvocationFailed:
                return web.Response(status=500)
            return _response(result)

        return handle

    def _is_authorized(self, request: web.Request) -> bool:
        given = request.headers.get("x-functions-key") or request.query.get("code") or ""
        return secrets.compare_digest(given.encode(), self.function_key.encode())


async def _record(request: web.Request) -> Request:
    return Request(
        method=request.method,
        url=str(request.url),
        headers=_joined((name.lower(), value) for name, value in request.headers.items()),
        query=_joined(request.query.items()),
        route_parameters=dict(request.match_info),
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


@web.middleware
async def _method_not_known(request: web.Request, handler: Handler) -> web.StreamResponse:
    """To the real host a route with another method is no route: 404."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed:
        return web.Response(status=404)
