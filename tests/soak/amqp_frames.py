"""Damaged AMQP conversations against a broker, while a client that says nothing wrong is served."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

from localcloud.broker import errors
from localcloud.broker.message import MESSAGE_STATE, sections
from localcloud.broker.stored import State
from localcloud.broker.wire.amqp_types import Described, Int, UByte, UInt, ULong
from localcloud.broker.wire.decoder import decode
from localcloud.broker.wire.frames import Frame, FrameReader
from localcloud.broker.wire.performatives import (
    ACCEPTED,
    ATTACH,
    CLOSE,
    DETACH,
    FLOW,
    REJECTED,
    SENDER_SETTLES,
    SOURCE,
    TARGET,
    TRANSFER,
    performative,
)
from localcloud.layout import LOOPBACK
from tests.broker.wire import (
    Received,
    ask_for_body,
    disposition_body,
    flow_body,
    put,
    wire_client,
)
from tests.iothub.services import Service, start_broker
from tests.soak import amqp_damage, amqp_talk
from tests.soak.damage import damaged, pieces
from tests.soak.figures import MIB, Report, cpu_s, mib, open_connections, rss_bytes
from tests.soak.rounds import Rounds

DRAIN_EVERY = 400  # conversations: what they leave in queues is memory, and rightly so
PATIENCE_S = 20.0
MAX_GROWTH_BYTES = 32 * MIB  # of resident memory, above what the hub's events take
_LOCK_S = 1.0
_CONDITIONS = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, str)}


def parse_answers(data: bytes) -> list[Received]:
    """The frames that a broker has sent. Raises if they are none."""
    found = []
    for item in FrameReader().feed(data):
        if isinstance(item, Frame):
            code, position = decode(item.body, 1)
            fields, end = decode(item.body, position)
            found.append(Received(item.channel, code, fields, item.body[end:]))
    return found


def conditions(answers: list[Received]) -> list[str]:
    """The errors that a broker has told of."""
    found = [answer.condition for answer in answers]
    states: list[Any] = [value for answer in answers for value in answer.fields if isinstance(value, Described)]
    found += [str(state.value[0].value[0]) for state in states if state.descriptor == REJECTED and state.value]
    return [condition for condition in found if condition is not None]


class Fuzzing(Rounds):
    """Conversations with a broker."""

    def __init__(self, port: int, seed: int, report: Report) -> None:
        super().__init__(report)
        self._port = port
        self._seed = seed
        self._talks = list(amqp_talk.conversations().values())

    async def converse(self, number: int) -> None:
        chance = random.Random(f"{self._seed}/{number}")
        talk = chance.choice(self._talks)
        stream, damages = damaged(talk, amqp_damage.KINDS, chance, handshake_frames=amqp_talk.HANDSHAKE_FRAMES)
        self.damages += damages
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await self._talk(stream, chance)
        except TimeoutError:
            self._report.failures.append(f"conversation {number} was not ended within {PATIENCE_S:g} s")
            return
        if answer is not None:
            self._judge(number, answer)

    async def _talk(self, stream: bytes, chance: random.Random) -> bytes | None:
        """What the broker says until it ends the connection; None if it was not listened to."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            hangs_up_at = chance.randrange(len(stream)) if chance.random() < 0.15 else None
            listening = asyncio.create_task(reader.read(-1))
            said = 0
            with suppress(OSError):  # hung up on, as it deserves
                for piece in pieces(stream, chance):
                    writer.write(piece)
                    await asyncio.sleep(0)
                    said += len(piece)
                    if hangs_up_at is not None and said > hangs_up_at:
                        listening.cancel()
                        writer.transport.abort()
                        return None
                writer.write_eof()
            try:
                return await listening
            except OSError:
                return None
        finally:
            writer.close()

    def _judge(self, number: int, answer: bytes) -> None:
        try:
            answers = parse_answers(answer)
            found = conditions(answers)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            self._report.failures.append(f"conversation {number} was answered with what is no AMQP: {error!r}")
            return
        strange = {*found} - _CONDITIONS | {*found} & {errors.INTERNAL_ERROR}
        self._report.check(not strange, f"conversation {number} was answered with {sorted(strange)}")
        closes = [index for index, one in enumerate(answers) if one.code == CLOSE]
        self._report.check(closes in ([], [len(answers) - 1]), f"conversation {number}: something behind the close")
        self.endings[(answers[-1].condition or "closed") if closes else "ended by the client"] += 1


