"""Whatever was done with an entity, one that is restored from its records holds the same."""

import asyncio
import random
from pathlib import Path

import pytest

from localcloud.broker.declarations.config import QueueSettings
from localcloud.broker.delivery import Outcome, Settlement
from localcloud.broker.errors import AmqpError
from localcloud.broker.events.partition import Partition, parse_event
from localcloud.broker.events.retention import Retention
from localcloud.broker.locks import now_ms
from localcloud.broker.message import DATA, HEADER, Message, parse_message
from localcloud.broker.message_sessions import SessionQueue
from localcloud.broker.queue import Queue
from localcloud.broker.records import Records, open_journal
from localcloud.broker.rules.rule_operations import FOR_RULES
from localcloud.broker.rules.rules import Rules
from localcloud.broker.stored import State
from localcloud.broker.wire.encoder import described, encode
from tests.broker.taker import Taker

OUTCOMES = list(Outcome)


def message(chance: random.Random, number: int) -> Message:
    time_to_live_ms = chance.choice([None, None, 100_000 + number])
    header = described(HEADER, encode([None, None, time_to_live_ms])) if time_to_live_ms else b""
    parsed = parse_message(header + described(DATA, encode(b"%d" % number)))
    scheduled_ms = chance.choice([None, None, now_ms() + 100_000])
    return parsed if scheduled_ms is None else parsed.annotated("x-opt-scheduled-enqueue-time", scheduled_ms)


def held(queue: Queue) -> list[tuple[object, ...]]:
    """What a queue and its dead letters hold, as clients can see it, less the locks."""
    found: list[tuple[object, ...]] = []
    for one in (queue, queue.dead_letters):
        assert one is not None
        for entry in one.peek(0, 10_000, None):
            entry.state = entry.unlocked_state
            found.append((entry.sequence_number, entry.state, entry.delivery_count, entry.expires_ms, entry.encoded()))
    return found


def act(queue: Queue, chance: random.Random, number: int) -> None:
    """One thing that clients do."""
    match chance.randrange(4):
        case 0 | 1:
            content = message(chance, number)
            scheduled = content.annotations.get("x-opt-scheduled-enqueue-time")
            (sequence_number,) = queue.put([parse_message(content.kept())])
            if scheduled and chance.random() < 0.3:
                queue.cancel_scheduled([sequence_number])
        case 2:
            taker = Taker(settled=chance.random() < 0.2)
            taker.credit = chance.randrange(1, 4)
            queue.on_credit(taker)
            queue.drop(taker)
            for tag in taker.tags:
                if not taker.settled and chance.random() < 0.8:
                    queue.settle(tag, Settlement(chance.choice(OUTCOMES), {"DeadLetterReason": f"r{number}"}))
        case _:
            deferred = [entry for entry in queue.peek(0, 1000, None) if entry.state is State.DEFERRED]
            if deferred:
                settled = chance.random() < 0.5
                for tag, lock, _ in queue.receive_deferred([chance.choice(deferred).sequence_number], settled=settled):
                    if lock is not None:
                        queue.settle(tag, Settlement(chance.choice(OUTCOMES)))


@pytest.mark.parametrize("seed", range(12))
async def test_a_restored_queue_holds_what_it_held(tmp_path: Path, seed: int) -> None:
    """Messages in every state, their numbers, counts, ends of life and bytes; cut at any group of the journal."""
    chance = random.Random(seed)
    settings = QueueSettings(max_delivery_count=3, default_time_to_live_s=1000.0)
    loop = asyncio.get_running_loop()
    expected: list[tuple[object, ...]] = []
    last_number = 0
    for _ in range(4):
        journal = open_journal(tmp_path)
        queue = Queue("q", settings, loop, Records(journal))
        queue.restore()
        assert held(queue) == expected
        for number in range(60):
            act(queue, chance, number)
            if chance.random() < 0.2:
                await asyncio.sleep(0)
        expected = held(queue)
        (newest,) = queue.put([parse_message(described(DATA, encode(b"newest")))])
        assert newest > last_number
        last_number, expected = newest, held(queue)
        queue.close()
        await journal.close()


async def test_a_restored_session_queue_has_its_sessions(tmp_path: Path) -> None:
    """In their order, with their states; a state that was taken away stays away."""
    loop = asyncio.get_running_loop()
    journal = open_journal(tmp_path)
    queue = SessionQueue("q", QueueSettings(requires_session=True), loop, Records(journal))
    for session_id, state in (("a", b"one"), ("b", b"gone"), ("c", b"")):
        session = queue.accept(Taker(settled=False), session_id)
        queue.set_session_state(session_id, state)
        if state == b"gone":
            queue.set_session_state(session_id, None)
        queue.release(session)
    queue.close()
    await journal.close()
    journal = open_journal(tmp_path)
    restored = SessionQueue("q", QueueSettings(requires_session=True), loop, Records(journal))
    restored.restore()
    assert restored.session_ids() == ["a", "c"]
    assert [restored.session_state(session_id) for session_id in "abc"] == [b"one", None, b""]
    restored.close()
    await journal.close()


