"""Where and how consumers read."""

import asyncio
from datetime import UTC, datetime

from azure.eventhub.exceptions import EventHubError

from tests.conformance.documented import documented
from tests.conformance.eventhubs.clients import WAIT_S, Reading, Threads
from tests.conformance.eventhubs.hub import SECOND_GROUP, Hub, with_hub

_FEATURES = "azure/event-hubs/event-hubs-features"
_CONSUMER = "python/api/azure-eventhub/azure.eventhub.eventhubconsumerclient"
_RECEIVE = f"{_CONSUMER}#azure-eventhub-eventhubconsumerclient-receive"
_RECEIVE_BATCH = f"{_CONSUMER}#azure-eventhub-eventhubconsumerclient-receive-batch"
_RETENTION_S = 4.0
# A reader of the asyncio client whose link is refused tries again for ever, without a word.
_TELLING = (Threads.name,)


@documented(f"{_FEATURES}#partitions")
@with_hub()
async def test_events_are_read_in_the_order_in_which_they_came(hub: Hub) -> None:
    """With numbers without a gap and growing offsets, however many there are."""
    for start in range(0, 1000, 250):
        await hub.send(*map(str, range(start, start + 250)), partition_id="0")
    reading = hub.read()
    assert await reading.bodies(1000) == [str(number) for number in range(1000)]
    first = reading.events[0].sequence_number or 0
    assert [event.sequence_number for event in reading.events] == list(range(first, first + 1000))
    offsets = [int(event.offset or "") for event in reading.events]
    assert offsets == sorted(set(offsets))


@documented(f"{_FEATURES}#consumer-groups")
@with_hub()
async def test_every_group_reads_all_events_for_itself(hub: Hub) -> None:
    """Reading takes nothing away: not from others, nor from a later reader of the same group."""
    await hub.send("a", "b", partition_id="0")
    first, other = hub.read(), hub.read(group=SECOND_GROUP)
    assert await first.bodies(2) == ["a", "b"]
    assert await other.bodies(2) == ["a", "b"]
    assert await hub.read().bodies(2) == ["a", "b"]


@documented(_RECEIVE)
@with_hub()
async def test_a_reader_at_the_start_sees_all_that_is_kept(hub: Hub) -> None:
    """The position "-1"."""
    await hub.send("a", "b", partition_id="0")
    assert await hub.read("-1").bodies(2) == ["a", "b"]


@documented(_RECEIVE)
@with_hub()
async def test_a_reader_at_the_end_sees_only_what_comes(hub: Hub) -> None:
    """The position "@latest", which is also the one without saying."""
    await hub.send("old", partition_id="0")
    latest, unsaid = hub.read("@latest"), hub.read(None)
    # Both are there once one that was opened later is.
    await hub.read("-1").got(1)
    await asyncio.sleep(1)
    await hub.send("new", partition_id="0")
    assert await latest.bodies(1) == ["new"]
    assert await unsaid.bodies(1) == ["new"]


@documented(f"{_FEATURES}#stream-offsets")
@with_hub()
async def test_a_reader_begins_behind_an_offset_or_at_it(hub: Hub) -> None:
    """Without the event there, or with it if that is asked for."""
    await hub.send("a", "b", "c", partition_id="0")
    offset = (await hub.read().got(3))[1].offset
    behind, at = hub.read(offset), hub.read(offset, starting_position_inclusive=True)
    assert await behind.bodies(1) == ["c"]
    assert await at.bodies(2) == ["b", "c"]


@documented(_RECEIVE)
@with_hub()
async def test_a_reader_begins_behind_a_sequence_number_or_at_it(hub: Hub) -> None:
    """As with offsets, but the position is a number."""
    await hub.send("a", "b", "c", partition_id="0")
    number = (await hub.read().got(3))[1].sequence_number
    behind, at = hub.read(number), hub.read(number, starting_position_inclusive=True)
    assert await behind.bodies(1) == ["c"]
    assert await at.bodies(2) == ["b", "c"]


@documented(f"{_FEATURES}#stream-offsets")
@with_hub()
async def test_a_reader_begins_behind_a_time_or_at_it(hub: Hub) -> None:
    """The time at which the service accepted an event; any other time is as good."""
    await hub.send("a", partition_id="0")
    await asyncio.sleep(0.05)
    between = datetime.now(UTC)
    await asyncio.sleep(0.05)
    await hub.send("b", partition_id="0")
    await asyncio.sleep(0.05)
    await hub.send("c", partition_id="0")
    enqueued = (await hub.read().got(3))[1].enqueued_time
    from_between = hub.read(between)
    behind, at = hub.read(enqueued), hub.read(enqueued, starting_position_inclusive=True)
    assert await from_between.bodies(2) == ["b", "c"]
    assert await behind.bodies(1) == ["c"]
    assert await at.bodies(2) == ["b", "c"]


@documented(_RECEIVE)
@with_hub()
async def test_each_partition_may_have_a_position_of_its_own(hub: Hub) -> None:
    """One reader of all partitions."""
    await asyncio.gather(*(hub.send("a", "b", partition_id=partition) for partition in "01"))
    offset = (await hub.read().got(2))[0].offset
    reading = hub.read({"0": offset, "1": "-1"}, partition=None)
    await reading.got(3)
    seen = zip([context.partition_id for context in reading.contexts], await reading.bodies(3), strict=True)
    assert sorted(seen) == [("0", "b"), ("1", "a"), ("1", "b")]


