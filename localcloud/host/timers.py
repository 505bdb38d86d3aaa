"""Timer triggers: when they are due, what they missed, and the status that the real extension keeps in blob storage."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from localcloud.clock import Clock, utc_now
from localcloud.errors import Misconfigured
from localcloud.host.app import IndexedFunction
from localcloud.host.decoding import timer_info
from localcloud.host.logs import current_function, logger
from localcloud.host.retrying_invoker import RetryingInvoker
from localcloud.host.settings import AppSettings
from localcloud.host.timetables import Timetable, parse_timetable

STATUS_CONTAINER = "azure-webjobs-hosts"
# .NET's default(DateTime): the timer has not run yet.
NEVER = datetime(1, 1, 1, tzinfo=UTC)
# More frequent timers are not monitored, whatever the trigger says (TimerTriggerAttributeBindingProvider).
_SHORTEST_MONITORED = timedelta(minutes=1)
# A long sleep runs on the monotonic clock, which a suspended laptop stops: look at the wall clock now and then.
_LONGEST_SLEEP_S = 60.0


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """When a timer last ran, when it is next due, and when this was written."""

    last: datetime
    next: datetime
    last_updated: datetime

    def to_json(self) -> dict[str, str]:
        return {
            "Last": self.last.isoformat(),
            "Next": self.next.isoformat(),
            "LastUpdated": self.last_updated.isoformat(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, str]) -> "ScheduleStatus":
        last, due, updated = (datetime.fromisoformat(document[key]) for key in ("Last", "Next", "LastUpdated"))
        return cls(last, due, updated)


def status_at_start(schedule: Timetable, recorded: ScheduleStatus | None, now: datetime) -> ScheduleStatus:
    """The status to start from (ScheduleMonitor.CheckPastDueAsync). It is past due if its `next` lies before `now`.

    After a change of the schedule nothing counts as missed.
    """
    if recorded is None:
        return ScheduleStatus(NEVER, schedule.next_after(now), now)
    expected = schedule.next_after(recorded.last_updated if recorded.last == NEVER else recorded.last)
    if expected == recorded.next:
        return recorded
    return ScheduleStatus(NEVER, expected if expected >= now else schedule.next_after(now), now)


def status_after(schedule: Timetable, status: ScheduleStatus, fired_at: datetime, *, scheduled: bool) -> ScheduleStatus:
    """The status after an invocation, failed or not; one that came early does not make its moment due twice."""
    moment = max(fired_at, status.next) if scheduled else fired_at
    return ScheduleStatus(moment, schedule.next_after(moment), moment)


class StatusStore:
    """`timers/{host id}/Host.Functions.{function}/status` in the host's container."""

    def __init__(self, container: ContainerClient, host_id: str) -> None:
        self._container = container
        self._host_id = host_id

    async def read(self, function: str) -> ScheduleStatus | None:
        try:
            download = await self._container.download_blob(self._path(function))
            return ScheduleStatus.from_json(json.loads(await download.readall()))
        except ResourceNotFoundError:
            return None

    async def write(self, function: str, status: ScheduleStatus) -> None:
        await self._container.upload_blob(self._path(function), json.dumps(status.to_json()), overwrite=True)

    def _path(self, function: str) -> str:
        return f"timers/{self._host_id}/Host.Functions.{function}/status"


class TimerListener:
    """Fires one function by its schedule, one invocation at a time."""

    def __init__(
        self,
        function: IndexedFunction,
        invoker: RetryingInvoker,
        settings: AppSettings,
        store: StatusStore,
        clock: Clock = utc_now,
    ) -> None:
        properties = function.trigger.properties
        try:
            self._schedule = parse_timetable(settings.resolve(properties["schedule"]))
        except ValueError as error:
            raise Misconfigured(str(error)) from error
        self._function = function
        self._invoker = invoker
        self._clock = clock
        self._run_on_startup = bool(properties.get("runOnStartup", False))
        monitored = properties.get("useMonitor", True) is not False
        too_frequent = self._schedule.is_shorter_than(_SHORTEST_MONITORED, clock())
        self._store = store if monitored and not too_frequent else None
        self._firing: asyncio.Task[None] | None = None
        self._invocation: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._status = ScheduleStatus(NEVER, NEVER, NEVER)

    async def start(self) -> None:
        """Returns once the status is read and, for a new timer, written."""
        current_function.set(self._function.name)
        now = self._clock()
        recorded = await self._store.read(self._function.name) if self._store else None
        self._status = status_at_start(self._schedule, recorded, now)
        if self._status != recorded:
            await self._record()
        self._firing = asyncio.create_task(self._fire_for_ever(past_due=self._status.next < now))

    async def stop(self, grace_s: float) -> None:
        """Fires no more, lets a running invocation come to its end and be recorded, at most for `grace_s` seconds."""
        self._stopping.set()
        if self._firing is None:
            return
        if self._invocation is not None:
            await asyncio.wait((self._invocation,), timeout=grace_s)
        self._firing.cancel()
        await asyncio.gather(self._firing, return_exceptions=True)

    async def _fire_for_ever(self, *, past_due: bool) -> None:
        if past_due:  # beats runOnStartup
            await self._fire(past_due=True, scheduled=False)
        elif self._run_on_startup:
            await self._fire(past_due=False, scheduled=False)
        while True:
            await self._sleep_until(self._status.next)
            await self._fire(past_due=False, scheduled=True)

    async def _sleep_until(self, moment: datetime) -> None:
        # Not an event: only time is waited for.
        while (remaining_s := (moment - self._clock()).total_seconds()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(remaining_s, _LONGEST_SLEEP_S))

    async def _fire(self, *, past_due: bool, scheduled: bool) -> None:
        self._invocation = asyncio.create_task(self._invoke(past_due=past_due, scheduled=scheduled))
        await self._invocation

    async def _invoke(self, *, past_due: bool, scheduled: bool) -> None:
        fired_at = self._clock()
        status = self._status.to_json() if self._store else None
        trigger_input = timer_info(past_due=past_due, status=status)
        if await self._invoker.run(self._function, trigger_input, self._stopping):
            self._status = status_after(self._schedule, self._status, fired_at, scheduled=scheduled)
            await self._record()

    async def _record(self) -> None:
        if self._store is None:
            return
        try:
            await self._store.write(self._function.name, self._status)
        except AzureError as error:  # best effort, as in the real extension
            logger.warning("the timer's status is not written: %s: %s", type(error).__name__, error)
