"""What a vehicle needs from its connection to the hub, whichever client speaks for it.

Two clients do: `light_link` for fleets of any size, `sdk_link` over the device SDK of Azure.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from localcloud.fleet.identity import Credential

_log = logging.getLogger(__name__)

MQTT_TLS_PORT = 8883  # of every IoT hub; the device SDK knows no other
API_VERSION = "2021-04-12"


class HubRefusedError(Exception):
    """The hub does not let this vehicle in: unknown, disabled, or with a certificate that it does not accept."""


class HubUnreachableError(Exception):
    """There is no connection to the hub, or it ended before it answered."""


class HubRequestError(Exception):
    """The hub answered a request about the twin with an error: it throttles, most likely."""


class MessageType(StrEnum):
    """The message property `type`, by which the hub routes."""

    TELEMETRY = "telemetry"
    OTA = "ota"
    CERTIFICATE = "certificate"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class HubEndpoint:
    """Where the hub is and which CA vouches for it."""

    hostname: str
    ca_file: Path
    port: int = MQTT_TLS_PORT


@dataclass(frozen=True, slots=True)
class Twin:
    """Both halves of a twin; each has its `$version`."""

    desired: Mapping[str, Any]
    reported: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MethodAnswer:
    status: int
    payload: Any


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What the link tells the vehicle, always on the event loop that called `connect`."""

    connected: Callable[[], None]  # also after every reconnect: patches may have been missed
    desired_patch: Callable[[Mapping[str, Any]], None]  # with its `$version`
    method: Callable[[str, Any], Awaitable[MethodAnswer]]


CredentialSource = Callable[[], Sequence[Credential]]
"""The certificates to connect with, best first; asked before every attempt."""


class HubLink(Protocol):
    """A vehicle's connection to the hub. It reconnects by itself until it is closed."""

    @property
    def credential(self) -> Credential | None:
        """What the hub accepted last, or None if it never accepted any."""

    async def connect(self) -> None:
        """Connects for the first time. Raises `HubRefusedError` and `HubUnreachableError`."""

    async def reconnect(self) -> None:
        """Drops the connection and returns when there is one again: after a change of the certificates."""

    async def send(self, message_type: MessageType, body: bytes) -> None:
        """Returns when the hub has taken the message, however many connections that needs.

        Raises `HubUnreachableError` if the link is closed before.
        """

    async def get_twin(self) -> Twin:
        """Raises `HubRequestError`, and `HubUnreachableError` if the link is closed before the answer."""

    async def report(self, properties: Mapping[str, Any]) -> None:
        """Merges reported properties into the twin; null removes one. Raises as `get_twin`."""

    async def close(self) -> None:
        """Says goodbye to the hub. Whoever still waits for it gets `HubUnreachableError`."""


async def patiently(ask: Callable[[], Awaitable[None]], pause_s: float) -> None:
    """Asks the hub again for as long as it answers with an error."""
    while True:
        try:
            return await ask()
        except HubRequestError as error:
            _log.warning("%s; once more in %g s", error, pause_s)
        await asyncio.sleep(pause_s)


LinkMaker = Callable[[str, CredentialSource, Callbacks], HubLink]
"""Makes the link of a vehicle from its id."""
