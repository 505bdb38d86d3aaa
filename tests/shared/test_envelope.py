"""Messages between services are CloudEvents 1.0 in AMQP binary mode."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudevents.core.bindings import amqp
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Rejected
from shared.messaging.contracts import CloseTrip, StartCampaign, TripCompleted, TripRevised, decode, to_envelope
from shared.messaging.envelope import CONTENT_TYPE, Envelope, parse

NOW = datetime(2026, 5, 1, 12, 30, 0, 123000, tzinfo=UTC)
ENVELOPE = Envelope("id-1", "TripCompleted", "/trips", NOW, b'{"x": 1}', "car-1", f"00-{'1' * 32}-{'2' * 16}-01")


def test_the_cloudevents_sdk_reads_our_messages() -> None:
    message = amqp.AMQPMessage({"content-type": CONTENT_TYPE}, dict(ENVELOPE.properties()), ENVELOPE.data)
    event = amqp.from_binary_event(message)
    assert (event.get_id(), event.get_type(), event.get_source(), event.get_subject()) == (
        *("id-1", "TripCompleted", "/trips"),
        "car-1",
    )
    assert event.get_time() == NOW
    assert event.get_data() == {"x": 1}


def test_we_read_messages_of_the_cloudevents_sdk() -> None:
    """It writes the other of the two prefixes that the binding allows."""
    from cloudevents.core.v1.event import CloudEvent

    attributes = {"id": "a", "type": "T", "source": "/s", "time": NOW, "datacontenttype": "application/json"}
    message = amqp.to_binary_event(CloudEvent(attributes=attributes, data={"x": 1}))
    envelope = parse(message.application_properties, message.application_data)
    assert (envelope.id, envelope.type, envelope.source, envelope.time) == ("a", "T", "/s", NOW)
    assert json.loads(envelope.data) == {"x": 1}


@given(
    st.builds(
        Envelope,
        id=st.text(min_size=1),
        type=st.text(min_size=1),
        source=st.text(min_size=1),
        time=st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
            lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        ),
        data=st.binary(),
        subject=st.none() | st.text(min_size=1),
        traceparent=st.none() | st.text(min_size=1),
    )
)
def test_an_envelope_survives_the_wire(envelope: Envelope) -> None:
    assert parse(envelope.properties(), envelope.data) == envelope


@pytest.mark.parametrize("missing", ["id", "type", "source", "specversion"])
def test_a_message_without_a_required_attribute_is_rejected_by_name(missing: str) -> None:
    properties: dict[str, Any] = dict(ENVELOPE.properties())
    del properties[f"cloudEvents:{missing}"]
    with pytest.raises(Rejected, match=missing):
        parse(properties, b"")


@pytest.mark.parametrize("time", ["yesterday", "2026-05-01T12:00:00", True, None, 10**30, b"x"])
def test_a_time_that_is_none_is_rejected(time: object) -> None:
    with pytest.raises(Rejected, match="time"):
        parse({**ENVELOPE.properties(), "cloudEvents:time": time}, b"")


@pytest.mark.parametrize(
    ("name", "value"), [("subject", 7), ("traceparent", 7), ("traceparent", b"00"), ("id", "x" * 129)]
)
def test_an_attribute_that_could_not_be_sent_again_is_rejected_by_name(name: str, value: object) -> None:
    with pytest.raises(Rejected, match=name):
        parse({**ENVELOPE.properties(), f"cloudEvents:{name}": value}, b"")


def test_a_time_may_be_text() -> None:
    later = NOW + timedelta(hours=2)
    assert parse({**ENVELOPE.properties(), "cloudEvents:time": later.isoformat()}, b"").time == later


def test_a_message_is_decoded_by_its_type() -> None:
    command = CloseTrip(vehicle_id="car-1")
    envelope = to_envelope(command, message_id="m", source="/x", subject="car-1", time_ms=0)
    assert decode(envelope, StartCampaign, CloseTrip) == command


def test_an_unknown_type_is_rejected_with_what_is_known() -> None:
    with pytest.raises(Rejected, match=r"TripCompleted.*known: CloseTrip") as error:
        decode(ENVELOPE, CloseTrip)
    assert error.value.code == "unknown-type"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"vehicle_id": 1}', b"\xff", b"[" * 1_000_000])
def test_data_that_does_not_fit_is_rejected(data: bytes) -> None:
    with pytest.raises(Rejected) as error:
        decode(Envelope("i", "CloseTrip", "/x", NOW, data), CloseTrip)
    assert error.value.code == "bad-data"


def test_a_newer_message_is_read_by_older_code() -> None:
    """Fields that this version does not know are passed over."""
    data = b'{"vehicle_id": "car-1", "since_version_9": true}'
    assert decode(Envelope("i", "CloseTrip", "/x", NOW, data), CloseTrip) == CloseTrip(vehicle_id="car-1")


def test_a_revision_is_not_taken_for_a_completion() -> None:
    assert issubclass(TripRevised, TripCompleted)
    envelope = Envelope("i", "TripRevised", "/x", NOW, b"{}")
    with pytest.raises(Rejected, match="not understood"):
        decode(envelope, TripCompleted)
