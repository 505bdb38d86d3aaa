"""How the service API says no: status, `iothub-errorcode` and body as the service sends them.

Source: "IoT Hub API common error codes", and the answers that the service was seen to give.
"""

import math
import uuid
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from localcloud.errors import Conflict, Rejected
from localcloud.iothub.methods import DeviceNotOnlineError, NoAnswerError
from localcloud.iothub.registry import PreconditionFailedError, UnknownDeviceError
from localcloud.iothub.throttling import ThrottledError
from localcloud.iothub.twin import timestamp


class UnauthorizedError(Exception):
    """The caller's token does not open the hub."""


class Answer(NamedTuple):
    status: int
    code: str
    number: int


# The more special before the more general.
_ANSWERS: Final[dict[type[Exception], Answer]] = {
    UnauthorizedError: Answer(401, "IotHubUnauthorizedAccess", 401002),
    UnknownDeviceError: Answer(404, "DeviceNotFound", 404001),
    DeviceNotOnlineError: Answer(404, "DeviceNotOnline", 404103),
    PreconditionFailedError: Answer(412, "PreconditionFailed", 412001),
    Conflict: Answer(409, "DeviceAlreadyExists", 409001),
    ThrottledError: Answer(429, "ThrottlingException", 429001),
    NoAnswerError: Answer(504, "GatewayTimeout", 504101),
    Rejected: Answer(400, "ArgumentInvalid", 400004),
}


def answer_of(error: Exception) -> Answer | None:
    """Status and codes for an error, or None if it is none that the API knows."""
    return next((answer for kind, answer in _ANSWERS.items() if isinstance(error, kind)), None)


def error_response(error: Exception) -> web.Response | None:
    """The answer to a request that failed with this error, or None if it is none that the API knows."""
    answer = answer_of(error)
    if answer is None:
        return None
    headers = {"iothub-errorcode": answer.code}
    if isinstance(error, ThrottledError):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    if isinstance(error, DeviceNotOnlineError | NoAnswerError | ThrottledError):
        body = {"Message": _document(answer, str(error)), "ExceptionMessage": ""}
    else:
        body = {"Message": f"ErrorCode:{answer.code};{error}", "ExceptionMessage": f"Tracking ID:{_tracking_id()}"}
    return web.Response(
        status=answer.status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )


def _document(answer: Answer, sentence: str) -> str:
    """These errors come with a JSON document as their message, unlike others."""
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
