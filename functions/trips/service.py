"""Trips, from the telemetry that makes them to the sweep that ends what has fallen silent.

Messages become rows and the vehicle's state goes on, in one transaction; only then are trips announced, from the rows
and in further transactions. So whoever meets the state again (a redelivered batch, the next sweep) can go on where a
crash left off.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from functions.trips import archive_service, compact, messages, progress, rollup_service
from functions.trips.agenda import Policy, next_step, set_alarm
from functions.trips.messages import SweepPartition
from functions.trips.profile_store import look_up, policy_of, sample_max_age_ms
from functions.trips.progress import Arrival, Intake
from functions.trips.samples import Message as Telemetry
from functions.trips.store import Change, Store, Stored, partition_of
from functions.trips.telemetry import NoUsableSample, decode, without_position
from functions.trips.vehicle_trips import VehicleTrips
from shared.clock import Clock, to_epoch_ms, utc_now
from shared.conflicts import decided
from shared.errors import Conflict, Rejected
from shared.identity import privacy
from shared.identity.caller import Caller
from shared.identity.vehicle import check_vehicle_id
from shared.messaging import contracts, device_messages, parking, publisher
from shared.messaging.contracts import CloseTrip, Message, SetPrivacyMode
from shared.messaging.device_messages import DeviceMessage
from shared.messaging.envelope import Envelope
from shared.messaging.publisher import Outgoing
from shared.settings import TRIP_COMMANDS

log = logging.getLogger(__name__)

DECISIONS = 6  # so often a decision is made anew when someone else was faster
MESSAGES_AT_ONCE = 36  # of one vehicle: they fit into a transaction with its state, whatever they are and end
SWEEP_LIMIT = 200  # vehicles for one message, so that it is done well within its lock
STEPS = 20  # of one vehicle in one sweep
REMOVED_AT_ONCE = 1000

_TOO_LATE = Rejected("too-late", "the trips of that time are closed: they can be revised for 72 hours")
_TOO_MANY = Rejected("too-many", "the vehicle sends more than two samples a second for longer than 72 hours")

_warm = Store()

_Batch = dict[str, dict[str, list[Telemetry | Arrival]]]  # by partition and vehicle


# --- Telemetry


async def hear(received: Sequence[DeviceMessage], *, store: Store = _warm, clock: Clock = utc_now) -> None:
    """Takes in telemetry and announces the trips that it completes. Raises `Unavailable`, `Conflict`."""
    batch: _Batch = defaultdict(lambda: defaultdict(list))
    origins = dict[tuple[str, str, int], DeviceMessage]()

    async def read(message: DeviceMessage) -> None:
        vehicle_id, arrived_ms = message.caller.vehicle_id, to_epoch_ms(message.arrived_at)
        of_vehicle = batch[partition_of(message.partition, vehicle_id)][vehicle_id]
        try:
            telemetry = decode(message.body, message.caller, arrived_ms, sample_max_age_ms())
            compact.check_size(message.body)
        except Rejected as reason:
            if await archive_service.is_erased(vehicle_id, arrived_ms):
                return
            if isinstance(reason, NoUsableSample):
                of_vehicle.append(Arrival(reason.boot, reason.seq, arrived_ms))
            if not await privacy.is_private(vehicle_id):
                raise
            withheld = Rejected(reason.code, "the vehicle is in privacy mode: what was wrong is withheld")
            await parking.park(message.origin, withheld, without_position(message.body))
            return
        of_vehicle.append(telemetry)
        origins[vehicle_id, telemetry.boot, telemetry.seq] = message

    await device_messages.handle_each(received, read)
    for partition, vehicles in batch.items():
        await store.list_partition(partition)
        due = set[str]()
        for portion in _portions(vehicles):
            due |= await _take_in(store, partition, portion, origins, clock)
        for vehicle_id in sorted(due):
            await _settle(store, partition, vehicle_id, clock)
        if store.may_hold_outgoing(partition):
            await store.flush(partition)


def _portions(
    vehicles: Mapping[str, Sequence[Telemetry | Arrival]],
) -> Iterator[dict[str, Sequence[Telemetry | Arrival]]]:
    """Portions that hold at most `MESSAGES_AT_ONCE` of a vehicle, in the order in which it sent them."""
    ordered = {
        vehicle_id: sorted(sent, key=lambda message: (message.boot, message.seq))
        for vehicle_id, sent in vehicles.items()
    }
    longest = max(map(len, ordered.values()), default=0)
    for start in range(0, longest, MESSAGES_AT_ONCE):
        cut = slice(start, start + MESSAGES_AT_ONCE)
        yield {vehicle_id: sent[cut] for vehicle_id, sent in ordered.items() if len(sent) > start}


async def _take_in(
    store: Store,
    partition: str,
    vehicles: Mapping[str, Sequence[Telemetry | Arrival]],
    origins: Mapping[tuple[str, str, int], DeviceMessage],
    clock: Clock,
) -> set[str]:
    """Returns the vehicles whose trips have to be settled now."""
    arrived_ms = max(message.arrived_ms for sent in vehicles.values() for message in sent)
    due = set[str]()
    for _ in range(DECISIONS):
        changes = list[Change]()
        for vehicle_id, (stored, state) in (await _states(store, partition, vehicles)).items():
            old_alarm_ms, policy = state.alarm_ms, policy_of(state)
            sent = await archive_service.without_erased(vehicle_id, vehicles[vehicle_id], state.horizon_ms)
            if state.is_private:
                sent = [one if isinstance(one, Arrival) else _private(vehicle_id, one) for one in sent]
            intake = progress.take_in(state, vehicle_id, sent, policy)
            await _park(vehicle_id, intake, origins)
            if _is_due(state, policy, max(to_epoch_ms(clock()), state.heard_ms)):
                due.add(vehicle_id)
            if intake.is_changed:
                set_alarm(state, policy)
                changes.append(Change(vehicle_id, stored, old_alarm_ms, state, intake.new, intake.announcements))
        lost = await store.save(partition, changes, to_epoch_ms(clock()), arrived_ms)
        if not lost:
            return due
        vehicles = {vehicle_id: vehicles[vehicle_id] for vehicle_id in lost}
    raise Conflict("trips: the state of a vehicle changes faster than its telemetry can be taken in")


async def _states(store: Store, partition: str, vehicle_ids: Iterable[str]) -> dict[str, tuple[Stored, VehicleTrips]]:
    """The vehicles' states; what is known of a vehicle is looked up when it is heard of for the first time."""
    loaded = await store.load(partition, vehicle_ids)
    states = {vehicle_id: (stored, stored.state()) for vehicle_id, stored in loaded.items()}
    new = [(vehicle_id, state) for vehicle_id, (_, state) in states.items() if state.model is None]
    await asyncio.gather(*(look_up(vehicle_id, state) for vehicle_id, state in new))
    return states


