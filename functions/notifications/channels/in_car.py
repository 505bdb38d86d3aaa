"""The vehicle's screen, by direct method (docs/vehicle-protocol.md, "In-car message")."""

from functions.notifications.letters import Notice
from shared.errors import Rejected, Unavailable
from shared.messaging import vehicle_link

METHOD = "showMessage"
_SHOWN = 200


async def send(notice: Notice, *, vehicle_id: str, message_id: str, category: str) -> None:
    """Shows the notice. The vehicle shows a message of the same id once, however often it is sent.

    Raises `Unavailable` if the vehicle is offline, `Rejected` if it or the hub refuses.
    """
    payload = {
        "message_id": message_id,
        "category": category,
        "title": notice.title,
        "body": notice.body,
        "language": notice.language,
    }
    answer = await vehicle_link.invoke(vehicle_id, METHOD, payload)
    if answer is None:
        raise Unavailable("the vehicle is offline")
    if answer.status != _SHOWN:
        raise Rejected("not-shown", f"the vehicle answered with status {answer.status}")
