"""The triggers, fed with what the worker decodes from what the host sends."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest
from azure.functions import meta
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from functions.certificates import service
from functions.certificates.triggers import certificates
from localcloud.host.decoding import Event, Message, Partition, TriggerInput, event_batch, single_message
from localcloud.pki import Pki
from localcloud.services import LocalCloud
from shared.clock import utc_now
from shared.messaging import parking
from shared.messaging.contracts import RotateCertificates, to_envelope
from shared.messaging.envelope import Envelope
from shared.settings import CERTIFICATE_COMMANDS, CERTIFICATE_EVENTS_HUB
from tests.certificates.car import Car, new_key, thumbprint
from tests.certificates.conftest import MakeCar, application_properties, credentials, enrolment, parked, part_of, scan

PARTITION = Partition("localhost", CERTIFICATE_EVENTS_HUB, "$Default", "1")


@pytest.fixture(scope="module")
def functions() -> dict[str, Callable[..., Any]]:
    """The job's functions by name."""
    app = func.FunctionApp()
    app.register_functions(certificates)
    return {str(function.get_function_name()): function.get_user_function() for function in app.get_functions()}


def decoded(kind: str, given: TriggerInput) -> Any:
    registry = meta.get_binding_registry()  # type: ignore[no-untyped-call] # the library does not annotate it
    return registry.get(kind).decode(given.datum, trigger_metadata=given.metadata)


def event(car: Car | None, body: bytes, number: int) -> Event:
    stamped = {"iothub-connection-device-id": car.vehicle_id} if car else {}
    return Event(body, number, str(number), utc_now(), system_properties=stamped)


def batch(*events: Event) -> Any:
    return decoded("eventHubTrigger", event_batch(events, PARTITION, binary=True, checkpointing=True))


def command(body: bytes, properties: dict[str, Any]) -> Any:
    now = utc_now()
    message = Message(
        body, f"message {now}", 1, 1, now, now + timedelta(days=1), "lock", application_properties=properties
    )
    return decoded("serviceBusTrigger", single_message(message, binary=True))


def of_envelope(envelope: Envelope) -> Any:
    return command(envelope.data, envelope.properties())


def of_received(message: ServiceBusReceivedMessage) -> Any:
    return command(b"".join(message.body), application_properties(message))


async def scans_of(cloud: LocalCloud) -> list[ServiceBusReceivedMessage]:
    """What waits in the queue, which is empty afterwards."""
    async with (
        ServiceBusClient.from_connection_string(cloud.layout.amqp_connection) as client,
        client.get_queue_receiver(CERTIFICATE_COMMANDS, receive_mode="receiveanddelete") as receiver,
    ):
        received: list[ServiceBusReceivedMessage] = []
        while more := await receiver.receive_messages(100, max_wait_time=0.5):
            received += more
        return received


async def test_from_the_timer_to_the_retired_certificate(
    functions: dict[str, Callable[..., Any]], make_car: MakeCar, iot_hub: LocalCloud
) -> None:
    car, key = await make_car(), new_key()
    await functions["certificates_scan"](timer=None)
    scans = await scans_of(iot_hub)
    assert len(scans) == 16
    for message in scans:
        await functions["certificates_commands"](message=of_received(message))
    request = car.asks((await car.told())["rotation_id"], key)
    await functions["certificates_events"](events=batch(event(car, request.body, 1)))
    proof = car.proves(await car.told(), key)
    await functions["certificates_events"](events=batch(event(car, proof.body, 2)))
    assert await car.accepted() == {(await credentials(car)).current.thumbprint}


async def test_a_command_starts_the_same_scan_as_the_timer(
    functions: dict[str, Callable[..., Any]], iot_hub: LocalCloud
) -> None:
    longest = "n" * 128  # of the ids that Service Bus takes
    envelope = to_envelope(RotateCertificates(), message_id=longest, source="operator", subject="fleet", time_ms=0)
    for _ in range(2):
        await functions["certificates_commands"](message=of_envelope(envelope))
    scans = Counter(str(message.message_id) for message in await scans_of(iot_hub))
    assert set(scans.values()) == {2}, "the same scan, however often the command comes"
    assert [scan_id.split("-")[-2:] for scan_id in scans] == [[digit, "1"] for digit in "0123456789abcdef"]


async def test_a_factory_certificate_arrives_as_a_command(functions: dict[str, Callable[..., Any]], pki: Pki) -> None:
    car = Car(pki)
    await functions["certificates_commands"](message=of_envelope(enrolment(car)))
    assert (await credentials(car)).current.thumbprint == thumbprint(car.certificate)


async def test_a_part_with_more_than_one_message_should_do_is_scanned_in_rounds(
    functions: dict[str, Callable[..., Any]], make_car: MakeCar, iot_hub: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await make_car()
    await scan(first)  # nothing else is due in this part then
    cars = [await make_car(part_of(first)) for _ in range(3)]
    monkeypatch.setattr(service, "SCAN_LIMIT", 2)
    await scan(first)
    following = await scans_of(iot_hub)
    assert [message.message_id for message in following] == [f"scan-1-{part_of(first).digit}-2"]
    while following:
        for message in following:
            await functions["certificates_commands"](message=of_received(message))
        following = await scans_of(iot_hub)
    assert [(await car.told())["phase"] for car in cars] == ["offered"] * 3


async def test_an_unknown_command_is_parked(functions: dict[str, Callable[..., Any]], make_car: MakeCar) -> None:
    car = await make_car()
    envelope = Envelope(f"odd-{car.vehicle_id}", "PaintItBlack", "operator", utc_now(), b"{}")
    await functions["certificates_commands"](message=of_envelope(envelope))
    codes = {item.code async for item in parking.parked(CERTIFICATE_COMMANDS)}
    assert "unknown-type" in codes


async def test_an_event_without_a_sender_or_with_rubbish_is_parked_and_the_rest_handled(
    functions: dict[str, Callable[..., Any]], make_car: MakeCar
) -> None:
    car = await make_car()
    events = [event(None, b"{}", 11), event(car, b"\xff\xfe", 12), event(car, b'{"v":1,"kind":"csr"}', 13)]
    await functions["certificates_events"](events=batch(*events))
    assert await parked(car) == ["bad-report", "bad-report"]
    assert "no-caller" in {item.code async for item in parking.parked(CERTIFICATE_EVENTS_HUB)}