def _private(vehicle_id: str, message: Telemetry) -> Telemetry:
    """The message without positions. A sample of which just the position was at fault can be used so."""
    body, sender = without_position(message.body), Caller(vehicle_id, "")
    return decode(body, sender, message.arrived_ms, sample_max_age_ms())


async def _park(vehicle_id: str, intake: Intake, origins: Mapping[tuple[str, str, int], DeviceMessage]) -> None:
    for reason, messages_ in ((_TOO_LATE, intake.too_late), (_TOO_MANY, intake.too_many)):
        for message in messages_:
            origin = origins[vehicle_id, message.boot, message.seq].origin
            await parking.park(origin, reason, message.body)


def _is_due(state: VehicleTrips, policy: Policy, now_ms: int) -> bool:
    step = next_step(state, policy)
    return step is not None and step[0] == "settle" and step[1] <= now_ms


async def _settle(
    store: Store, partition: str, vehicle_id: str, clock: Clock, *, close: bool = False, rung_ms: int = 0
) -> None:
    """Announces what is due; with `close` everything, and the trip under way as if it had ended."""
    conflicts = 0
    while conflicts < DECISIONS:
        stored = (await store.load(partition, [vehicle_id]))[vehicle_id]
        state = stored.state()
        policy = policy_of(state)
        now_ms, old_alarm_ms = max(to_epoch_ms(clock()), state.heard_ms), state.alarm_ms
        if not ((close and (state.is_due or state.is_open)) or _is_due(state, policy, now_ms)):
            return
        needed_from_ms = progress.needed_from_ms(state)
        rows = [] if needed_from_ms is None else await store.messages(partition, vehicle_id, stored, needed_from_ms)
        if state.is_private:
            rows = [_private(vehicle_id, row) for row in rows]
        announcements = progress.settle(state, vehicle_id, rows, now_ms, policy, close=close)
        set_alarm(state, policy, rung_ms)
        change = Change(vehicle_id, stored, old_alarm_ms, state, announcements=announcements)
        conflicts += len(await store.save(partition, [change], now_ms))
    raise Conflict("trips: the state of a vehicle changes faster than its trips can be announced")


# --- Commands


async def obey(envelope: Envelope, *, store: Store = _warm, clock: Clock = utc_now) -> None:
    """Handles a command of the job's queue. Raises `Rejected`, `Conflict`, `Unavailable`."""
    if envelope.type in {command.__name__ for command in rollup_service.COMMANDS}:
        await rollup_service.obey(envelope, clock=clock)
        return
    if envelope.type in {command.__name__ for command in archive_service.COMMANDS}:
        await archive_service.obey(envelope, store=store, clock=clock)
        return
    command: Message = contracts.decode(envelope, CloseTrip, SetPrivacyMode, SweepPartition)
    match command:
        case CloseTrip():
            await _close(check_vehicle_id(command.vehicle_id), store, clock)
        case SetPrivacyMode():
            await _set_privacy_mode(check_vehicle_id(command.vehicle_id), store, clock, is_private=command.is_private)
        case SweepPartition():
            await _sweep(command, store, clock)


async def _close(vehicle_id: str, store: Store, clock: Clock) -> None:
    partitions = await store.partitions_of(vehicle_id)
    if not partitions:
        raise Rejected("unknown-vehicle", f"no telemetry of {vehicle_id} was ever taken in")
    for partition in partitions:
        await _waive(store, partition, vehicle_id, clock)
        await _settle(store, partition, vehicle_id, clock, close=True)
        await store.flush(partition)


