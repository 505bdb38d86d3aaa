"""The input of a function that is fired by hand: a text as a message that never was on a broker."""

from datetime import UTC, datetime

from localcloud.clock import utc_now
from localcloud.host.app import EVENT_HUB, HTTP, STORAGE_QUEUE, TIMER, IndexedFunction
from localcloud.host.decoding import (
    Event,
    Message,
    Partition,
    Request,
    TriggerInput,
    event_batch,
    http_request,
    message_batch,
    single_event,
    single_message,
    timer_info,
)
from localcloud.host.storage_decoding import StoredMessage, stored_message

_NOWHERE = Partition("", "", "", "")


def input_by_hand(function: IndexedFunction, text: str) -> TriggerInput:
    """For any trigger but a blob's, whose text names a blob that has to be fetched."""
    trigger, body, now = function.trigger, text.encode(), utc_now()
    if trigger.type == TIMER:
        return timer_info(past_due=False, status=None)
    if trigger.type == HTTP:
        return http_request(Request("POST", f"http://localhost/{trigger.properties['route']}", body=body))
    if trigger.type == EVENT_HUB:
        event = Event(body, 0, "0", now)
        if trigger.is_batch:
            return event_batch([event], _NOWHERE, binary=trigger.is_binary, checkpointing=False)
        return single_event(event, _NOWHERE, binary=trigger.is_binary, checkpointing=False)
    if trigger.type == STORAGE_QUEUE:
        return stored_message(StoredMessage(body, "", 0, now, now, ""), binary=trigger.is_binary)
    message = Message(body, "", 0, 1, now, datetime.max.replace(tzinfo=UTC), "")
    if trigger.is_batch:
        return message_batch([message], binary=trigger.is_binary)
    return single_message(message, binary=trigger.is_binary)
