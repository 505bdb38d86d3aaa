"""Who really sent a message: what the IoT Hub stamped on it, never what its body says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import Rejected
from shared.identity.vehicle import check_vehicle_id


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated sender. The generation tells a device from a later one that was given the same id."""

    vehicle_id: str
    generation_id: str

    def must_be(self, claimed_id: str | None) -> None:
        """Raises `Rejected` if a body claims to come from another vehicle."""
        if claimed_id is not None and claimed_id != self.vehicle_id:
            raise Rejected("foreign-vehicle", f"{self.vehicle_id} sent a message that claims to be of another vehicle")


def caller(system_properties: Mapping[str, Any]) -> Caller:
    """The sender by the hub's system properties, whose prefix `iothub-` the Functions worker cuts off.

    Raises `Rejected` if the hub named none: then the message did not come through it.
    """
    vehicle_id = system_properties.get("connection-device-id")
    if not isinstance(vehicle_id, str) or not vehicle_id:
        raise Rejected("no-caller", "the IoT Hub did not stamp a device id on this message")
    generation = system_properties.get("connection-auth-generation-id")
    return Caller(check_vehicle_id(vehicle_id), "" if generation is None else str(generation))
