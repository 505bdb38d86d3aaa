"""A small server of artifacts, whose links can be made to misbehave."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

ARTIFACT = bytes(range(256)) * 1024


class Depot:
    """Serves one artifact under every path; `faults` are answered first, one a request."""

    def __init__(self) -> None:
        self.base = ""
        self.requests = 0
        self.content = ARTIFACT
        self.faults: list[int] = []
        self.break_off = False
        self.hold: asyncio.Event | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.faults:
            return web.Response(status=self.faults.pop(0))
        if self.break_off:
            response = web.StreamResponse(headers={"Content-Length": str(len(self.content))})
            await response.prepare(request)
            await response.write(self.content[:1000])
            assert request.transport is not None
            request.transport.abort()
            return response
        return web.Response(body=self.content)

    def offer(
        self, version: str = "2.0.0", *, link: str = "a", campaign: str = "spring", **changes: Any
    ) -> dict[str, Any]:
        """The desired property `update` for the artifact as it should be."""
        return {
            "campaign_id": campaign,
            "version": version,
            "title": "Better",
            "url": f"{self.base}/{link}?sig=x",
            "sha256": hashlib.sha256(ARTIFACT).hexdigest(),
            "size_bytes": len(ARTIFACT),
            **changes,
        }


@asynccontextmanager
async def running_depot() -> AsyncIterator[Depot]:
    depot = Depot()
    app = web.Application()
    app.router.add_get("/{name}", depot.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    depot.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield depot
    finally:
        await runner.cleanup()
