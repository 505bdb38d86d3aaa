"""Rolls up the trips of the fleet: totals of each vehicle, a weekly digest for its people, totals of the fleet.

A timer sends a command for each part of the fleet, that one for each of its shards. What changed in a shard is
recomputed from the rows of the trips; then the digests of weeks that are over are told, and the shard's sum of a month
that nothing can change any more is noted. The last to note a sum publishes the month. Each command may come twice and
may be cut short anywhere: it finds what is done and goes on from there.

Who asks for a vehicle's memories or totals gets them from the rows, without waiting for the timer.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import date

from msgspec.structs import replace

from functions.trips import fleet_store, fleet_totals, memories, rollup_messages, totals_service
from functions.trips import rollup_store as store
from functions.trips.fleet_store import ALL_PARTS
from functions.trips.fleet_totals import FleetTotal
from functions.trips.memories import Memories
from functions.trips.rollup import Period, Totals
from functions.trips.rollup_messages import RollUpPart, RollUpShard
from shared.clock import Clock, to_epoch_ms, utc_now
from shared.conflicts import decided
from shared.identity.vehicle import SHARD_RANGES, ShardRange, check_vehicle_id
from shared.messaging import contracts, publisher
from shared.messaging.contracts import Message, ResetLongTermMemory
from shared.messaging.envelope import Envelope
from shared.messaging.publisher import Outgoing
from shared.settings import TRIP_COMMANDS

log = logging.getLogger(__name__)

COMMANDS = (RollUpPart, RollUpShard, ResetLongTermMemory)
DECISIONS = 5  # so often is decided anew when someone else was faster


async def start(*, clock: Clock = utc_now) -> None:
    """Rolls up the whole fleet, its parts side by side. Raises `Unavailable`."""
    now_ms = to_epoch_ms(clock())
    parts = [rollup_messages.roll_up_part(f"roll-up-{now_ms}", part, now_ms) for part in SHARD_RANGES]
    await publisher.send([Outgoing(TRIP_COMMANDS, part) for part in parts])


async def obey(envelope: Envelope, *, clock: Clock = utc_now) -> None:
    """Handles one of `COMMANDS`. Raises `Rejected`, `Conflict`, `Unavailable`."""
    command: Message = contracts.decode(envelope, *COMMANDS)
    match command:
        case RollUpPart():
            await _roll_up_part(command, clock)
        case RollUpShard():
            await _roll_up_shard(command, clock)
        case ResetLongTermMemory():
            vehicle_id, sent_ms = check_vehicle_id(command.vehicle_id), to_epoch_ms(envelope.time)
            await decided(lambda: _reset(vehicle_id, sent_ms), attempts=DECISIONS)


# --- The fan-out


async def _roll_up_part(command: RollUpPart, clock: Clock) -> None:
    """No outbox: this command is not completed before all is sent, and sends it again when it comes again."""
    now, part = clock(), ShardRange(command.part)
    month = fleet_totals.settled_month(now)
    shards = await store.shards(part)
    is_published = await fleet_store.is_published(month)
    if not is_published:
        await fleet_store.close_part(month, part.digit, shards)
        await _publish_if_complete(month, part.digit)
    commands = [
        RollUpShard(run_id=command.run_id, shard=name, month=month, sum_month=not is_published) for name in shards
    ]
    await _send(commands, clock)
    await fleet_store.remove_sums(before_month=month)


async def _roll_up_shard(command: RollUpShard, clock: Clock) -> None:
    """Digests wait until everything that changed is in the totals, and so does the sum of the month."""
    now_ms = to_epoch_ms(clock())
    has_more = await totals_service.roll_up(command.shard, command.month, now_ms)
    has_more = has_more or await totals_service.tell_digests(command.shard, now_ms)
    if has_more:
        await _send([replace(command, round=command.round + 1)], clock)
        return
    if command.sum_month:
        await _sum_month(command.month, command.shard)
    await fleet_store.remove_parts(command.shard, command.month)


async def _send(commands: Iterable[RollUpShard], clock: Clock) -> None:
    now_ms = to_epoch_ms(clock())
    await publisher.send(
        [Outgoing(TRIP_COMMANDS, rollup_messages.roll_up_shard(command, now_ms)) for command in commands]
    )


# --- Totals of the fleet


async def _sum_month(month: str, shard: str) -> None:
    if not await fleet_store.is_summed(month, shard):
        cells = fleet_totals.sum_up(
            (part.vehicle_class, fleet_totals.figures(part.totals))
            for part in await fleet_store.parts(shard, month)
            if part.totals is not None
        )
        await fleet_store.add_sum(month, shard, cells.items())
    await _publish_if_complete(month, shard[0])


async def _publish_if_complete(month: str, digit: str) -> None:
    """Whoever notes something looks at the whole afterwards, so the last to note sees that nothing is missing."""
    if await fleet_store.is_complete(month, [digit]) and await fleet_store.is_complete(month, ALL_PARTS):
        cells = fleet_totals.sum_up(await fleet_store.sums(month))
        await fleet_store.publish(month, fleet_totals.published(month, cells))
        log.info("the fleet's totals of %s are published", month)


# --- The long-term memory


async def _reset(vehicle_id: str, sent_ms: int) -> None:
    """Begins the long-term memory anew. Raises `Conflict`."""
    beginning, etag = await store.beginning(vehicle_id)
    if sent_ms > beginning.from_ms:
        anew = replace(beginning, from_ms=sent_ms, since="reset", memory=None)
        await store.begin(vehicle_id, anew, etag)


async def carry_forward(vehicle_id: str, before_ms: int) -> None:
    """To be called before trips that start before that moment are removed for their age: the memory goes on to hold
    them, and the totals of their days stay as they are. Raises `Conflict`, `Unavailable`.
    """

    async def carry() -> None:
        beginning, etag = await store.beginning(vehicle_id)
        trips = await store.trips(vehicle_id, beginning.removed_before_ms, before_ms)
        if trips:
            await store.begin(vehicle_id, memories.carried_forward(trips, beginning, before_ms), etag)

    await decided(carry, attempts=DECISIONS)


# --- On request


async def read_memories(vehicle_id: str) -> Memories:
    """The memories of the vehicle's trip computer after its last stored trip. Raises `Unavailable`."""
    (beginning, _), trips, charged_at_ms = await asyncio.gather(
        store.beginning(vehicle_id), store.trips(vehicle_id), store.last_charged_at_ms(vehicle_id)
    )
    return memories.memories(trips, charged_at_ms, beginning)


async def read_totals(
    vehicle_id: str, first_day: date, before: date, *, clock: Clock = utc_now
) -> dict[Period, Totals]:
    """What was driven in the vehicle's days, weeks and months that begin in these days. Raises `Unavailable`.

    It is what the next roll-up will store, by the rows of the trips as they are now.
    """
    return await totals_service.totals(vehicle_id, first_day, before, to_epoch_ms(clock()))


async def read_fleet_totals(month: str) -> list[FleetTotal]:
    """What the fleet drove in a month (`2026-04`), by brand and model, once it is published. Raises `Unavailable`."""
    return await fleet_store.published(month)
