"""What becomes of trips that are kept: people get them, have them erased, and old ones go.

Each command may come twice and may be cut short anywhere: it finds what is done and goes on from there. What an
erasure takes is written down before anything goes, so a repetition takes the same, and nothing of what came after.
"""

import logging
import secrets
from collections.abc import Sequence

from msgspec.structs import replace

from functions.trips import archive_store as archive
from functions.trips import erasure as rules
from functions.trips import export, retention, rollup_service
from functions.trips.erasure import Erasure, FinishErasure, ForgetErasures
from functions.trips.progress import Arrival
from functions.trips.retention import RemoveOld
from functions.trips.samples import Message as Telemetry
from functions.trips.store import Change, Store
from shared.clock import Clock, from_epoch_ms, to_epoch_ms, utc_now
from shared.errors import Conflict, Rejected
from shared.identity.vehicle import check_vehicle_id
from shared.messaging import contracts, publisher
from shared.messaging.contracts import EraseVehicle, Message
from shared.messaging.envelope import Envelope
from shared.messaging.publisher import Outgoing
from shared.settings import DOMAIN_EVENTS, TRIP_COMMANDS, TRIPS_TABLE, settings

log = logging.getLogger(__name__)

COMMANDS = (EraseVehicle, FinishErasure, ForgetErasures, RemoveOld)
DECISIONS = 6  # so often a decision is made anew when someone else was faster
VEHICLES_AT_ONCE = 200  # for one message, so that it is done well within its lock
ERASURES_AT_ONCE = 200

_warm = Store()


# --- On request


async def read(vehicle_id: str, form: str, *, store: Store = _warm, clock: Clock = utc_now) -> bytes:
    """All that is stored about a vehicle, as `json`, or as `gpx` where it was. Raises `Rejected`, `Unavailable`."""
    check_vehicle_id(vehicle_id)
    if form not in {"gpx", "json"}:
        raise Rejected("unknown-format", f"{form[:80]!r} is none of gpx, json")
    found, now_ms = await archive.read(vehicle_id, store), to_epoch_ms(clock())
    if form == "json":
        return export.to_json(found, now_ms)
    from functions.trips import gpx

    return gpx.to_gpx(found, now_ms)


async def request_erasure(vehicle_id: str, request_id: str | None = None, *, clock: Clock = utc_now) -> str:
    """Asks for a vehicle's erasure; returns the request's id, by which `VehicleErased` answers.

    Who gives an id may ask again with it, and it stays one erasure. Raises `Rejected`, `Unavailable`.
    """
    request_id = request_id or secrets.token_hex(16)
    command = rules.command(check_vehicle_id(vehicle_id), request_id, to_epoch_ms(clock()))
    contracts.decode(command, EraseVehicle)  # refuses an impossible id now rather than later
    await publisher.send([Outgoing(TRIP_COMMANDS, command)])
    return request_id


# --- Commands


async def obey(envelope: Envelope, *, store: Store = _warm, clock: Clock = utc_now) -> None:
    """Handles one of `COMMANDS`. Raises `Rejected`, `Conflict`, `Unavailable`."""
    command: Message = contracts.decode(envelope, *COMMANDS)
    match command:
        case EraseVehicle():
            await _erase(check_vehicle_id(command.vehicle_id), command.request_id, store, clock)
        case FinishErasure():
            await _finish(check_vehicle_id(command.vehicle_id), command.request_id, store)
        case ForgetErasures():
            await _forget_erasures(command, store, clock)
        case RemoveOld():
            await _remove_old(command, clock)


# --- Erasure


async def _erase(vehicle_id: str, request_id: str, store: Store, clock: Clock) -> None:
    places = await archive.partitions(store, vehicle_id)
    erasure = await _begun(vehicle_id, request_id, places, store, clock)
    if erasure.is_done:
        return
    await archive.remove(erasure, places)
    now_ms = to_epoch_ms(clock())
    later = from_epoch_ms(now_ms + rules.SECOND_LOOK_MS)
    await publisher.send([Outgoing(TRIP_COMMANDS, rules.finish(erasure, now_ms), not_before=later)])


async def _begun(vehicle_id: str, request_id: str, places: list[str], store: Store, clock: Clock) -> Erasure:
    """The erasure as it is remembered, after all of the vehicle's states have begun anew with it.

    From then on whoever holds an older state cannot write it any more. Raises `Conflict`.
    """
    for _ in range(DECISIONS):
        erasure = await archive.erasure(vehicle_id, request_id)
        for place in places:
            store.forget(place, vehicle_id)
        stored = {place: (await store.load(place, [vehicle_id]))[vehicle_id] for place in places}
        begun = erasure is not None and all(rules.is_begun_anew(one.state(), erasure) for one in stored.values())
        if erasure is not None and (begun or erasure.is_done):
            return erasure
        counts, latest_ms = await archive.survey(vehicle_id, stored)
        heard_ms = max((one.state().heard_ms for one in stored.values()), default=0)
        erased_ms = max(to_epoch_ms(clock()), heard_ms)
        erasure = Erasure(
            vehicle_id=vehicle_id,
            request_id=request_id,
            erased_ms=erased_ms,
            horizon_ms=max(erased_ms, latest_ms),
            removed=counts,
        )
        await archive.remember(erasure)
        for place, before in stored.items():
            state = before.state()
            change = Change(vehicle_id, before, state.alarm_ms, rules.begun_anew(state, erasure))
            await store.save(place, [change], erased_ms)
    raise Conflict("trips: the state of a vehicle changes faster than it can be erased")


