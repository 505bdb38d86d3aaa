"""When timers fire: status at the start, after an invocation, in storage, and past due after an absence."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob.aio import BlobServiceClient

from localcloud.host.ncrontab import Schedule
from localcloud.host.timers import NEVER, ScheduleStatus, StatusStore, status_after, status_at_start
from localcloud.host.timetables import parse_timetable
from localcloud.layout import Layout
from localcloud.processes import Child
from tests.conformance.documented import documented
from tests.host.conftest import Bench

HOURLY = Schedule.parse("0 0 * * * *")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def test_a_new_timer_is_next_due_by_its_schedule() -> None:
    assert status_at_start(HOURLY, None, NOON + MINUTE) == ScheduleStatus(NEVER, NOON + HOUR, NOON + MINUTE)


def test_a_timer_that_missed_its_moment_is_past_due() -> None:
    recorded = ScheduleStatus(NOON, NOON + HOUR, NOON)
    assert status_at_start(HOURLY, recorded, NOON + 3 * HOUR) == recorded


def test_a_timer_that_never_ran_and_missed_its_moment_is_past_due() -> None:
    recorded = ScheduleStatus(NEVER, NOON + HOUR, NOON + MINUTE)
    assert status_at_start(HOURLY, recorded, NOON + 3 * HOUR) == recorded


def test_a_changed_schedule_makes_nothing_past_due() -> None:
    recorded = ScheduleStatus(NOON, NOON + 24 * HOUR, NOON)
    now = NOON + 3 * HOUR + MINUTE
    assert status_at_start(HOURLY, recorded, now) == ScheduleStatus(NEVER, NOON + 4 * HOUR, now)


def test_a_timer_that_fired_a_little_early_is_not_due_at_the_same_moment_again() -> None:
    status = ScheduleStatus(NEVER, NOON, NEVER)
    early = NOON - timedelta(milliseconds=3)
    assert status_after(HOURLY, status, early, scheduled=True) == ScheduleStatus(NOON, NOON + HOUR, NOON)


def test_an_unscheduled_run_does_not_skip_the_next_moment() -> None:
    status = ScheduleStatus(NEVER, NOON + HOUR, NEVER)
    fired = NOON + MINUTE
    assert status_after(HOURLY, status, fired, scheduled=False) == ScheduleStatus(fired, NOON + HOUR, fired)


@documented("azure/azure-functions/functions-bindings-timer#timespan")
@pytest.mark.parametrize(
    ("text", "interval"),
    [("02:00:00", 2 * HOUR), ("00:00:30", MINUTE / 2), ("24:00:00", 24 * 24 * HOUR), ("1.00:00:00", 24 * HOUR)],
)
def test_a_time_span_is_the_interval_from_one_invocation_to_the_next(text: str, interval: timedelta) -> None:
    timetable = parse_timetable(text)
    assert timetable.next_after(NOON) == NOON + interval
    assert timetable.is_shorter_than(MINUTE, NOON) == (interval < MINUTE)


@pytest.mark.parametrize("text", ["00:00:00", "-00:01:00", "1:2:3:4"])
def test_an_interval_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be longer than nothing|is not a time span"):
        parse_timetable(text)


async def test_the_status_lies_where_the_real_extension_keeps_it(services: Layout) -> None:
    async with BlobServiceClient.from_connection_string(services.storage_connection) as storage:
        container = storage.get_container_client("status-test")
        await container.create_container()
        store = StatusStore(container, "some-host")
        assert await store.read("f") is None
        status = ScheduleStatus(NEVER, NOON, NOON)
        await store.write("f", status)
        assert await store.read("f") == status
        blob = await container.download_blob("timers/some-host/Host.Functions.f/status")
        assert json.loads(await blob.readall()) == {
            "Last": "0001-01-01T00:00:00+00:00",
            "Next": "2024-05-01T12:00:00+00:00",
            "LastUpdated": "2024-05-01T12:00:00+00:00",
        }


@documented("azure/azure-functions/functions-bindings-timer#usage")
async def test_a_timer_that_was_due_while_no_host_ran_fires_at_the_start(bench: Bench) -> None:
    hours_ago = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 3 * HOUR
    async with BlobServiceClient.from_connection_string(bench.layout.storage_connection) as storage:
        container = storage.get_container_client("azure-webjobs-hosts")
        if not await container.exists():
            await container.create_container()
        store = StatusStore(container, "absent")
        await store.write("tick", ScheduleStatus(hours_ago, hours_ago + HOUR, hours_ago))
        await bench.stop_hosts()
        await bench.start_host(Every="0 0 * * * *", AzureFunctionsWebHost__hostid="absent")
        (*_, last) = await bench.observer.wait("tick", where=lambda each: each["seen"]["past_due"])
        assert last["seen"]["schedule_status"]["Next"] == (hours_ago + HOUR).isoformat()
        async with asyncio.timeout(10):
            # Asked again and again, because a blob tells nobody that it was written.
            while (status := await store.read("tick")) is None or status.last == hours_ago:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert status.next == hours_ago + 4 * HOUR


@documented("azure/azure-functions/functions-bindings-timer#attributes")
async def test_a_timer_of_every_second_is_not_monitored_and_never_past_due(bench: Bench, host: Child) -> None:
    *_, one, other = await bench.observer.wait("every_second", 2)
    assert [each["seen"]["past_due"] for each in (one, other)] == [False, False]
    assert one["seen"]["schedule_status"] == {}
    async with BlobServiceClient.from_connection_string(bench.layout.storage_connection) as storage:
        names = [name async for name in storage.get_container_client("azure-webjobs-hosts").list_blob_names()]
    assert "timers/bench/Host.Functions.yearly/status" in names
    assert "timers/bench/Host.Functions.every_second/status" not in names
