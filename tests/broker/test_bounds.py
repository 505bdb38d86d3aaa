"""What queues and partitions keep is bounded. Here without a network: it takes more than a test should send."""

import asyncio
import gc
import time
import tracemalloc
from dataclasses import replace

import pytest

from localcloud.broker.declarations.config import EventHubSettings, QueueSettings, TopicSettings
from localcloud.broker.declarations.declared_limits import DEFAULT_LIMITS, Limits
from localcloud.broker.errors import AmqpError
from localcloud.broker.events.event_hub import EventHub
from localcloud.broker.events.partition import Partition, parse_event
from localcloud.broker.events.position import START, Bound, Position, parse_selector
from localcloud.broker.events.retention import Retention
from localcloud.broker.locks import now_ms
from localcloud.broker.message import DATA, PARTITION_KEY, RawMap, annotation, parse_message
from localcloud.broker.message_sessions import SessionQueue
from localcloud.broker.queue import Queue
from localcloud.broker.records import PartitionRecords, Records
from localcloud.broker.schedule import Schedule
from localcloud.broker.topic import Topic
from localcloud.broker.wire.amqp_types import Malformed
from localcloud.broker.wire.encoder import described, encode
from localcloud.broker.wire.frame_writer import FrameWriter
from localcloud.journal import MemoryJournal
from tests.soak.amqp_transport import RecordingTransport


def no_records() -> PartitionRecords:
    return Records(MemoryJournal()).of_partition("hub/Partitions/0")


BODY = described(DATA, encode(bytes(1000)))
HOUR_MS = 3_600_000


async def test_a_full_queue_refuses_more() -> None:
    """All of a batch or nothing; what leaves makes room."""
    queue = Queue("q", QueueSettings(), asyncio.get_running_loop(), Records(MemoryJournal()))
    large = parse_message(described(DATA, encode(bytes(1 << 20))))
    fitting = DEFAULT_LIMITS.max_size_bytes // (large.size_bytes + 2000)
    queue.put([large] * fitting)
    with pytest.raises(AmqpError, match="maximum entity size"):
        queue.put([large] * 10)
    assert len(queue.peek(1, 10_000, None)) == fitting
    queue.close()


class Holder:
    """A consumer that has a session and takes no messages."""

    ready, settled = False, False

    def deliver(self, payload: bytes, tag: bytes) -> None:
        raise AssertionError("it takes none")

    def detach(self, error: AmqpError) -> None:
        raise AssertionError(f"it keeps its session: {error}")


async def test_session_states_take_room_too() -> None:
    """As long as they are set; they are no way around the quota."""
    settings = QueueSettings(requires_session=True, limits=Limits(max_size_bytes=5000))
    queue = SessionQueue("s", settings, asyncio.get_running_loop(), Records(MemoryJournal()))
    for name in ("one", "two"):
        queue.accept(Holder(), name)
    queue.set_session_state("one", bytes(4000))
    with pytest.raises(AmqpError, match="maximum entity size"):
        queue.set_session_state("two", bytes(2000))
    with pytest.raises(AmqpError, match="maximum entity size"):
        queue.put([replace(parse_message(BODY), session_id="two")])
    queue.set_session_state("one", bytes(1000))
    queue.set_session_state("two", bytes(2000))
    queue.set_session_state("one", None)
    queue.set_session_state("two", None)
    assert queue.size_bytes == 0
    queue.close()


async def test_a_schedule_follows_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that was set, or went on while the machine slept and the loop's own clock stood still."""
    monkeypatch.setattr("localcloud.broker.schedule._LONGEST_WAIT_S", 0.05)
    schedule, due = Schedule(asyncio.get_running_loop()), asyncio.Event()
    now_s = time.time()
    schedule.add(1, round(now_s * 1000) + HOUR_MS, due.set)
    await asyncio.sleep(0.1)
    assert not due.is_set()
    monkeypatch.setattr(time, "time", lambda: now_s + 3601)
    async with asyncio.timeout(10):
        await due.wait()
    schedule.close()


async def test_scheduled_messages_that_are_cancelled_leave_nothing() -> None:
    """However far away their time is: an app may plan and give up a reminder a million times."""
    schedule = Schedule(asyncio.get_running_loop())
    next_year_ms = round(time.time() * 1000) + 365 * 24 * HOUR_MS
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(50_000):
        schedule.add(number, next_year_ms + number, lambda: None)
        schedule.cancel([number])
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    schedule.close()
    assert after - before < 1 << 20


