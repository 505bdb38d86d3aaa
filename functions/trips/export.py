"""What is stored about a vehicle, for the person whom it is about (GDPR Art. 15 and 20): all of it as JSON. Pure."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from functions.trips.samples import Message
from functions.trips.vehicle_trips import VehicleTrips
from shared.messaging.bodies import BODY_ERRORS


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was parked, and why."""

    source: str
    arrived_at_ms: int
    reason: str
    detail: str
    body: bytes


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """Everything: rows as they are stored, newest first, the messages of the last days and what is not finished."""

    vehicle_id: str
    trips: Sequence[Mapping[str, Any]] = ()
    charging_sessions: Sequence[Mapping[str, Any]] = ()
    rollups: Mapping[str, Mapping[str, Any]] = {}  # by first day and kind of the period, or by what else it is
    messages: Sequence[Message] = ()
    open_trips: Sequence[VehicleTrips] = ()
    set_aside: Sequence[SetAside] = ()


def to_json(archive: Archive, exported_at_ms: int) -> bytes:
    """One document. Messages are as the vehicle sent them: docs/vehicle-protocol.md tells what they say."""
    return msgspec.json.encode(
        {
            "vehicle_id": archive.vehicle_id,
            "exported_at_ms": exported_at_ms,
            "trips": [_unpacked(row) for row in archive.trips],
            "charging_sessions": [_unpacked(row) for row in archive.charging_sessions],
            "rollups": {name: _unpacked(row) for name, row in archive.rollups.items()},
            "open_trips": [_named(state) for state in archive.open_trips],
            "messages": [
                {"arrived_at_ms": message.arrived_ms, "message": msgspec.Raw(message.body)}
                for message in archive.messages
            ],
            "set_aside": [
                {**msgspec.structs.asdict(message), "body": _readable(message.body)} for message in archive.set_aside
            ],
        }
    )


_PACKED = ("dropped", "quality_reasons", "beginning")  # JSON in a property, since a row has no lists


def _unpacked(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: msgspec.Raw(value) if name in _PACKED and isinstance(value, str | bytes) else value
        for name, value in row.items()
    }


def _named(value: Any) -> Any:
    """States are stored without the names of their fields, which say what the values are."""
    match value:
        case msgspec.Struct():
            return {name: _named(getattr(value, name)) for name in value.__struct_fields__}
        case tuple() if hasattr(value, "_asdict"):
            return _named(value._asdict())
        case dict():
            return {name: _named(each) for name, each in value.items()}
        case list() | tuple():
            return [_named(each) for each in value]
        case _:
            return value


def _readable(body: bytes) -> Any:
    """As JSON if it is that, as text if it is that, otherwise in base64."""
    try:
        msgspec.json.decode(body)
    except BODY_ERRORS:
        pass
    else:
        return msgspec.Raw(body)
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
