"""From the cloud to a vehicle, by the IoT Hub's service API.

Twins for what must survive the vehicle being offline, direct methods for what is worthless later:
https://learn.microsoft.com/rest/api/iothub/service/devices. The registry part of the API holds the thumbprints of the
certificates that a vehicle may connect with.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from shared import connections, settings
from shared.clock import utc_now
from shared.errors import Conflict, Rejected, Unavailable
from shared.identity.sas import service_token

API_VERSION = "2021-04-12"
_TOKEN_LIFE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Thumbprints:
    """SHA-256 of the certificates that a vehicle may connect with, upper-case hex. At most two."""

    primary: str
    secondary: str | None = None


@dataclass(frozen=True, slots=True)
class MethodAnswer:
    """What a vehicle answered to a direct method; the status is the vehicle's own."""

    status: int
    payload: Any


@dataclass(frozen=True, slots=True)
class Desired:
    """The desired properties of a twin; the etag fences a change of them."""

    properties: Mapping[str, Any]
    etag: str


async def set_desired(vehicle_id: str, properties: Mapping[str, Any], *, if_match: str | None = None) -> None:
    """Merges these desired properties into the vehicle's twin; null removes one.

    Doing it again has no other effect than a new version. Raises `Conflict` if the twin is not the one that
    `if_match`, an etag, stands for; `Rejected` if the hub does not know the vehicle; `Unavailable`.
    """
    await _call("PATCH", f"/twins/{quote(vehicle_id)}", {"properties": {"desired": properties}}, if_match=if_match)


async def desired(vehicle_id: str) -> Desired:
    """The desired properties that stand in the vehicle's twin. Raises as `set_desired`."""
    twin = await _call("GET", f"/twins/{quote(vehicle_id)}")
    return Desired(twin["properties"]["desired"], twin["etag"])


async def reported(vehicle_id: str) -> dict[str, Any]:
    """The vehicle's reported properties. Raises as `set_desired`."""
    twin = await _call("GET", f"/twins/{quote(vehicle_id)}")
    found: dict[str, Any] = twin["properties"]["reported"]
    return found


async def invoke(vehicle_id: str, method: str, payload: Any, *, timeout_s: int = 10) -> MethodAnswer | None:
    """What the vehicle answers to a direct method, or None if it is offline or does not answer in time.

    Raises as `set_desired`.
    """
    body = {"methodName": method, "payload": payload, "responseTimeoutInSeconds": timeout_s}
    try:
        answer = await _call("POST", f"/twins/{quote(vehicle_id)}/methods", body)
    except _Offline:
        return None
    return MethodAnswer(int(answer["status"]), answer.get("payload"))


async def thumbprints(vehicle_id: str) -> Thumbprints:
    """The certificates that the vehicle may connect with. Raises as `set_desired`."""
    device = await _call("GET", f"/devices/{quote(vehicle_id)}")
    return _thumbprints(device)


async def allow_certificates(vehicle_id: str, allowed: Thumbprints) -> None:
    """Lets the vehicle connect with these certificates and no others, keeping the rest of its identity.

    Raises `Conflict` if its identity changes at the same time, otherwise as `set_desired`.
    """
    device = await _call("GET", f"/devices/{quote(vehicle_id)}")
    if _thumbprints(device) == allowed:
        return
    thumbprint = {"primaryThumbprint": allowed.primary, "secondaryThumbprint": allowed.secondary}
    # PUT replaces the whole identity: what is left out would be lost.
    body = {**device, "authentication": {"type": "selfSigned", "x509Thumbprint": thumbprint}}
    await _call("PUT", f"/devices/{quote(vehicle_id)}", body, if_match=device["etag"])


def _thumbprints(device: Mapping[str, Any]) -> Thumbprints:
    known = (device.get("authentication") or {}).get("x509Thumbprint") or {}
    return Thumbprints(known.get("primaryThumbprint") or "", known.get("secondaryThumbprint"))


class _Offline(Unavailable):
    """No answer from beyond the hub: of a method that is the vehicle's silence, of all else trouble of the hub."""


async def _call(method: str, path: str, body: Any = None, *, if_match: str | None = None) -> Any:
    from aiohttp import ClientError

    host, token = await _authority(utc_now())
    headers = {"Authorization": token, "Content-Type": "application/json"}
    if if_match is not None:
        headers["If-Match"] = f'"{if_match}"'
    data = None if body is None else msgspec.json.encode(body)
    try:
        async with connections.http().request(
            method, f"https://{host}{path}", params={"api-version": API_VERSION}, data=data, headers=headers
        ) as response:
            text = await response.read()
            if response.status < 300:
                return msgspec.json.decode(text) if text else None
            code = response.headers.get("iothub-errorcode", "")
            retry_after = response.headers.get("Retry-After", "")
            status = response.status
    except (ClientError, TimeoutError) as error:
        raise Unavailable(f"IoT Hub: {type(error).__name__}") from error
    raise _error(status, code, retry_after)


def _error(status: int, code: str, retry_after: str) -> Exception:
    if code == "DeviceNotOnline" or status == 504:
        return _Offline(f"IoT Hub: {code or status}")
    if status == 404:
        return Rejected("unknown-device", "the IoT Hub does not know this vehicle")
    if status in {409, 412}:
        return Conflict(f"IoT Hub: {code or status}")
    if status in {408, 429} or status >= 500 or status == 403:  # 403 is also a daily quota used up
        return Unavailable(f"IoT Hub: {code or status}", float(retry_after) if retry_after.isdigit() else None)
    if status == 401:
        return Unavailable("IoT Hub: the service credential was refused")
    return Rejected("refused-by-hub", f"IoT Hub: {code or status}")


async def _authority(now: datetime) -> tuple[str, str]:
    """Host name and authorization header: a SAS token from a connection string, or a token of our identity."""
    name = settings.IOT_HUB_CONNECTION
    if host := os.environ.get(f"{name}__hostName"):
        return host, f"Bearer {await _identity_token()}"
    parts = dict(part.split("=", 1) for part in settings.connection(name).split(";") if part)
    host = parts["HostName"]
    return host, service_token(host, parts["SharedAccessKeyName"], parts["SharedAccessKey"], now + _TOKEN_LIFE)


async def _identity_token() -> str:
    from azure.core.exceptions import AzureError

    try:
        token = await connections.credential().get_token("https://iothubs.azure.net/.default")
    except AzureError as error:
        raise Unavailable(f"IoT Hub: no token, {type(error).__name__}") from error
    return token.token