async def test_a_restored_partition_has_the_events_that_it_kept(tmp_path: Path) -> None:
    """Not those that had to go for newer ones, and its numbers go on."""
    event = parse_event(described(DATA, encode(bytes(1000))))
    journal = open_journal(tmp_path)
    partition = Partition("0", Retention(3_600_000, 50_000), Records(journal).of_partition("hub/Partitions/0"))
    for _ in range(100):
        partition.append(event, 1)
    kept = [
        partition.event(number)
        for number in range(partition.first_sequence_number, partition.first_sequence_number + 10)
    ]
    first, last = partition.first_sequence_number, partition.last
    await journal.close()
    journal = open_journal(tmp_path)
    restored = Partition("0", Retention(3_600_000, 50_000), Records(journal).of_partition("hub/Partitions/0"))
    assert (restored.first_sequence_number, restored.last) == (first, last)
    assert [restored.event(number) for number in range(first, first + 10)] == kept
    restored.append(event, 2)
    assert last is not None
    assert restored.last is not None
    assert restored.last.sequence_number == last.sequence_number + 1
    assert restored.last.offset > last.offset
    await journal.close()


async def test_a_deferred_message_stays_deferred(tmp_path: Path) -> None:
    """Abandoning it, or losing its lock, count deliveries and give it to nobody who does not ask for it by number."""
    journal = open_journal(tmp_path)
    queue = Queue("q", QueueSettings(lock_duration_s=0.05), asyncio.get_running_loop(), Records(journal))
    (number,) = queue.put([parse_message(described(DATA, encode(b"later")))])
    taker = Taker(settled=False)
    taker.credit = 1
    queue.on_credit(taker)
    queue.settle(taker.tags.pop(), Settlement(Outcome.DEFERRED))
    ((token, _, message),) = queue.receive_deferred([number], settled=False)
    queue.settle(token, Settlement(Outcome.ABANDONED))
    queue.receive_deferred([number], settled=False)
    await asyncio.sleep(0.2)  # the lock is over
    taker.credit = 1
    queue.on_credit(taker)
    assert (message.state, message.delivery_count, taker.tags) == (State.DEFERRED, 3, [])
    queue.close()
    await journal.close()


async def test_a_deferred_message_that_has_expired_is_buried_when_it_is_asked_for(tmp_path: Path) -> None:
    """Not before: nobody looks at it."""
    journal = open_journal(tmp_path)
    settings = QueueSettings(default_time_to_live_s=0.05, dead_letter_on_expiration=True)
    queue = Queue("q", settings, asyncio.get_running_loop(), Records(journal))
    assert queue.dead_letters is not None
    (number,) = queue.put([parse_message(described(DATA, encode(b"later")))])
    taker = Taker(settled=False)
    taker.credit = 1
    queue.on_credit(taker)
    queue.settle(taker.tags.pop(), Settlement(Outcome.DEFERRED))
    await asyncio.sleep(0.1)
    assert not queue.dead_letters.peek(0, 1, None)
    with pytest.raises(AmqpError, match="could not be found"):
        queue.receive_deferred([number], settled=False)
    assert queue.dead_letters.peek(0, 1, None)
    queue.close()
    await journal.close()


async def test_a_rule_that_comes_and_goes_leaves_nothing(tmp_path: Path) -> None:
    """Not a row for each name that an app has ever used; of a declared rule it stays known that it is gone."""
    journal = open_journal(tmp_path)
    records = Records(journal).of("t/Subscriptions/s")
    rules = Rules()
    for name in ("temporary", "$Default"):
        if name != "$Default":
            description = {"sql-filter": {"expression": "1 = 1"}}
            FOR_RULES["add-rule"](rules, records, {"rule-name": name, "rule-description": description})
        FOR_RULES["remove-rule"](rules, records, {"rule-name": name.upper()})
    await journal.close()
    journal = open_journal(tmp_path)
    assert Records(journal).of("t/Subscriptions/s").rule_changes() == [("$DEFAULT", None)]
    await journal.close()


async def test_a_message_that_expired_while_the_machine_slept_is_not_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timers stand still then, the time to live does not."""
    journal = open_journal(tmp_path)
    settings = QueueSettings(default_time_to_live_s=60, dead_letter_on_expiration=True)
    queue = Queue("q", settings, asyncio.get_running_loop(), Records(journal))
    assert queue.dead_letters is not None
    queue.put([parse_message(described(DATA, encode(b"stale")))] * 2)
    woken_ms = now_ms() + 3_600_000
    monkeypatch.setattr("localcloud.broker.queue.now_ms", lambda: woken_ms)
    queue.put([parse_message(described(DATA, encode(b"fresh")))])
    taker = Taker(settled=True)
    taker.credit = 3
    queue.on_credit(taker)
    assert len(taker.tags) == 1
    assert len(queue.dead_letters.peek(0, 10, None)) == 2
    queue.close()
    await journal.close()