async def test_what_is_scheduled_to_a_topic_takes_room_too() -> None:
    """Until it is due or cancelled."""
    settings = TopicSettings({}, limits=Limits(max_size_bytes=5000))
    topic = Topic("t", settings, {}, asyncio.get_running_loop(), Records(MemoryJournal()))
    later = replace(parse_message(BODY), scheduled_ms=now_ms() + HOUR_MS)
    numbers = topic.put([later, later])
    with pytest.raises(AmqpError, match="maximum entity size"):
        topic.put([later])
    topic.cancel_scheduled(numbers)
    topic.put([later])
    topic.close()


def test_a_partition_drops_its_oldest_events() -> None:
    """The numbers of the others stay, and a reader of dropped ones goes on with the first that is there."""
    partition = Partition("0", Retention(max_age_ms=HOUR_MS, max_bytes=200_000), no_records())
    first = partition.first_sequence_number
    for moment in range(1000):
        partition.append(parse_event(BODY), moment)
    kept = 1000 + first - partition.first_sequence_number
    assert 100 < kept < 200
    assert partition.last is not None
    assert partition.last.sequence_number == first + 999
    assert partition.event(first) is None
    assert partition.sequence_number_at(START) == partition.first_sequence_number
    assert partition.sequence_number_at(Position(Bound.SEQUENCE_NUMBER, first)) == partition.first_sequence_number


def test_offsets_of_a_later_run_are_higher(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a consumer whose checkpoint is from an earlier run misses nothing of the new one."""
    earlier = Partition("0", Retention(HOUR_MS, 100 << 20), no_records())
    started_ns = time.time_ns()
    for _ in range(10_000):
        earlier.append(parse_event(BODY), 0)
    last = earlier.last
    assert last is not None
    monkeypatch.setattr(time, "time_ns", lambda: started_ns + 1_000_000_000)
    later = Partition("0", Retention(HOUR_MS, 1 << 20), no_records())
    later.append(parse_event(BODY), 0)
    checkpoint = parse_selector(f"amqp.annotation.x-opt-offset > '{last.offset}'")
    assert later.sequence_number_at(checkpoint) == later.first_sequence_number == 0


@pytest.mark.parametrize(
    ("selector", "position"),
    [
        (None, START),
        ("amqp.annotation.x-opt-offset > '-1'", START),
        ("amqp.annotation.x-opt-offset > '@latest'", Position(Bound.LATEST)),
        ("amqp.annotation.x-opt-offset > '42'", Position(Bound.OFFSET, 42)),
        ("amqp.annotation.x-opt-sequence-number >= '7'", Position(Bound.SEQUENCE_NUMBER, 7, inclusive=True)),
        ("amqp.annotation.x-opt-enqueued-time > '1700000000000'", Position(Bound.ENQUEUED_TIME, 1_700_000_000_000)),
    ],
)
def test_selectors_are_understood(selector: str | None, position: Position) -> None:
    assert parse_selector(selector) == position


@pytest.mark.parametrize("selector", ["", "x = 1", "amqp.annotation.x-opt-offset > 'many'"])
def test_other_selectors_are_refused(selector: str) -> None:
    with pytest.raises(AmqpError, match=r"not supported|no number"):
        parse_selector(selector)


def test_a_batch_with_a_malformed_key_adds_nothing() -> None:
    """Its producer is told so and sends it again: what came before that key would be there twice."""
    hub = EventHub("hub", EventHubSettings(partition_count=1), Records(MemoryJournal()))
    plain = parse_event(BODY)
    malformed = plain._replace(annotations=RawMap().plus(annotation(PARTITION_KEY, b"\xff"), 1))
    with pytest.raises(Malformed):
        hub.append([plain, malformed], None, "key")
    assert hub.partitions[0].is_empty


async def test_nothing_comes_between_the_frames_of_a_delivery() -> None:
    """Who waits for a connection with less to send is told in a turn of its own, not while something is sent."""
    relieved: list[int] = []
    transport = RecordingTransport()
    writer = FrameWriter(transport, asyncio.get_running_loop(), MemoryJournal(), lambda: relieved.append(1))
    writer.write(bytes(100))
    writer.write(bytes(1 << 20))
    assert (len(transport.written), relieved) == ((1 << 20) + 100, [])
    await asyncio.sleep(0)
    assert relieved == [1]