@documented("https://github.com/Azure/azure-sdk-for-java/issues/10215")
@with_hub(flavours=_TELLING)
async def test_an_offset_that_no_event_has_reached_is_invalid(hub: Hub) -> None:
    """The error says which is the last: a checkpoint of another event hub is found out."""
    await hub.send("a", partition_id="0")
    last = (await hub.read().got(1))[0].offset
    error = await hub.read(str(1 << 62)).failed()
    assert isinstance(error, EventHubError)
    assert f"The supplied offset '{1 << 62}' is invalid. The last offset in the system is '{last}'" in str(error)


@documented("azure/event-hubs/exceptions-dotnet#exception-information")
@with_hub(flavours=_TELLING)
async def test_a_group_that_does_not_exist_is_not_found(hub: Hub) -> None:
    """The error has the path of the reader."""
    error = await hub.read(group="nobody").failed()
    assert isinstance(error, EventHubError)
    assert "ConsumerGroups/nobody/Partitions/0' could not be found" in str(error)


@documented("azure/event-hubs/exceptions-dotnet#exception-information")
@with_hub()
async def test_a_partition_that_does_not_exist_cannot_be_read(hub: Hub) -> None:
    """The client asks for those that do."""
    error = await hub.read(partition="7").failed()
    assert "The eventhub has partitions: ['0', '1']" in str(error)


@documented("azure/event-hubs/event-hubs-quotas#common-limits-for-all-tiers")
@with_hub()
async def test_a_group_has_five_readers_of_a_partition(hub: Hub) -> None:
    """Each of them gets every event."""
    await hub.send("a", partition_id="0")
    for reading in [hub.read() for _ in range(5)]:
        assert await reading.bodies(1) == ["a"]


@documented("azure/event-hubs/event-hubs-quotas#common-limits-for-all-tiers")
@with_hub(flavours=_TELLING)
async def test_a_sixth_reader_is_refused(hub: Hub) -> None:
    """Unless it is of another group. The others go on, and there is room again once one is gone."""
    await hub.send("a", partition_id="0")
    readings = [hub.read() for _ in range(5)]
    for reading in readings:
        await reading.got(1)
    error = await hub.read().failed()
    assert isinstance(error, EventHubError)
    assert "maximum number of allowed receivers per partition in a consumer group which is 5" in str(error)
    assert await hub.read(group=SECOND_GROUP).bodies(1) == ["a"]
    await hub.stop(readings[0])
    await asyncio.sleep(1)
    await hub.send("b", partition_id="0")
    assert await hub.read().bodies(2) == ["a", "b"]
    assert await readings[1].bodies(2) == ["a", "b"]


@documented(_RECEIVE_BATCH)
@with_hub()
async def test_batches_are_as_large_as_the_reader_allows(hub: Hub) -> None:
    """Never larger; what is there is delivered without waiting for more."""
    await hub.send(*map(str, range(25)), partition_id="0")
    reading = hub.read(batches=True, max_batch_size=10)
    assert await reading.bodies(25) == [str(number) for number in range(25)]
    assert max(reading.sizes) <= 10


@documented(_RECEIVE)
@with_hub()
async def test_a_reader_is_told_when_nothing_came_for_a_time(hub: Hub) -> None:
    """With `max_wait_time` its handler is called without an event, and later with the next one."""
    single, batches = hub.read(max_wait_time=0.2), hub.read(batches=True, max_wait_time=0.2)
    await single.until(lambda: single.idle_calls >= 2)
    await batches.until(lambda: batches.idle_calls >= 2)
    await hub.send("a", partition_id="0")
    assert await single.bodies(1) == ["a"]
    assert await batches.bodies(1) == ["a"]


@documented(_RECEIVE)
@with_hub()
async def test_a_reader_that_prefetches_few_gets_all_the_same(hub: Hub) -> None:
    """Credit is given anew as events are taken."""
    await hub.send(*map(str, range(100)), partition_id="0")
    assert (await hub.read(prefetch=1).bodies(20))[:20] == [str(number) for number in range(20)]
    assert await hub.read(prefetch=7).bodies(100) == [str(number) for number in range(100)]


@documented(f"{_FEATURES}#event-consumers")
@with_hub()
async def test_an_idle_reader_gets_an_event_as_soon_as_it_comes(hub: Hub) -> None:
    """There is no polling: events are delivered through the open session.

    The client hangs up after two seconds without a sign of life, so the service gives signs.
    """
    reading = hub.read(client={"idle_timeout": 2})
    await asyncio.sleep(5)
    await hub.send("a", partition_id="0")
    assert await reading.bodies(1) == ["a"]
    assert not reading.errors


@documented(f"{_FEATURES}#event-retention")
@with_hub(RetentionTimeInHours=_RETENTION_S / 3600)
async def test_events_are_gone_after_the_time_of_retention(hub: Hub) -> None:
    """A reader with an older position begins at the first event that is kept."""

    async def send_until_read(body: str, *readings: Reading) -> None:
        async with asyncio.timeout(WAIT_S):
            while not all(reading.events for reading in readings):
                await hub.send(body, partition_id="0")
                await asyncio.sleep(0.5)

    first = hub.read("-1")
    await send_until_read("old", first)
    old = first.events[0]
    await asyncio.sleep(_RETENTION_S * 1.1)
    readings = hub.read("-1"), hub.read(old.offset), hub.read(old.sequence_number)
    await send_until_read("new", *readings)
    assert {event.body_as_str() for reading in readings for event in reading.events} == {"new"}
