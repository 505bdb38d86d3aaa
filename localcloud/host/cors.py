"""Cross-origin requests, answered as the CORS middleware of ASP.NET does for Core Tools: any header, any method."""

from aiohttp import web

from localcloud.host.local_settings import Cors


def cors_headers(request: web.Request, cors: Cors) -> dict[str, str] | None:
    """What to add to the answer; None if the request is from no page of another origin, or from one that may not."""
    origin = request.headers.get("Origin")
    allowed = cors.allowed(origin) if origin else None
    if allowed is None:
        return None
    headers = {"Access-Control-Allow-Origin": allowed, "Vary": "Origin"}
    if cors.allows_credentials:
        headers["Access-Control-Allow-Credentials"] = "true"
    for asked, answered in (("Method", "Methods"), ("Headers", "Headers")):
        if wanted := request.headers.get(f"Access-Control-Request-{asked}"):
            headers[f"Access-Control-Allow-{answered}"] = wanted
    return headers
