"""The triggers, fed with what the worker decodes from what the host sends."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import azure.functions as func
import pytest
from azure.functions import meta

from functions.notifications.triggers import notifications
from localcloud.host.decoding import Event, Message, Partition, TriggerInput, event_batch, single_message
from shared.clock import utc_now
from shared.errors import Unavailable
from shared.messaging.contracts import SetRecipient
from shared.messaging.envelope import Envelope
from shared.settings import DOMAIN_EVENTS, NOTIFICATION_COMMANDS, VEHICLE_ALERTS_HUB
from shared.storage.tables import Table
from tests.notifications.desk import Desk

Functions = dict[str, Callable[..., Any]]


@pytest.fixture(scope="module")
def functions() -> Functions:
    """The job's functions by name."""
    app = func.FunctionApp()
    app.register_functions(notifications)
    return {str(function.get_function_name()): function.get_user_function() for function in app.get_functions()}


def decoded(kind: str, given: TriggerInput) -> Any:
    registry = meta.get_binding_registry()  # type: ignore[no-untyped-call] # the library does not annotate it
    return registry.get(kind).decode(given.datum, trigger_metadata=given.metadata)


def bus_message(envelope: Envelope, message_id: str | None = None) -> Any:
    now = utc_now()
    message = Message(
        envelope.data,
        message_id or uuid4().hex,
        1,
        1,
        now,
        now + timedelta(days=1),
        "lock",
        application_properties={**envelope.properties()},
    )
    return decoded("serviceBusTrigger", single_message(message, binary=True))


def alerts(*said: tuple[str, bytes]) -> Any:
    partition = Partition("localhost", VEHICLE_ALERTS_HUB, "$Default", "1")
    events = [
        Event(body, number, str(number), utc_now(), system_properties={"iothub-connection-device-id": vehicle_id})
        for number, (vehicle_id, body) in enumerate(said)
    ]
    return decoded("eventHubTrigger", event_batch(events, partition, binary=True, checkpointing=True))


async def test_commands_events_and_alerts_reach_the_job(functions: Functions, desk: Desk) -> None:
    person = SetRecipient(vehicle_id=desk.vehicle_id, recipient_id="anna", name="Anna", email=desk.address())
    await functions["notifications_commands"](bus_message(desk.enveloped(person)))
    await functions["notifications_domain_events"](bus_message(desk.enveloped(desk.trip())))
    alert = json.dumps({"v": 1, "alarm_id": "a1", "kind": "theft", "at": 1, "lat": None, "lon": None}).encode()
    await functions["notifications_alerts"](alerts((desk.vehicle_id, b"bad"), (desk.vehicle_id, alert)))
    for delivery in await desk.deliveries():
        await functions["notifications_commands"](bus_message(desk.deliver(delivery)))
    assert await desk.outcomes() == {("anna", "email", "delivered")}
    assert sorted(delivery.category for delivery in await desk.deliveries()) == ["security", "trip"]
    assert len(desk.mails()) == 2
    assert [item.code for item in await desk.parked_alerts()] == ["bad-alert"]
    await desk.work()
    assert len(desk.mails()) == 2


async def test_an_event_that_meets_trouble_is_tried_again_by_the_jobs_own_queue(
    functions: Functions, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent to the topic again, it would reach every other subscriber again."""
    await desk.set_recipient()

    async def away(*_: object) -> None:
        raise Unavailable("storage is away")

    with monkeypatch.context() as patch:
        patch.setattr(Table, "commit", away)
        await functions["notifications_domain_events"](bus_message(desk.enveloped(desk.trip())))
    assert await desk.deliveries() == []
    await desk.work()
    assert len(desk.mails()) == 1


async def test_what_is_no_message_between_services_is_parked(functions: Functions, desk: Desk) -> None:
    bare = Envelope(id="1", type="", source="", time=utc_now(), data=b"{}")
    for name, source in (
        ("notifications_domain_events", DOMAIN_EVENTS),
        ("notifications_commands", NOTIFICATION_COMMANDS),
    ):
        message_id = uuid4().hex
        await functions[name](bus_message(bare, message_id))
        parked = await desk.parked(source, message_id)
        assert parked is not None
        assert parked.code == "not-a-cloudevent"
