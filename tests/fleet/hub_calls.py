"""What the cloud does with a vehicle through the hub."""

import itertools
import json
from typing import Any

from cryptography import x509

from localcloud.fleet.hub_service import HubService
from localcloud.fleet.identity import thumbprint
from tests.iothub.events import EventLog

MESSAGE = {"message_id": "m1", "category": "trip", "title": "Fahrt beendet", "body": "12,3 km", "language": "de"}


async def wish(service: HubService, vehicle_id: str, **properties: Any) -> None:
    await service.call("PATCH", f"/twins/{vehicle_id}", {"properties": {"desired": properties}})


async def call(service: HubService, vehicle_id: str, method: str, payload: Any) -> dict[str, Any]:
    body = {"methodName": method, "payload": payload, "responseTimeoutInSeconds": 20}
    return await service.call("POST", f"/twins/{vehicle_id}/methods", body)


async def accept(service: HubService, vehicle_id: str, *certificates: x509.Certificate) -> None:
    names = ("primaryThumbprint", "secondaryThumbprint")
    thumbprints = dict(zip(names, map(thumbprint, certificates), strict=False))
    authentication = {"type": "selfSigned", "x509Thumbprint": thumbprints}
    body = {"deviceId": vehicle_id, "status": "enabled", "authentication": authentication}
    await service.call("PUT", f"/devices/{vehicle_id}", body, if_match="*")


async def messages(events: EventLog, vehicle_id: str, count: int) -> list[dict[str, Any]]:
    """The bodies of the vehicle's messages so far, once there are as many."""
    return [json.loads(event.body) for event in await events.wait(vehicle_id, count)]


async def message_of_kind(events: EventLog, vehicle_id: str, kind: str) -> dict[str, Any]:
    """The first message of this kind; others may have come before it, and more than once."""
    for count in itertools.count(1):
        for message in await messages(events, vehicle_id, count):
            if message.get("kind") == kind:
                return message
    raise AssertionError("unreachable: counting has no end")