async def _finish(vehicle_id: str, request_id: str, store: Store) -> None:
    erasure = await archive.erasure(vehicle_id, request_id)
    if erasure is None or erasure.is_done:
        return
    await archive.remove(erasure, await archive.partitions(store, vehicle_id))
    await publisher.send([Outgoing(DOMAIN_EVENTS, rules.erased(erasure))])
    await archive.remember(replace(erasure, removed={}, is_done=True))


async def is_erased(vehicle_id: str, arrived_ms: int) -> bool:
    """Whether a message that arrived then is of before an erasure: it must be dropped, and not parked either.

    To be asked about what would be parked, which is little. Raises `Unavailable`.
    """
    is_covered = any(erasure.covers(arrived_ms) for erasure in await archive.erasures(vehicle_id))
    if is_covered:
        log.info("trips: dropped a message of before an erasure")
    return is_covered


async def without_erased(
    vehicle_id: str, sent: Sequence[Telemetry | Arrival], horizon_ms: int
) -> Sequence[Telemetry | Arrival]:
    """The messages but for those of before an erasure, of which the vehicle's state must not know either.

    `horizon_ms` is that of the state: one that began anew at an erasure has none earlier, so for all other messages
    nothing is read. Raises `Unavailable`.
    """
    doubtful = [message for message in sent if min(message.arrived_ms, _measured_ms(message)) <= horizon_ms]
    known = await archive.erasures(vehicle_id) if doubtful else []
    dropped = [
        message
        for message in doubtful
        if any(erasure.covers(message.arrived_ms, _measured_ms(message)) for erasure in known)
    ]
    if dropped:
        log.info("trips: dropped %d messages of before an erasure", len(dropped))
    return [message for message in sent if message not in dropped] if dropped else sent


def _measured_ms(message: Telemetry | Arrival) -> int:
    """When its last sample was measured; of a message without a usable one, when it arrived."""
    return message.arrived_ms if isinstance(message, Arrival) else message.run.t[-1]


# --- What is too old


async def start_retention(*, clock: Clock = utc_now) -> None:
    """Starts to remove what is too old, and to forget old erasures. Raises `Unavailable`."""
    now_ms = to_epoch_ms(clock())
    forgetting = rules.forget(ForgetErasures(run_id=f"ForgetErasures-{now_ms}"), now_ms)
    removals = [retention.envelope(RemoveOld(table=name, at_ms=now_ms), now_ms) for name in archive.HISTORIES]
    await publisher.send([Outgoing(TRIP_COMMANDS, envelope) for envelope in (forgetting, *removals)])


async def _remove_old(command: RemoveOld, clock: Clock) -> None:
    if command.table not in archive.HISTORIES:
        raise Rejected("unknown-table", f"{command.table} is none of {', '.join(archive.HISTORIES)}")
    configured = settings()
    removed_before_ms = retention.cutoff_ms(command.at_ms, configured.trip_retention_days)
    located_from_ms = retention.cutoff_ms(command.at_ms, configured.trip_position_retention_days)
    first = command.first
    for _ in range(VEHICLES_AT_ONCE):
        vehicle_id = await archive.first_vehicle(command.table, first, command.before)
        if vehicle_id is None:
            return
        await _remove_records(command.table, vehicle_id, removed_before_ms)
        await archive.remove_positions_before(command.table, vehicle_id, located_from_ms)
        first = retention.next_id(vehicle_id)
    rest = [replace(command, first=first, before=before) for first, before in retention.halves(first, command.before)]
    now_ms = to_epoch_ms(clock())
    await publisher.send([Outgoing(TRIP_COMMANDS, retention.envelope(part, now_ms)) for part in rest])


async def _remove_records(table: str, vehicle_id: str, before_ms: int) -> None:
    """Of trips, only after the trip computer's long-term memory holds them; then their roll-ups go, too."""
    if not (old := await archive.older(table, vehicle_id, before_ms)):
        return
    if table != TRIPS_TABLE:
        await archive.remove_rows(table, old)
        return
    await rollup_service.carry_forward(vehicle_id, before_ms)
    await archive.remove_rows(table, old)
    await archive.remove_rollups_before(vehicle_id, before_ms)


async def _forget_erasures(command: ForgetErasures, store: Store, clock: Clock) -> None:
    """Of those that are not done the last step is asked for again: someone may have set it aside."""
    now_ms = to_epoch_ms(clock())
    old = await archive.older_erasures(now_ms - rules.MARK_MS, command.after, ERASURES_AT_ONCE)
    for erasure in old:
        if not erasure.is_done:
            await publisher.send([Outgoing(TRIP_COMMANDS, rules.finish(erasure, now_ms))])
            continue
        for place in await store.partitions_of(erasure.vehicle_id):
            store.forget(place, erasure.vehicle_id)
            stored = (await store.load(place, [erasure.vehicle_id]))[erasure.vehicle_id]
            if rules.is_blank(stored.state()):
                await archive.remove_state(place, erasure.vehicle_id, stored.etag)
                store.forget(place, erasure.vehicle_id)
        await archive.forget(erasure)
    if len(old) == ERASURES_AT_ONCE:
        following = ForgetErasures(run_id=command.run_id, after=archive.key(old[-1]), round=command.round + 1)
        await publisher.send([Outgoing(TRIP_COMMANDS, rules.forget(following, now_ms))])
