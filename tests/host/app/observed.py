"""What a function was given, as plain JSON: the same for the local host and for Microsoft's worker."""

import json
import os
import socket
import sys
from typing import Any

import azure.functions as func


def observe(name: str, seen: Any, context: Any) -> None:
    """Tells the test that listens on the Unix socket `OBSERVED`, or else whoever reads standard output."""
    line = json.dumps({"function": name, "seen": seen, "context": context}, default=str)
    if listening := os.environ.get("OBSERVED"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(line.encode(), listening)
    else:
        sys.stdout.write(line + "\n")


def seen_in_event(event: func.EventHubEvent) -> dict[str, Any]:
    return {
        "body": event.get_body().decode(),
        "sequence_number": event.sequence_number,
        "offset": event.offset,
        "enqueued_time": str(event.enqueued_time),
        "partition_key": event.partition_key,
        "iothub_metadata": event.iothub_metadata,
        "metadata": event.metadata,
    }


def seen_in_message(message: func.ServiceBusMessage) -> dict[str, Any]:
    names = (
        "application_properties",
        "content_type",
        "correlation_id",
        "delivery_count",
        "enqueued_time_utc",
        "expires_at_utc",
        "label",
        "lock_token",
        "message_id",
        "metadata",
        "partition_key",
        "reply_to",
        "reply_to_session_id",
        "sequence_number",
        "session_id",
        "subject",
        "to",
        "user_properties",
    )
    return {"body": message.get_body().decode(), **{name: getattr(message, name) for name in names}}


def seen_in_stored_message(message: func.QueueMessage) -> dict[str, Any]:
    names = ("id", "dequeue_count", "insertion_time", "expiration_time", "time_next_visible", "pop_receipt")
    # Latin 1 has a character for each byte, so that any body can be told.
    return {"body": message.get_body().decode("latin-1"), **{name: getattr(message, name) for name in names}}


def seen_in_blob(blob: Any) -> dict[str, Any]:
    """`Any`: azure.functions.InputStream declares less than the worker gives."""
    names = ("name", "length", "uri", "blob_properties", "metadata")
    return {"body": blob.read().decode("latin-1"), **{name: getattr(blob, name) for name in names}}


def seen_in_timer(timer: Any) -> dict[str, Any]:
    """`Any`: azure.functions.TimerRequest declares less than the worker gives."""
    return {"past_due": timer.past_due, "schedule_status": timer.schedule_status, "schedule": timer.schedule}


def seen_in_request(request: func.HttpRequest) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": request.url,
        "params": dict(request.params),
        "route_params": dict(request.route_params),
        "body": request.get_body().decode(),
        "own_header": request.headers.get("X-Asked"),
    }


def seen_in_context(context: Any) -> dict[str, Any]:
    """`Any`: azure.functions.Context declares less than the worker gives."""
    retry = context.retry_context
    return {
        "function": context.function_name,
        "trace_parent": context.trace_context.trace_parent,
        "retry_count": retry.retry_count,
        "max_retry_count": retry.max_retry_count,
    }