async def serve_healthy(port: int, stop: asyncio.Event, report: Report) -> None:
    """Sends, receives and completes one message after the other, each within the bound."""
    trips, longest_s = 0, 0.0
    loop = asyncio.get_running_loop()
    async with wire_client(port) as client:
        await client.begin()
        await client.produce(0, amqp_talk.HEALTHY_QUEUE)
        await client.consume(1, amqp_talk.HEALTHY_QUEUE)
        while not stop.is_set():
            started_s = loop.time()
            await put(client, 0, b"%d" % trips)
            client.send(flow_body(1, 1, received=trips, count=trips))
            delivered = await client.expect(TRANSFER)
            report.check(delivered.payload.endswith(b"%d" % trips), "the healthy client got another's message")
            client.send(disposition_body(trips, trips, ACCEPTED))
            longest_s = max(longest_s, loop.time() - started_s)
            trips += 1
            await asyncio.sleep(0.01)
    report.figures |= {"healthy round trips": trips, "the longest": f"{longest_s * 1000:.0f} ms"}


def _deleting_body(handle: int, address: str) -> bytes:
    """An attach that receives and deletes."""
    source, target = Described(ULong(SOURCE), [address]), Described(ULong(TARGET), [None])
    return performative(ATTACH, f"drain-{address}", UInt(handle), True, UByte(SENDER_SETTLES), None, source, target)


async def empty(port: int, place: str) -> int:
    """Takes away what a queue has for a receiver now; how much that was."""
    taken, credit = 0, 10_000
    async with wire_client(port) as client:
        await client.begin(incoming_window=credit)
        client.send(_deleting_body(0, place))
        await client.expect(ATTACH)
        client.send(flow_body(0, credit, window=credit, drain=True))
        while (received := await client.receive()) is not None and received.code not in (FLOW, DETACH):
            taken += received.code == TRANSFER
    return taken


async def stuck(port: int, place: str) -> int:
    """How many active messages a queue still has: locked ones, when it has just been emptied."""
    async with wire_client(port) as client:
        await client.begin()
        body = {"from-sequence-number": 1, "message-count": Int(1000)}
        _, answer = await ask_for_body(
            client, f"{place}/$management", {"operation": "com.microsoft:peek-message"}, body
        )
    active = 0
    for entry in answer.get("messages", []):
        [annotations] = [one.content for one in sections(entry["message"]) if MESSAGE_STATE in (one.content or {})]
        active += annotations[MESSAGE_STATE] == State.AVAILABLE.value
    return active


async def run(directory: Path, frames: int, seed: int) -> Report:
    """Damages so many frames and reports."""
    report = Report("AMQP frames")
    config, log = directory / "entities.toml", directory / "broker.log"
    config.write_text(amqp_talk.CONFIG, encoding="utf-8")
    durably = ("--data", str(directory / "data"))
    broker = await start_broker(config, log, 0, *durably)
    try:
        await _run(broker, frames, seed, report)
    finally:
        await broker.stop()
    broker = await start_broker(config, log, 0, *durably)  # with all that is left of it
    await broker.stop()
    report.check("Traceback" not in log.read_text(encoding="utf-8"), f"a traceback in {log}")
    return report


async def _run(broker: Service, frames: int, seed: int, report: Report) -> None:
    port = broker.ports["port"]
    stop = asyncio.Event()
    healthy = asyncio.create_task(serve_healthy(port, stop, report))
    fuzzing = Fuzzing(port, seed, report)
    started_s, cpu_before_s = asyncio.get_running_loop().time(), cpu_s(broker.pid)
    await fuzzing.say(min(frames // 10, DRAIN_EVERY))
    warm = rss_bytes(broker.pid)
    while fuzzing.damages < frames and not report.failures and not healthy.done():
        await fuzzing.say(min(DRAIN_EVERY, frames - fuzzing.damages))
        await asyncio.gather(*(empty(port, place) for place in amqp_talk.WAITING_PLACES))
    elapsed_s = asyncio.get_running_loop().time() - started_s
    stop.set()
    await healthy
    report.check(broker.exit_code is None, "the broker has ended")
    await asyncio.sleep(_LOCK_S + 0.5)  # until what was locked is not any more, and closed connections are gone
    for place in amqp_talk.WAITING_PLACES:
        while await empty(port, place):
            pass
        report.check(not await stuck(port, place), f"messages in {place} that nobody gets")
    await asyncio.sleep(1)
    report.check(not open_connections(LOOPBACK, port), "connections that the broker has not closed")
    growth = rss_bytes(broker.pid) - warm
    report.check(growth < MAX_GROWTH_BYTES, f"the broker has grown by {mib(growth)} MiB")
    report.figures = {
        "damaged frames": fuzzing.damages,
        "conversations": fuzzing.conversations,
        "a second": round(fuzzing.conversations / elapsed_s),
        "broker's CPU": f"{cpu_s(broker.pid) - cpu_before_s:.1f} s",
        "memory": f"{mib(warm)} MiB and {mib(growth)} more",
        **report.figures,
        "ends": dict(fuzzing.endings.most_common()),
    }
