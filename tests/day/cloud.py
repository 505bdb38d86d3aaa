"""The local cloud of the day, whose host and broker are killed while it works."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from localcloud.configuration import load
from localcloud.layout import Layout
from localcloud.services import LocalCloud
from tests.soak.figures import cpu_s, rss_bytes
from tests.witness import with_witnesses

WITNESS: Final = "day-witness"
_WATCH_S: Final = 1.0


@dataclass(slots=True)
class Cloud:
    """The services, how often each was killed, and what they cost."""

    services: LocalCloud
    kills: dict[str, int] = field(default_factory=dict)
    longest_start_s: float = 0.0
    most_bytes: dict[str, int] = field(default_factory=dict)
    cpu_of: dict[tuple[str, int], float] = field(default_factory=dict)  # seconds by service and process

    @property
    def layout(self) -> Layout:
        return self.services.layout

    async def kill(self, name: str) -> None:
        """SIGKILL, and a new start at once."""
        start = {"host": self.services.start_host, "broker": self.services.start_broker}[name]
        await self.services.children[name].kill()
        self.kills[name] = self.kills.get(name, 0) + 1
        begin_s = time.monotonic()
        await start()
        self.longest_start_s = max(self.longest_start_s, time.monotonic() - begin_s)

    def deaths(self) -> list[str]:
        """What became of services that nobody killed."""
        return [child.last_words("ended") for child in self.services.children.values() if not child.running]

    def cpu_s(self, name: str) -> float:
        """What all processes of this service have used."""
        return sum(seconds for (service, _), seconds in self.cpu_of.items() if service == name)

    async def watch(self) -> None:
        while True:
            for name, child in self.services.children.items():
                with suppress(OSError):  # it is being killed
                    self.most_bytes[name] = max(self.most_bytes.get(name, 0), rss_bytes(child.pid))
                    self.cpu_of[name, child.pid] = cpu_s(child.pid)
            await asyncio.sleep(_WATCH_S)


@asynccontextmanager
async def running(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[Cloud]:
    """As `make up` has it, on free ports. What the broker has taken survives its end; Azurite is not killed."""
    configuration = load([with_witnesses(folder, WITNESS)])
    services = LocalCloud(Layout(folder).on_free_ports(), configuration=configuration, settings=settings)
    cloud = Cloud(services)
    watch = asyncio.create_task(cloud.watch())
    try:
        await services.start_storage()  # in memory: on disk Azurite writes all of its tables every few seconds
        services.data = folder / "data"
        await services.start_broker()
        await services.start_iothub()
        await services.start_host()
        yield cloud
    finally:
        watch.cancel()
        await services.stop()
