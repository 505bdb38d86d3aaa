"""The hub's topics over the light MQTT client.

https://learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub
"""

import asyncio
import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlencode

import msgspec

from localcloud.fleet.identity import Credential
from localcloud.fleet.link import (
    API_VERSION,
    Callbacks,
    CredentialSource,
    HubEndpoint,
    HubLink,
    HubRequestError,
    HubUnreachableError,
    LinkMaker,
    MessageType,
    MethodAnswer,
    Twin,
)
from localcloud.fleet.mqtt import MqttClient, Pace

_log = logging.getLogger(__name__)

_TWIN_ANSWERS: Final = "$iothub/twin/res/"
_DESIRED_PATCHES: Final = "$iothub/twin/PATCH/properties/desired/"
_METHODS: Final = "$iothub/methods/POST/"
_JSON: Final = {"$.ct": "application/json", "$.ce": "utf-8"}  # without these, the hub's routes cannot query the body


@dataclass(frozen=True, slots=True)
class _Request:
    topic: str
    payload: bytes
    answer: asyncio.Future[bytes]


class LightLink:
    """A `HubLink` that costs a socket and a task."""

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
        self._events = f"devices/{vehicle_id}/messages/events/"
        self._callbacks = callbacks
        self._requests: dict[str, _Request] = {}
        self._request_ids = itertools.count(1)
        self._answering: set[asyncio.Task[None]] = set()
        self._client = MqttClient(
            endpoint,
            vehicle_id,
            f"{endpoint.hostname}/{vehicle_id}/?api-version={API_VERSION}",
            credentials,
            filters=(f"{_TWIN_ANSWERS}#", f"{_DESIRED_PATCHES}#", f"{_METHODS}#"),
            on_connected=self._connected,
            on_message=self._received,
            random=random,
            pace=pace,
        )

    @property
    def credential(self) -> Credential | None:
        return self._client.credential

    async def connect(self) -> None:
        await self._client.connect()

    async def reconnect(self) -> None:
        await self._client.reconnect()

    async def send(self, message_type: MessageType, body: bytes) -> None:
        await self._client.publish(self._events + urlencode({"type": message_type, **_JSON}, quote_via=quote), body)

    async def get_twin(self) -> Twin:
        twin = msgspec.json.decode(await self._request("$iothub/twin/GET/", b""))
        return Twin(twin["desired"], twin["reported"])

    async def report(self, properties: Mapping[str, Any]) -> None:
        await self._request("$iothub/twin/PATCH/properties/reported/", msgspec.json.encode(properties))

    async def close(self) -> None:
        for task in self._answering:
            task.cancel()
        await self._client.close()
        for request in self._requests.values():
            if not request.answer.done():
                request.answer.set_exception(HubUnreachableError("the link is closed"))

    async def _request(self, topic: str, payload: bytes) -> bytes:
        request_id = f"{next(self._request_ids):x}"
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._requests[request_id] = request = _Request(f"{topic}?$rid={request_id}", payload, answer)
        self._client.post(request.topic, request.payload)
        try:
            return await answer
        finally:
            del self._requests[request_id]

    def _connected(self) -> None:
        # The answers went with the last connection; asking again changes nothing.
        for request in self._requests.values():
            self._client.post(request.topic, request.payload)
        self._callbacks.connected()

    def _received(self, topic: str, payload: bytes) -> None:
        path, _, query = topic.partition("?")
        try:
            if path.startswith(_TWIN_ANSWERS):
                self._take_answer(int(path.split("/")[3]), parse_qs(query), payload)
            elif path.startswith(_DESIRED_PATCHES):
                self._callbacks.desired_patch(msgspec.json.decode(payload))
            elif path.startswith(_METHODS):
                self._take_method(unquote(path.split("/")[3]), parse_qs(query)["$rid"][0], payload)
        except (ValueError, LookupError):
            _log.exception("the hub sent a message that makes no sense")

    def _take_answer(self, status: int, query: Mapping[str, list[str]], payload: bytes) -> None:
        request = self._requests.get(query["$rid"][0])
        if request is None or request.answer.done():
            return
        if status >= 300:
            request.answer.set_exception(HubRequestError(f"the hub answered with status {status}"))
        else:
            request.answer.set_result(payload)

    def _take_method(self, name: str, request_id: str, payload: bytes) -> None:
        arguments = msgspec.json.decode(payload) if payload else None
        task = asyncio.create_task(self._answer_method(name, request_id, arguments))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer_method(self, name: str, request_id: str, arguments: Any) -> None:
        answer: MethodAnswer = await self._callbacks.method(name, arguments)
        topic = f"$iothub/methods/res/{answer.status}/?$rid={request_id}"
        self._client.post(topic, msgspec.json.encode(answer.payload))


def light_link(endpoint: HubEndpoint, *, seed: int = 0, pace: Pace | None = None) -> LinkMaker:
    """Makes light links to one hub. The jitter of each vehicle's retries follows from the seed and its id."""

    def make(vehicle_id: str, credentials: CredentialSource, callbacks: Callbacks) -> HubLink:
        random = Random(f"{seed}/{vehicle_id}")  # noqa: S311 - jitter is no secret
        return LightLink(endpoint, vehicle_id, credentials, callbacks, random=random, pace=pace or Pace())

    return make
