"""The identities of devices, as the registry of the service keeps them."""

import base64
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from localcloud.errors import Conflict, Rejected
from localcloud.iothub.sas import is_key
from localcloud.iothub.twin import NEVER, Twin, timestamp

_DEVICE_ID: Final = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@$']{1,128}")
_MAX_REASON: Final = 128
_THUMBPRINT: Final = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_TICKS_PER_SECOND: Final = 10_000_000
_DOTNET_EPOCH_S: Final = 62_135_596_800  # seconds from year 1 to 1970


def new_etag() -> str:
    return base64.b64encode(secrets.token_bytes(9)).decode()


def new_generation_id() -> str:
    """.NET ticks, as the service uses: 18 digits."""
    return str(time.time_ns() // 100 + _DOTNET_EPOCH_S * _TICKS_PER_SECOND)


class AuthenticationType(StrEnum):
    SAS = "sas"
    SELF_SIGNED = "selfSigned"
    CERTIFICATE_AUTHORITY = "certificateAuthority"


class PreconditionFailedError(Conflict):
    """The identity or twin is not in the version that the caller knows."""


class UnknownDeviceError(Rejected):
    """There is no device of this id."""

    def __init__(self, device_id: str) -> None:
        super().__init__("unknown-device", f"there is no device {device_id}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """How a device proves who it is. Keys are base64, thumbprints upper-case hexadecimal (SHA-1 or SHA-256)."""

    type: AuthenticationType
    keys: tuple[str | None, str | None] = (None, None)
    thumbprints: tuple[str | None, str | None] = (None, None)

    def as_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "symmetricKey": dict(zip(("primaryKey", "secondaryKey"), self.keys, strict=True)),
            "x509Thumbprint": self.thumbprints_json(),
        }

    def thumbprints_json(self) -> dict[str, str | None]:
        return dict(zip(("primaryThumbprint", "secondaryThumbprint"), self.thumbprints, strict=True))


@dataclass(slots=True)
class Device:
    """An identity with its twin. A device that is deleted and made again is another one: `generation_id` tells."""

    device_id: str
    credentials: Credentials
    generation_id: str = field(default_factory=new_generation_id)
    etag: str = field(default_factory=new_etag)
    enabled: bool = True
    status_reason: str | None = None
    status_updated_at: str = NEVER
    connected: bool = False
    connection_updated_at: str = NEVER
    last_activity_at: str = NEVER
    # The SDK does not subscribe again when it reconnects: MQTT's session is what it relies on.
    subscriptions: set[str] = field(default_factory=set)
    twin: Twin = field(default_factory=Twin)

    @property
    def status(self) -> str:
        return "enabled" if self.enabled else "disabled"

    def identity_json(self) -> dict[str, Any]:
        return {
            "deviceId": self.device_id,
            "generationId": self.generation_id,
            "etag": self.etag,
            "connectionState": self._connection_state,
            "status": self.status,
            "statusReason": self.status_reason,
            "connectionStateUpdatedTime": self.connection_updated_at,
            "statusUpdatedTime": self.status_updated_at,
            "lastActivityTime": self.last_activity_at,
            "cloudToDeviceMessageCount": 0,
            "authentication": self.credentials.as_json(),
            "capabilities": {"iotEdge": False},
        }

    def twin_contents(self) -> dict[str, Any]:
        """What of the twin is not the identity's, for those who listen to changes."""
        twin = self.twin
        return {
            "deviceId": self.device_id,
            "etag": twin.etag,
            "version": twin.version,
            **({"tags": twin.tags} if twin.tags else {}),
            "properties": {"desired": twin.desired.for_service(), "reported": twin.reported.for_service()},
        }

    def twin_json(self) -> dict[str, Any]:
        twin = self.twin
        return {
            "deviceId": self.device_id,
            "etag": twin.etag,
            "deviceEtag": self.etag,
            "status": self.status,
            "statusReason": self.status_reason,
            "statusUpdateTime": self.status_updated_at,
            "connectionState": self._connection_state,
            "lastActivityTime": self.last_activity_at,
            "cloudToDeviceMessageCount": 0,
            "authenticationType": self.credentials.type,
            "x509Thumbprint": self.credentials.thumbprints_json(),
            "modelId": "",
            "version": twin.version,
            "tags": twin.tags,
            "properties": {"desired": twin.desired.for_service(), "reported": twin.reported.for_service()},
            "capabilities": {"iotEdge": False},
        }

    @property
    def _connection_state(self) -> str:
        return "Connected" if self.connected else "Disconnected"


class Records(Protocol):
    """Where devices outlive the hub."""

    def devices(self) -> Iterable[Device]: ...
    def keep(self, device: Device) -> None: ...
    def forget(self, device_id: str) -> None: ...


class Registry:
    """All devices of the hub, in the order in which they were made."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._devices = {device.device_id: device for device in records.devices()}

    def __iter__(self) -> Iterator[Device]:
        return iter(self._devices.values())

    def behind(self, device_id: str) -> Iterator[Device]:
        """The devices with a higher id, in the order of their ids."""
        for found in sorted(name for name in self._devices if name > device_id):
            yield self._devices[found]

    def find(self, device_id: str) -> Device | None:
        return self._devices.get(device_id)

    def get(self, device_id: str) -> Device:
        """Raises `UnknownDeviceError`."""
        device = self._devices.get(device_id)
        if device is None:
            raise UnknownDeviceError(device_id)
        return device

    def __len__(self) -> int:
        return len(self._devices)

    def changed(self, device: Device) -> None:
        """To be called for each change of a device, its twin or its subscriptions, so that it outlives the hub."""
        if self._devices.get(device.device_id) is device:  # not one that was deleted since
            self._records.keep(device)

    def put(self, device_id: str, identity: dict[str, Any], if_match: str | None) -> Device:
        """Makes a device, or changes one of which the caller knows the etag (`*`: any).

        Raises `Rejected` for an identity that makes no sense, `UnknownDeviceError` when there is none to change,
        `Conflict` when one is there already, `PreconditionFailedError` when it has another etag.
        """
        if not _DEVICE_ID.fullmatch(device_id) or identity.get("deviceId", device_id) != device_id:
            raise Rejected("bad-device-id", "the device id is malformed or differs from that of the address")
        device = self._devices.get(device_id)
        if device is None and if_match is not None:
            raise UnknownDeviceError(device_id)
        if device is not None and if_match is None:
            raise Conflict(f"{device_id} exists")
        credentials = _parse_credentials(identity.get("authentication"), device.credentials if device else None)
        enabled = _parse_status(identity.get("status"))
        reason = _parse_reason(identity.get("statusReason"))
        if device is None:
            device = self._devices[device_id] = Device(device_id, credentials)
        else:
            require_match(if_match, device.etag)
            device.etag = new_etag()
        device.credentials = credentials
        device.status_reason = reason
        if device.enabled != enabled:
            device.enabled, device.status_updated_at = enabled, timestamp()
        self.changed(device)
        return device

    def delete(self, device_id: str, if_match: str | None) -> Device:
        """Raises `UnknownDeviceError` or `PreconditionFailedError`."""
        require_match(if_match, self.get(device_id).etag)
        self._records.forget(device_id)
        return self._devices.pop(device_id)


def require_match(if_match: str | None, etag: str) -> None:
    """Raises `PreconditionFailedError` unless the header is absent, `*`, or the etag with or without quotes."""
    if if_match is not None and if_match.strip('"') not in {"*", etag}:
        raise PreconditionFailedError(f"the etag is now {etag}")


def _parse_status(status: Any) -> bool:
    if status is not None and status not in ("enabled", "disabled"):
        raise Rejected("bad-status", "status is 'enabled' or 'disabled'")
    return bool(status != "disabled")


def _parse_reason(reason: Any) -> str | None:
    if reason is not None and not (isinstance(reason, str) and len(reason) <= _MAX_REASON):
        raise Rejected("bad-status", f"statusReason is a text of at most {_MAX_REASON} characters")
    return reason


def _parse_credentials(given: Any, known: Credentials | None) -> Credentials:
    """The credentials of an identity's `authentication`; absent ones stay as they are, or become new keys."""
    if given is None:
        return known or Credentials(AuthenticationType.SAS, _new_keys())
    if not isinstance(given, dict):
        raise Rejected("bad-authentication", "authentication is an object")
    keys = _pair(given, "symmetricKey", "primaryKey", "secondaryKey")
    thumbprints = _pair(given, "x509Thumbprint", "primaryThumbprint", "secondaryThumbprint")
    kind = given.get("type") or (AuthenticationType.SELF_SIGNED if any(thumbprints) else AuthenticationType.SAS)
    if not isinstance(kind, str) or kind not in set(AuthenticationType):
        raise Rejected("bad-authentication", f"authentication type {kind!r} is unknown")
    if kind == AuthenticationType.SAS:
        return Credentials(AuthenticationType.SAS, _checked_keys(keys, known))
    if kind == AuthenticationType.SELF_SIGNED:
        return Credentials(AuthenticationType.SELF_SIGNED, thumbprints=_checked_thumbprints(thumbprints))
    return Credentials(AuthenticationType.CERTIFICATE_AUTHORITY)


def _pair(given: dict[str, Any], group: str, primary: str, secondary: str) -> tuple[str | None, str | None]:
    values = given.get(group) or {}
    if not isinstance(values, dict) or not all(isinstance(value, str | None) for value in values.values()):
        raise Rejected("bad-authentication", f"{group} has texts {primary} and {secondary}")
    return values.get(primary) or None, values.get(secondary) or None


def _checked_keys(keys: tuple[str | None, str | None], known: Credentials | None) -> tuple[str | None, str | None]:
    if not any(keys):
        return known.keys if known and any(known.keys) else _new_keys()
    if not all(key and is_key(key) for key in keys):
        raise Rejected("bad-authentication", "symmetric keys are two, each base64 of 16 to 64 bytes")
    return keys


def _checked_thumbprints(thumbprints: tuple[str | None, str | None]) -> tuple[str | None, str | None]:
    primary, secondary = (text.replace(":", "").upper() if text else None for text in thumbprints)
    present = [text for text in (primary, secondary) if text]
    if not present or not all(_THUMBPRINT.fullmatch(text) for text in present):
        raise Rejected("bad-authentication", "a thumbprint has 40 (SHA-1) or 64 (SHA-256) hexadecimal digits")
    return primary, secondary


def _new_keys() -> tuple[str, str]:
    return base64.b64encode(secrets.token_bytes(32)).decode(), base64.b64encode(secrets.token_bytes(32)).decode()
