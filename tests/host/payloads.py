"""Raw payloads for each trigger of the test app, fed to the local host and to Microsoft's worker alike."""

from datetime import UTC, datetime, timedelta

from localcloud.host.decoding import (
    Event,
    Message,
    Partition,
    Request,
    TriggerInput,
    event_batch,
    http_request,
    message_batch,
    single_event,
    single_message,
    timer_info,
)
from localcloud.host.storage_decoding import StoredBlob, StoredMessage, stored_blob, stored_message

TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MOMENT = datetime(2024, 5, 1, 10, 0, 0, 123_000, tzinfo=UTC)
PARTITION = Partition("fleet.servicebus.windows.net", "many", "$Default", "1")


def iothub_event(body: bytes, device: str, sequence_number: int) -> Event:
    """An event as IoT Hub routes it."""
    return Event(
        body=body,
        sequence_number=sequence_number,
        offset=str(sequence_number * 100),
        enqueued_at=MOMENT,
        partition_key=device if sequence_number % 2 else None,
        properties={"type": "telemetry", "traceparent": TRACE_PARENT, "count": 3, "ratio": 0.5, "blob": b"\xff\x00"},
        system_properties={
            "iothub-connection-device-id": device,
            "iothub-connection-auth-generation-id": "638",
            "iothub-connection-auth-method": '{"scope":"device","type":"x509Certificate"}',
            "iothub-enqueuedtime": MOMENT,
            "iothub-message-source": "Telemetry",
            "content-type": "application/json",
        },
    )


def message(body: bytes, number: int) -> Message:
    """A message with every property, or with none that may be absent."""
    if number % 2:
        return Message(body, f"m{number}", number, 1, MOMENT, MOMENT, "11111111-2222-3333-4444-555555555555")
    return Message(
        body=body,
        message_id=f"m{number}",
        sequence_number=number,
        delivery_count=number,
        enqueued_at=MOMENT,
        expires_at=datetime.max.replace(tzinfo=UTC),
        lock_token="11111111-2222-3333-4444-555555555555",
        application_properties={"cloudEvents:type": "TripCompleted", "traceparent": TRACE_PARENT, "n": 5, "at": MOMENT},
        content_type="application/json",
        correlation_id="c1",
        subject="vehicle-7",
        session_id="s1",
        reply_to="answers",
        reply_to_session_id="s2",
        to="somewhere",
        partition_key="s1",
        dead_letter_source="other",
    )


def errand(body: bytes) -> StoredMessage:
    return StoredMessage(body, "e-1", 2, MOMENT, MOMENT + timedelta(minutes=10), "receipt", MOMENT + timedelta(days=7))


def drop(content: bytes, **metadata: str) -> StoredBlob:
    properties = {"LastModified": MOMENT, "ContentLength": len(content), "BlobType": 0, "Metadata": metadata}
    url = "http://127.0.0.1:10000/devstoreaccount1/drops/car-7/trip.csv"
    return StoredBlob(content, "drops", "car-7/trip.csv", url, properties, metadata, {"car": "car-7", "name": "trip"})


REQUEST = Request(
    method="POST",
    url="http://localhost:7071/api/things/7?tag=a&tag=b",
    headers={"traceparent": TRACE_PARENT, "x-asked": "yes", "content-type": "application/json"},
    query={"tag": "a,b"},
    route_parameters={"id": "7"},
    body='{"größe": 1}'.encode(),
)
STATUS = {
    "Last": "2024-05-01T10:00:00+00:00",
    "Next": "2024-05-01T11:00:00+00:00",
    "LastUpdated": "2024-05-01T10:00:00+00:00",
}
# A text body that claims to be from someone else: the real host lets it, so ours must.
SPOOF = (
    b'{"iothub-connection-device-id": "victim", "SequenceNumber": 99, "nested": {"a": 1}, "list": [1], "none": null}'
)

INPUTS: list[tuple[str, TriggerInput]] = [
    (
        "event_batch",
        event_batch(
            [iothub_event(b'{"speed": 1}', "car-1", 1), iothub_event(b'{"speed": 2}', "car-2", 2)],
            PARTITION,
            binary=True,
            checkpointing=True,
        ),
    ),
    ("event_one", single_event(iothub_event(b"plain", "car-1", 1), PARTITION, binary=True, checkpointing=False)),
    ("event_text", single_event(iothub_event(SPOOF, "car-1", 2), PARTITION, binary=False, checkpointing=True)),
    ("event_text", single_event(iothub_event(b"no json", "car-1", 2), PARTITION, binary=False, checkpointing=True)),
    ("queue_message", single_message(message(b"all", 2), binary=True)),
    ("queue_message", single_message(message(b"few", 1), binary=True)),
    ("topic_message", single_message(message('{"MessageId": "other", "ä": "ö"}'.encode(), 2), binary=False)),
    ("queue_batch", message_batch([message(b"few", 1), message(b"all", 2), message(b"few", 3)], binary=True)),
    ("stored_message", stored_message(errand("größe".encode()), binary=False)),
    ("stored_message", stored_message(errand(b'{"Id": "other", "dequeuecount": 9, "x": {"y": 1}}'), binary=False)),
    ("stored_parcel", stored_message(errand(b"\xff\x00"), binary=True)),
    ("stored_parcel", stored_message(StoredMessage(b"", "e-2", 1, MOMENT, MOMENT, "receipt"), binary=True)),
    ("plain_text", stored_message(errand("größe".encode()), binary=False)),
    ("plain_bytes", stored_message(errand(b"\xff\x00"), binary=True)),
    ("dropped_blob", stored_blob(drop(b"\xff\x00", origin="größe"), binary=True)),
    ("dropped_blob", stored_blob(drop(b""), binary=True)),
    ("dropped_blob", stored_blob(drop("ä".encode()), binary=False)),
    ("tick", timer_info(past_due=True, status=STATUS)),
    ("tick", timer_info(past_due=False, status=None)),
    ("thing", http_request(REQUEST)),
]
