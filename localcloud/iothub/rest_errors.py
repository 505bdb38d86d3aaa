"""How the service API says no: status, `iothub-errorcode` and body as the service sends them."""

import uuid
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from localcloud.errors import Conflict, Rejected
from localcloud.iothub.methods import DeviceNotOnlineError, NoAnswerError
from localcloud.iothub.registry import PreconditionFailedError, UnknownDeviceError
from localcloud.iothub.twin import timestamp


class UnauthorizedError(Exception):
    """The caller's token does not open the hub."""


class _Answer(NamedTuple):
    status: int
    code: str
    number: int


# The more special before the more general.
_ANSWERS: Final[dict[type[Exception], _Answer]] = {
    UnauthorizedError: _Answer(401, "IotHubUnauthorizedAccess", 401002),
    UnknownDeviceError: _Answer(404, "DeviceNotFound", 404001),
    PreconditionFailedError: _Answer(412, "PreconditionFailed", 412001),
    Conflict: _Answer(409, "DeviceAlreadyExists", 409001),
    Rejected: _Answer(400, "ArgumentInvalid", 400004),
}
_METHOD_ANSWERS: Final[dict[type[Exception], tuple[_Answer, str]]] = {
    DeviceNotOnlineError: (_Answer(404, "DeviceNotOnline", 404103), "Timed out waiting for device to connect."),
    NoAnswerError: (_Answer(504, "GatewayTimeout", 504101), "Timed out waiting for the response from device."),
}


def error_response(error: Exception) -> web.Response | None:
    """The answer to a request that failed with this error, or None if it is none that the API knows."""
    for kind, answer in _ANSWERS.items():
        if isinstance(error, kind):
            return _response(answer, f"ErrorCode:{answer.code};{error}", f"Tracking ID:{_tracking_id()}")
    for kind, (answer, sentence) in _METHOD_ANSWERS.items():
        if isinstance(error, kind):
            return _response(answer, _method_message(answer, sentence), "")
    return None


def _method_message(answer: _Answer, sentence: str) -> str:
    """Failed method calls come with a JSON document as their message, unlike everything else."""
    message = {
        "errorCode": answer.number,
        "trackingId": _tracking_id(),
        "message": sentence,
        "info": {},
        "timestampUtc": timestamp(),
    }
    return msgspec.json.encode(message).decode()


def _tracking_id() -> str:
    return f"{uuid.uuid4().hex.upper()}-TimeStamp:{timestamp()}"


def _response(answer: _Answer, message: str, exception_message: str) -> web.Response:
    body = msgspec.json.encode({"Message": message, "ExceptionMessage": exception_message})
    return web.Response(
        status=answer.status,
        body=body,
        content_type="application/json",
        charset="utf-8",
        headers={"iothub-errorcode": answer.code},
    )
