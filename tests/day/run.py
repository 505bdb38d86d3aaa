"""The course of the day: all cars send, servers are killed, late messages come when all trips are closed."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from azure.eventhub.exceptions import EventHubError
from azure.servicebus.aio import ServiceBusClient

from localcloud.app_client import AppClient
from localcloud.backlog import Backlog
from localcloud.fleet.hub_service import HubService
from localcloud.pki import Pki
from shared import settings
from shared.clock import to_epoch_ms, utc_now
from shared.messaging.contracts import CloseTrip
from tests.day.cloud import WITNESS, Cloud, running
from tests.day.fleet import Fleet
from tests.day.plan import CarDay, plan_day
from tests.day.verdict import Event, Verdict, judge
from tests.soak.figures import Report, mib

_MOST_WAITING: Final = 4_000  # events that the app is behind: then further cars wait
_LOOK_S: Final = 1.0
_DONE_WITHIN_S: Final = 900.0

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    cars: Sequence[int]  # their numbers: a car does the same alone as among others
    seed: int
    at_once: int = 100  # cars that are connected
    kills: Sequence[tuple[float, str]] = ((0.25, "host"), (0.5, "broker"), (0.75, "host"))  # when that share has sent
    # Shorter than in production: what has fallen silent is closed while other cars still send.
    sweep_every_s: int = 10
    close_after_s: int = 20
    lateness_s: int = 40
    close_by_command: bool = False  # rather than by the sweep, which takes its time

    @property
    def settings(self) -> dict[str, str]:
        return {
            "TRIP_SWEEP_SCHEDULE": f"*/{self.sweep_every_s} * * * * *",
            "TRIP_CLOSE_AFTER_S": str(self.close_after_s),
            "TRIP_LATENESS_S": str(self.lateness_s),
            "AzureWebJobs_notifications_domain_events_Disabled": "true",  # there is nobody to tell
        }

    @property
    def closed_within_s(self) -> int:
        """What is missing is waived, then what is open is closed, each by the first sweep that finds it due."""
        return self.lateness_s + self.close_after_s + 3 * self.sweep_every_s


async def run(folder: Path, options: Options, tell: Tell) -> Report:
    """The logs of all services are in the folder."""
    begin_s = time.monotonic()
    async with running(folder, options.settings) as cloud, AsyncExitStack() as stack:
        app = await stack.enter_async_context(AppClient(cloud.layout))
        backlog = await stack.enter_async_context(Backlog(cloud.layout))
        registry = HubService(cloud.layout.iothub_service_connection, Pki(cloud.layout.pki).root)
        fleet = Fleet(cloud.layout, await stack.enter_async_context(registry))
        day = _Day(cloud, app, backlog, fleet, options, tell)
        stalled = list[str]()
        try:
            await day.pass_by()
        except TimeoutError as error:
            stalled.append(f"stalled: {error}")
        report = await day.report()
        report.failures += stalled
    report.figures["seconds in all"] = round(time.monotonic() - begin_s)
    return report


class _Day:
    def __init__(
        self, cloud: Cloud, app: AppClient, backlog: Backlog, fleet: Fleet, options: Options, tell: Tell
    ) -> None:
        self._cloud, self._app, self._backlog, self._fleet = cloud, app, backlog, fleet
        self._options, self._tell = options, tell
        self._now_ms = to_epoch_ms(utc_now())
        self._days = list[CarDay]()  # of the cars that have sent
        self._room = asyncio.Event()
        self._seconds = dict[str, float]()

    async def pass_by(self) -> None:
        await self._phase("messages sent", self._send())
        await self._phase("taken in", self._take_in())
        await self._phase("trips closed", self._close())
        await self._phase("late messages sent", self._send_late())
        await self._phase("taken in", self._take_in())
        await self._phase("trips closed", self._close())

    async def _phase(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        begin_s = time.monotonic()
        await work
        self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - begin_s
        self._tell(f"{name} ({time.monotonic() - begin_s:.0f} s)")

    # --- sending

    async def _send(self) -> None:
        turn = asyncio.Semaphore(self._options.at_once)
        helpers = [asyncio.create_task(self._look()), asyncio.create_task(self._kill())]

        async def one(number: int) -> None:
            async with turn:
                await self._room.wait()
                day = plan_day(self._options.seed, number, self._now_ms)
                await self._fleet.register(day.vehicle_id)
                await self._fleet.send(day.vehicle_id, day.messages)
                day.messages.clear()
                self._days.append(day)

        try:
            async with asyncio.TaskGroup() as sending:
                for number in self._options.cars:
                    sending.create_task(one(number))
            await helpers[1]
        finally:
            for helper in helpers:
                helper.cancel()

    async def _look(self) -> None:
        """Cars start only while the app is not far behind, so that the Event Hub need not keep the whole day."""
        while True:
            with suppress(EventHubError):  # the broker is being killed
                waiting = await self._backlog.waiting_events(settings.TELEMETRY_HUB)
                (self._room.set if waiting <= _MOST_WAITING else self._room.clear)()
            await asyncio.sleep(_LOOK_S)

    async def _kill(self) -> None:
        for share, name in self._options.kills:
            while len(self._days) < share * len(self._options.cars):  # noqa: ASYNC110 - not worth a condition
                await asyncio.sleep(_LOOK_S / 10)
            self._tell(f"{name} killed after {len(self._days)} cars")
            await self._cloud.kill(name)

    async def _send_late(self) -> None:
        turn = asyncio.Semaphore(self._options.at_once)

        async def one(day: CarDay) -> None:
            async with turn:
                await self._fleet.send(day.vehicle_id, day.late)

        await asyncio.gather(*(one(day) for day in self._days if day.late))

    async def _take_in(self) -> None:
        await self._backlog.until_empty(hubs=[settings.TELEMETRY_HUB], timeout_s=_DONE_WITHIN_S)

    async def _close(self) -> None:
        if self._options.close_by_command:
            commands = [CloseTrip(vehicle_id=day.vehicle_id) for day in self._days]
            await self._app.command(settings.TRIP_COMMANDS, *commands)
        else:  # cars just fall silent, and the sweep has to notice
            await asyncio.sleep(self._options.closed_within_s)
        await self._backlog.until_empty(queues=[settings.TRIP_COMMANDS], timeout_s=_DONE_WITHIN_S)

    # --- the verdict

    async def report(self) -> Report:
        verdict = judge(self._days, await self._app.rows(settings.TRIPS_TABLE), await self._events())
        report = Report("a day", self._figures(verdict), verdict.violations)
        for row in await self._app.parked():
            report.failures.append(f"parked: {row['PartitionKey']}: {row['code']}: {row['detail']}")
        report.failures += self._cloud.deaths()
        return report

    async def _events(self) -> list[Event]:
        """Everything that was ever published."""
        events = list[Event]()
        async with (
            ServiceBusClient.from_connection_string(self._cloud.layout.amqp_connection) as client,
            client.get_subscription_receiver(
                settings.DOMAIN_EVENTS, WITNESS, receive_mode="receiveanddelete"
            ) as receiver,
        ):
            while messages := await receiver.receive_messages(500, max_wait_time=2):
                for message in messages:
                    kind = (message.application_properties or {})[b"cloudEvents:type"]
                    assert isinstance(kind, bytes)
                    told = msgspec.json.decode(b"".join(message.body))
                    events.append(Event(str(message.message_id), kind.decode(), told))
        return events

    def _figures(self, verdict: Verdict) -> dict[str, Any]:
        counted = Counter[str]()
        for day in self._days:
            counted.update(day.figures)
        sent = counted["messages"] + counted["copies"] - counted["lost messages"]
        taken_in_s = self._seconds["messages sent"] + self._seconds["taken in"] + self._seconds["late messages sent"]
        return {
            "cars": len(self._days),
            "drives": verdict.drives,
            "trips": verdict.trips,
            "worst distance": f"{max(verdict.errors_pct, default=0.0):.2f} %",
            "worst end": f"{max(verdict.errors_s, default=0.0):.0f} s",
            "last revisions": dict(sorted(verdict.revisions.items())),
            "withdrawn": verdict.withdrawn,
            "repeated events": verdict.copies,
            **{name: counted[name] for name in sorted(counted)},
            "messages a second": round(sent / taken_in_s),
            "seconds": {name: round(seconds) for name, seconds in self._seconds.items()},
            "kills": self._cloud.kills,
            "longest restart": f"{self._cloud.longest_start_s:.1f} s",
            "memory": {name: f"{mib(size)} MiB" for name, size in self._cloud.most_bytes.items()},
            "CPU seconds": {
                "cars": round(time.process_time()),
                **{name: round(self._cloud.cpu_s(name)) for name in self._cloud.most_bytes},
            },
        }
