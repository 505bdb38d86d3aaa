"""The unmodified device SDK of Azure as a vehicle's link: what is true for it is true for the real hub's clients.

One process holds few hundred of these clients (they `select`), and the hub must be at port 8883.
"""

import asyncio
import importlib
import itertools
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

from localcloud.fleet.identity import Credential
from localcloud.fleet.link import (
    MQTT_TLS_PORT,
    Callbacks,
    CredentialSource,
    HubEndpoint,
    HubLink,
    HubRefusedError,
    HubRequestError,
    HubUnreachableError,
    LinkMaker,
    MessageType,
    MethodAnswer,
    Twin,
)
from localcloud.fleet.mqtt import Pace

T = TypeVar("T")

_log = logging.getLogger(__name__)


def _sdk() -> Any:
    """The SDK has no types, and only who uses it pays for its import."""
    importlib.import_module("azure.iot.device.aio")
    return importlib.import_module("azure.iot.device")


def _failures() -> tuple[type[Exception], ...]:
    """What the SDK raises when an operation comes to nothing, usually because the connection went."""
    exceptions = _sdk().exceptions
    return exceptions.ClientError, exceptions.OperationCancelled, exceptions.OperationTimeout


class SdkLink:
    """A `HubLink` over `azure-iot-device`.

    Its client cannot change its certificate, so every connection gets a client of its own, and reconnecting is done
    here instead of there.
    """

    def __init__(
        self,
        endpoint: HubEndpoint,
        vehicle_id: str,
        credentials: CredentialSource,
        callbacks: Callbacks,
        *,
        random: Random,
        pace: Pace,
    ) -> None:
        if endpoint.port != MQTT_TLS_PORT:
            raise ValueError(f"the device SDK connects to port {MQTT_TLS_PORT} only, not {endpoint.port}")
        self.credential: Credential | None = None
        self._endpoint = endpoint
        self._vehicle_id = vehicle_id
        self._credentials = credentials
        self._callbacks = callbacks
        self._random = random
        self._pace = pace
        self._client: Any = None
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._closed = False

    async def connect(self) -> None:
        self._take_over(await self._establish())
        self._keeper = asyncio.create_task(self._stay_connected())

    async def reconnect(self) -> None:
        self._drop(self._client)
        await self._until_ready()

    async def send(self, message_type: MessageType, body: bytes) -> None:
        message = _sdk().Message(body, content_encoding="utf-8", content_type="application/json")
        message.custom_properties["type"] = str(message_type)
        await self._through(lambda client: client.send_message(message))

    async def get_twin(self) -> Twin:
        twin = await self._through(lambda client: client.get_twin())
        return Twin(twin["desired"], twin["reported"])

    async def report(self, properties: Mapping[str, Any]) -> None:
        await self._through(lambda client: client.patch_twin_reported_properties(dict(properties)))

    async def close(self) -> None:
        self._closed = True
        self._ready.set()
        for task in (*self._answering, *([self._keeper] if self._keeper else [])):
            task.cancel()
            await asyncio.wait({task})
        if self._client is not None:
            await self._shut_down(self._client)

    # -- staying connected ------------------------------------------------------------------------------------------

    async def _establish(self) -> Any:
        """A connected client with the first certificate that the hub accepts."""
        refusal = HubRefusedError("there is no certificate to connect with")
        for credential in self._credentials():
            try:
                client = await self._open(credential)
            except _sdk().exceptions.CredentialError as error:
                refusal = HubRefusedError(f"connection refused: {error.__cause__}")
                continue
            except _failures() as error:
                raise HubUnreachableError(f"{self._endpoint.hostname}: {error.__cause__ or error}") from error
            self.credential = credential
            return client
        raise refusal

    async def _open(self, credential: Credential) -> Any:
        client = self._make_client(credential)
        try:
            await _uncancelled(client.connect())
            await self._listen(client)
        except BaseException:
            await self._shut_down(client)
            raise
        return client

    def _make_client(self, credential: Credential) -> Any:
        pem = str(credential.pem_file)
        return _sdk().aio.IoTHubDeviceClient.create_from_x509_certificate(
            _sdk().X509(cert_file=pem, key_file=pem),
            self._endpoint.hostname,
            self._vehicle_id,
            server_verification_cert=self._endpoint.ca_file.read_text(),
            keep_alive=self._pace.keep_alive_s,
            connection_retry=False,
            auto_connect=False,
        )

    async def _listen(self, client: Any) -> None:
        """The SDK calls handlers on threads of its own, and its setters block until the hub has subscribed."""
        loop = asyncio.get_running_loop()
        handlers: dict[str, Callable[..., Any]] = {
            "on_connection_state_change": lambda: loop.call_soon_threadsafe(self._state_changed, client),
            "on_twin_desired_properties_patch_received": lambda patch: loop.call_soon_threadsafe(
                self._callbacks.desired_patch, patch
            ),
            "on_method_request_received": lambda request: loop.call_soon_threadsafe(self._take_method, client, request),
        }
        for name, handler in handlers.items():
            await asyncio.to_thread(setattr, client, name, handler)

    def _take_over(self, client: Any) -> None:
        self._client = client
        self._lost.clear()
        self._ready.set()
        self._state_changed(client)  # it may be gone already, unnoticed
        self._callbacks.connected()

    async def _stay_connected(self) -> None:
        while True:
            await self._lost.wait()
            client, self._client = self._client, None
            await self._shut_down(client)
            self._take_over(await self._reestablish())

    async def _reestablish(self) -> Any:
        for failures in itertools.count():
            await asyncio.sleep(self._pace.pause_s(failures, self._random))
            try:
                return await self._establish()
            except (HubRefusedError, HubUnreachableError) as error:
                _log.info("%s: not connected: %s", self._vehicle_id, error)
        raise AssertionError("unreachable: counting has no end")

    def _state_changed(self, client: Any) -> None:
        if not client.connected:
            self._drop(client)

    def _drop(self, client: Any) -> None:
        if client is self._client and not self._closed:
            self._ready.clear()
            self._lost.set()

    async def _shut_down(self, client: Any) -> None:
        with suppress(*_failures()):
            await client.shutdown()

    async def _until_ready(self) -> None:
        await self._ready.wait()
        if self._closed:
            raise HubUnreachableError("the link is closed")

    # -- using the connection ---------------------------------------------------------------------------------------

    async def _through(self, operation: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Repeats the operation over as many connections as it takes."""
        while True:
            await self._until_ready()
            client = self._client
            try:
                return await _uncancelled(operation(client))
            except _failures() as error:
                if isinstance(error.__cause__, _sdk().exceptions.ServiceError):
                    raise HubRequestError(str(error.__cause__)) from error
                self._drop(client)

    def _take_method(self, client: Any, request: Any) -> None:
        task = asyncio.create_task(self._answer_method(client, request))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer_method(self, client: Any, request: Any) -> None:
        answer: MethodAnswer = await self._callbacks.method(request.name, request.payload)
        # Without a connection nobody waits for the answer.
        with suppress(*_failures()):
            response = _sdk().MethodResponse(request.request_id, answer.status, answer.payload)
            await _uncancelled(client.send_method_response(response))


async def _uncancelled(operation: Coroutine[Any, Any, T]) -> T:
    """The SDK complains on standard error when it completes what nobody awaits any more."""
    task = asyncio.create_task(operation)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # asyncio would complain as well
    return await asyncio.shield(task)


def sdk_link(endpoint: HubEndpoint, *, seed: int = 0, pace: Pace | None = None) -> LinkMaker:
    """Makes links over the device SDK to one hub. Making one raises `ValueError` if the hub's port is not 8883."""

    def make(vehicle_id: str, credentials: CredentialSource, callbacks: Callbacks) -> HubLink:
        random = Random(f"{seed}/{vehicle_id}")  # noqa: S311 - jitter is no secret
        return SdkLink(endpoint, vehicle_id, credentials, callbacks, random=random, pace=pace or Pace())

    return make
