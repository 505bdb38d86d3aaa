"""The triggers, fed with what the worker decodes from what the host sends."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest
from azure.functions import meta

from functions.trips.triggers import trips
from localcloud.host.decoding import Event, Message, Partition, TriggerInput, event_batch, single_message
from shared.clock import from_epoch_ms, utc_now
from shared.messaging import parking, publisher
from shared.messaging.contracts import CloseTrip, to_envelope
from shared.messaging.envelope import Envelope
from shared.settings import TELEMETRY_HUB, TRIP_COMMANDS
from tests.trips.conftest import Announced, Car, counted
from tests.trips.drives import MORNING_MS, bodies, drive

ARRIVED_AT = from_epoch_ms(MORNING_MS) + timedelta(hours=1)


@pytest.fixture(scope="module")
def functions() -> dict[str, Callable[..., Any]]:
    """The job's functions by name."""
    app = func.FunctionApp()
    app.register_functions(trips)
    return {str(function.get_function_name()): function.get_user_function() for function in app.get_functions()}


def decoded(kind: str, given: TriggerInput) -> Any:
    registry = meta.get_binding_registry()  # type: ignore[no-untyped-call] # the library does not annotate it
    return registry.get(kind).decode(given.datum, trigger_metadata=given.metadata)


def events(car: Car, *sent: tuple[str | None, bytes]) -> Any:
    """One batch of bodies with their senders, in the car's partition."""
    batch = [
        Event(
            body,
            number,
            str(number),
            ARRIVED_AT,
            system_properties={"iothub-connection-device-id": sender} if sender else {},
        )
        for number, (sender, body) in enumerate(sent)
    ]
    partition = Partition("localhost", TELEMETRY_HUB, "$Default", car.partition)
    return decoded("eventHubTrigger", event_batch(batch, partition, binary=True, checkpointing=True))


def command(envelope: Envelope) -> Any:
    now = utc_now()
    message = Message(
        envelope.data,
        f"message {now}",
        1,
        1,
        now,
        now + timedelta(days=1),
        "lock",
        application_properties=dict(envelope.properties()),
    )
    return decoded("serviceBusTrigger", single_message(message, binary=True))


async def test_telemetry_of_several_cars_and_a_command_make_their_trips(
    functions: dict[str, Callable[..., Any]], car: Car, announced: Announced
) -> None:
    other = Car(partition=car.partition)
    mixed = [(owner.vehicle_id, body) for body in bodies(drive(20)) for owner in (car, other)]
    await functions["trips_telemetry"](events=events(car, *mixed, (None, b"{}"), (car.vehicle_id, b"\xff")))
    for owner in (car, other):
        closing = CloseTrip(vehicle_id=owner.vehicle_id)
        envelope = to_envelope(closing, message_id="c", source="t", subject=owner.vehicle_id, time_ms=0)
        await functions["trips_commands"](message=command(envelope))
        assert [row.values["samples"] for row in await owner.trips()] == [121]
        assert counted(announced(owner.vehicle_id)) == {"TripCompleted": 1}
    parked = [item async for item in parking.parked(TELEMETRY_HUB)]
    ours = {item.code for item in parked if item.origin.position.startswith(f"{car.partition}/")}
    assert ours == {"no-caller", "bad-telemetry"}


async def test_an_unknown_command_is_parked(functions: dict[str, Callable[..., Any]], car: Car) -> None:
    envelope = Envelope(f"odd-{car.vehicle_id}", "PaintItBlack", "operator", utc_now(), b"{}")
    await functions["trips_commands"](message=command(envelope))
    assert "unknown-type" in {item.code async for item in parking.parked(TRIP_COMMANDS)}


async def test_the_timer_and_the_sweeps_that_it_starts(
    functions: dict[str, Callable[..., Any]], car: Car, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trip is long past when it arrives, but its arrival is what counts."""
    await functions["trips_telemetry"](events=events(car, *((car.vehicle_id, body) for body in bodies(drive(20)))))
    sent = list[Envelope]()

    async def send(outgoing: Any) -> None:
        sent.extend(one.envelope for one in outgoing)

    monkeypatch.setattr(publisher, "send", send)
    await functions["trips_sweep"](timer=None)
    (ours,) = (envelope for envelope in sent if str(envelope.subject).startswith(f"{car.partition}-"))
    await functions["trips_commands"](message=command(ours))
    assert await car.trips() == [], "nobody knows yet that the partition is quiet"
