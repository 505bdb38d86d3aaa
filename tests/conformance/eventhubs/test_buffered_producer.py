"""The buffered mode of the producer: it sends by itself and maps keys to partitions itself."""

import asyncio
from typing import Any

from azure.eventhub import EventData

from localcloud.broker.events.partition_key import hash_code
from tests.conformance.documented import documented
from tests.conformance.eventhubs.hub import Hub, with_hub

_PRODUCER = "python/api/azure-eventhub/azure.eventhub.eventhubproducerclient"
_BUFFERED = f"{_PRODUCER}#constructor"
_FLUSH = f"{_PRODUCER}#azure-eventhub-eventhubproducerclient-flush"


class Outcomes:
    """What the producer says became of events."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str | None]] = []
        self.failed: list[Exception] = []

    def on_success(self, events: Any, partition: str | None) -> None:
        self.sent += [(event.body_as_str(), partition) for event in events]

    def on_error(self, _events: Any, _partition: str | None, error: Exception) -> None:
        self.failed.append(error)


def buffered(hub: Hub, outcomes: Outcomes, max_wait_time: float) -> Any:
    return hub.new_producer(
        buffered_mode=True,
        max_wait_time=max_wait_time,
        max_buffer_length=100,
        on_success=hub.flavour.callback(outcomes.on_success),
        on_error=hub.flavour.callback(outcomes.on_error),
    )


@documented(_FLUSH)
@with_hub(partitions=1)
async def test_events_wait_in_the_buffer_until_it_is_flushed(hub: Hub) -> None:
    """Then all are sent, in order, and the producer is told so with the partition."""
    outcomes = Outcomes()
    producer = buffered(hub, outcomes, 60)
    for number in range(10):
        await producer.send_event(EventData(str(number)))
    assert not outcomes.sent
    assert (await hub.producer.get_partition_properties("0"))["is_empty"]
    await producer.flush()
    assert await hub.read().bodies(10) == [str(number) for number in range(10)]
    assert outcomes.sent == [(str(number), "0") for number in range(10)]
    assert not outcomes.failed


@documented(_BUFFERED)
@with_hub(partitions=1)
async def test_events_are_sent_after_a_time_or_when_the_buffer_is_full(hub: Hub) -> None:
    """Without a flush."""
    timed, filled = Outcomes(), Outcomes()
    by_time, by_size = buffered(hub, timed, 0.5), buffered(hub, filled, 60)
    await by_time.send_event(EventData("timed"))
    assert await hub.read().bodies(1) == ["timed"]
    for number in range(101):
        await by_size.send_event(EventData(str(number)))
    assert len(await hub.read().got(101)) == 101
    assert not [*timed.failed, *filled.failed]


@documented(_BUFFERED)
@with_hub(partitions=4)
async def test_a_buffered_event_with_a_key_goes_where_the_service_sends_that_key(hub: Hub) -> None:
    """For keys whose hash is not negative: with others, Python's SDK alone takes another remainder."""
    keys = [key for key in map("car-{}".format, range(40)) if hash_code(key) >= 0]
    assert len(keys) > 10
    outcomes = Outcomes()
    producer = buffered(hub, outcomes, 60)
    await asyncio.gather(*(hub.send(key, partition_key=key) for key in keys))
    for key in keys:
        await producer.send_event(EventData(key), partition_key=key)
    await producer.flush()
    reading = hub.read(partition=None)
    events = await reading.got(2 * len(keys))
    places = {(event.body_as_str(), place.partition_id) for event, place in zip(events, reading.contexts, strict=True)}
    assert len(places) == len(keys)
    assert places == set(outcomes.sent)


@documented(f"{_PRODUCER}#azure-eventhub-eventhubproducerclient-close")
@with_hub(partitions=1)
async def test_closing_the_producer_sends_what_is_buffered(hub: Hub) -> None:
    """Nothing is lost."""
    outcomes = Outcomes()
    producer = buffered(hub, outcomes, 2)
    await producer.send_batch([EventData("a"), EventData("b")])
    await producer.close(flush=True)
    assert await hub.read().bodies(2) == ["a", "b"]