async def _set_privacy_mode(vehicle_id: str, store: Store, clock: Clock, *, is_private: bool) -> None:
    """From now on; what was stored of earlier drives stays until it is erased or expires."""
    await privacy.set_private(vehicle_id, is_private=is_private)

    def change(state: VehicleTrips) -> bool:
        state.is_private = is_private
        if is_private:
            state.forget_positions()
        return True

    for partition in await store.partitions_of(vehicle_id):
        await _change(store, partition, vehicle_id, clock, change)


async def _waive(store: Store, partition: str, vehicle_id: str, clock: Clock) -> None:
    def change(state: VehicleTrips) -> bool:
        is_waiting = state.waiting_since_ms is not None
        if is_waiting:
            progress.waive(state)
        return is_waiting

    await _change(store, partition, vehicle_id, clock, change)


async def _change(
    store: Store, partition: str, vehicle_id: str, clock: Clock, change: Callable[[VehicleTrips], bool]
) -> None:
    """Changes the state as it is in the table; `change` says whether there was anything to change."""

    async def attempt() -> None:
        store.forget(partition, vehicle_id)
        stored = (await store.load(partition, [vehicle_id]))[vehicle_id]
        state = stored.state()
        if change(state) and not await _save(store, partition, vehicle_id, stored, state, clock):
            raise Conflict("trips: the state of a vehicle changes faster than a command can be obeyed")

    await decided(attempt, attempts=DECISIONS)


async def _save(
    store: Store, partition: str, vehicle_id: str, stored: Stored, state: VehicleTrips, clock: Clock, rung_ms: int = 0
) -> bool:
    set_alarm(state, policy_of(state), rung_ms)
    change = Change(vehicle_id, stored, stored.state().alarm_ms, state)
    return not await store.save(partition, [change], to_epoch_ms(clock()))


# --- What has fallen silent


async def start_sweep(*, store: Store = _warm, clock: Clock = utc_now) -> None:
    """Attends to all partitions, side by side. Raises `Unavailable`."""
    now_ms = to_epoch_ms(clock())
    partitions = await store.partitions()
    sweeps = [messages.sweep_partition(f"sweep-{now_ms}", partition, now_ms) for partition in partitions]
    await publisher.send([Outgoing(TRIP_COMMANDS, sweep) for sweep in sweeps])


async def _sweep(sweep: SweepPartition, store: Store, clock: Clock) -> None:
    partition, now_ms = sweep.partition, to_epoch_ms(clock())
    time_ms = await store.watch(partition, now_ms)
    rung = await store.rung(partition, time_ms, SWEEP_LIMIT)
    for vehicle_id in rung:
        try:
            await _attend(store, partition, vehicle_id, time_ms, clock)
        except Conflict:
            log.info("trips: someone else attended to a vehicle at the same time")
    await store.flush(partition)
    if len(rung) == SWEEP_LIMIT:
        following = messages.sweep_partition(sweep.sweep_id, partition, now_ms, round_=sweep.round + 1)
        await publisher.send([Outgoing(TRIP_COMMANDS, following)])


async def _attend(store: Store, partition: str, vehicle_id: str, time_ms: int, clock: Clock) -> None:
    store.forget(partition, vehicle_id)
    for _ in range(STEPS):
        stored = (await store.load(partition, [vehicle_id]))[vehicle_id]
        state = stored.state()
        step = next_step(state, policy_of(state))
        if step is None or step[1] > time_ms:
            break
        match step[0]:
            case "waive":
                await _waive(store, partition, vehicle_id, clock)
            case "settle":
                await _settle(store, partition, vehicle_id, clock, rung_ms=time_ms)
            case "close":
                await _settle(store, partition, vehicle_id, clock, close=True, rung_ms=time_ms)
            case "tidy":
                await _tidy(store, partition, vehicle_id, stored, clock)
    stored = (await store.load(partition, [vehicle_id]))[vehicle_id]
    state = stored.state()
    if state.alarm_ms is not None and state.alarm_ms <= time_ms:
        await _save(store, partition, vehicle_id, stored, state, clock, rung_ms=time_ms)


async def _tidy(store: Store, partition: str, vehicle_id: str, stored: Stored, clock: Clock) -> None:
    """The horizon moves first, so that a crash leaves rows that are out of sight and removed the next time."""
    now_ms, state = to_epoch_ms(clock()), stored.state()
    await look_up(vehicle_id, state)
    if state.is_private:
        state.forget_positions()
    progress.tidy(state, now_ms, policy_of(state))
    if not await _save(store, partition, vehicle_id, stored, state, clock):
        return
    stored = (await store.load(partition, [vehicle_id]))[vehicle_id]
    state = stored.state()
    left = await store.remove_messages(partition, vehicle_id, state.horizon_ms, REMOVED_AT_ONCE)
    if left is not None:
        progress.tidied(state, now_ms, rows_left=left or bool(stored.recent))
        await _save(store, partition, vehicle_id, stored, state, clock)
