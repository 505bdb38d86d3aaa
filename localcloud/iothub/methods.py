"""Direct methods: a call from a service to a device that is there, and its answer."""

import asyncio
import itertools
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from localcloud.errors import Rejected
from localcloud.iothub.registry import Device

METHODS_FILTER: Final = "$iothub/methods/POST/#"
_MAX_PAYLOAD_BYTES: Final = 128 * 1024


class DeviceNotOnlineError(Exception):
    """The device did not connect and subscribe to methods within the time given for it."""

    def __init__(self) -> None:
        super().__init__("Timed out waiting for device to connect.")


class NoAnswerError(Exception):
    """The device got the call and did not answer in time."""

    def __init__(self) -> None:
        super().__init__("Timed out waiting for the response from device.")


class MethodRequest(msgspec.Struct, rename="camel", frozen=True):
    """A call as the service API takes it; limits are the service's."""

    method_name: str
    payload: Any = None
    response_timeout_in_seconds: int = 30
    connect_timeout_in_seconds: int = 0


@dataclass(frozen=True, slots=True)
class MethodAnswer:
    status: int
    payload: Any


def parse_method_request(data: bytes) -> MethodRequest:
    """Raises `Rejected` for a call that the service would not take."""
    try:
        request = msgspec.json.decode(data, type=MethodRequest)
    except (ValueError, RecursionError) as error:
        raise Rejected("bad-method-call", str(error)) from error
    if not 1 <= len(request.method_name) <= 100:
        raise Rejected("bad-method-call", "a method's name has 1 to 100 characters")
    if not 5 <= request.response_timeout_in_seconds <= 300 or not 0 <= request.connect_timeout_in_seconds <= 300:
        raise Rejected("bad-method-call", "responseTimeoutInSeconds is 5 to 300, connectTimeoutInSeconds 0 to 300")
    if len(data) > _MAX_PAYLOAD_BYTES:
        raise Rejected("bad-method-call", f"a call has at most {_MAX_PAYLOAD_BYTES} bytes")
    return request


class MethodCalls:
    """The calls that wait for a device or for its answer."""

    def __init__(self) -> None:
        self._request_ids = (f"{number:x}" for number in itertools.count(1))
        self._waiting_for_answer: dict[tuple[str, str], asyncio.Future[MethodAnswer]] = {}
        self._waiting_for_device: dict[str, asyncio.Event] = {}

    async def wait_for_device(self, device: Device, timeout_s: float) -> None:
        """Returns when the device can be called. Raises `DeviceNotOnlineError`."""
        if is_callable(device):
            return
        ready = self._waiting_for_device.setdefault(device.device_id, asyncio.Event())
        with suppress(TimeoutError):
            await asyncio.wait_for(ready.wait(), timeout_s)
        if not is_callable(device):
            raise DeviceNotOnlineError

    def device_changed(self, device: Device) -> None:
        """To be called when a device connects or subscribes."""
        if is_callable(device) and (ready := self._waiting_for_device.pop(device.device_id, None)):
            ready.set()

    def begin(self, device: Device) -> "PendingCall":
        request_id = next(self._request_ids)
        return PendingCall(self._waiting_for_answer, (device.device_id, request_id))

    def answer(self, device: Device, request_id: str, answer: MethodAnswer) -> None:
        """What a device answered; an answer that nobody waits for any more is ignored."""
        waiting = self._waiting_for_answer.get((device.device_id, request_id))
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)


class PendingCall:
    """One call that a device is about to get."""

    def __init__(self, waiting: dict[tuple[str, str], asyncio.Future[MethodAnswer]], key: tuple[str, str]) -> None:
        self.request_id = key[1]
        self._waiting, self._key = waiting, key
        self._answer = waiting[key] = asyncio.get_running_loop().create_future()

    async def answer(self, timeout_s: float) -> MethodAnswer:
        """Raises `NoAnswerError`."""
        try:
            return await asyncio.wait_for(self._answer, timeout_s)
        except TimeoutError as error:
            raise NoAnswerError from error
        finally:
            del self._waiting[self._key]


def is_callable(device: Device) -> bool:
    return device.connected and METHODS_FILTER in device.subscriptions
