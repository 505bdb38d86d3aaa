"""Payload and metadata of each trigger, shaped as the real extensions and the real host shape them.

Sources: EventHubTriggerBindingStrategy, ServiceBusTriggerBindingStrategy and TimerInfo of the WebJobs extensions.
Messages come in as plain records, so that this module needs no SDK and its output can be compared with Microsoft's
worker.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from azure.functions.meta import Datum

from localcloud.host.datums import (
    Metadata,
    bytes_collection,
    bytes_datum,
    integer_collection,
    iso_naive,
    iso_offset,
    json_datum,
    optional_string,
    plain,
    present,
    spoofed_by_body,
    string_collection,
    string_datum,
)


@dataclass(frozen=True, slots=True)
class TriggerInput:
    """What the host sends to the worker for one invocation."""

    datum: Datum
    metadata: Metadata = field(default_factory=dict)
    trace_parent: str | None = None
    trace_state: str = ""


@dataclass(frozen=True, slots=True)
class Partition:
    """Where a batch of events comes from."""

    namespace: str
    event_hub: str
    consumer_group: str
    partition_id: str


@dataclass(frozen=True, slots=True)
class Event:
    """One received event. `system_properties` are its annotations, but the four known ones, and message properties."""

    body: bytes
    sequence_number: int
    offset: str
    enqueued_at: datetime
    partition_key: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    system_properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One received Service Bus message."""

    body: bytes
    message_id: str
    sequence_number: int
    delivery_count: int
    enqueued_at: datetime
    expires_at: datetime
    lock_token: str
    application_properties: Mapping[str, Any] = field(default_factory=dict)
    content_type: str | None = None
    correlation_id: str | None = None
    subject: str | None = None
    session_id: str | None = None
    reply_to: str | None = None
    reply_to_session_id: str | None = None
    to: str | None = None
    partition_key: str | None = None
    dead_letter_source: str | None = None


def event_batch(events: Sequence[Event], partition: Partition, *, binary: bool, checkpointing: bool) -> TriggerInput:
    """An Event Hub trigger's input with cardinality MANY."""
    bodies = [event.body for event in events]
    metadata = present(
        {
            **_partition_metadata(partition, checkpointing=checkpointing),
            "PartitionKeyArray": string_collection(event.partition_key for event in events),
            "OffsetArray": string_collection(event.offset for event in events),
            "OffsetStringArray": string_collection(event.offset for event in events),
            "SequenceNumberArray": integer_collection(event.sequence_number for event in events),
            "EnqueuedTimeUtcArray": json_datum([iso_naive(event.enqueued_at) for event in events]),
            "PropertiesArray": json_datum([plain(event.properties) for event in events]),
            "SystemPropertiesArray": json_datum([_system_properties(event) for event in events]),
        }
    )
    return TriggerInput(
        bytes_collection(bodies) if binary else string_collection(map(_text, bodies)),
        metadata,
        common_trace_parent(event.properties for event in events),
    )


def single_event(event: Event, partition: Partition, *, binary: bool, checkpointing: bool) -> TriggerInput:
    """An Event Hub trigger's input with cardinality ONE."""
    metadata = present(
        {
            **_partition_metadata(partition, checkpointing=checkpointing),
            "PartitionKey": optional_string(event.partition_key),
            "Offset": string_datum(event.offset),
            "OffsetString": string_datum(event.offset),
            "SequenceNumber": json_datum(event.sequence_number),
            "EnqueuedTimeUtc": json_datum(iso_naive(event.enqueued_at)),
            "Properties": json_datum(plain(event.properties)),
            "SystemProperties": json_datum(_system_properties(event)),
        }
    )
    return single_payload(event.body, metadata, common_trace_parent([event.properties]), binary=binary)


def _partition_metadata(partition: Partition, *, checkpointing: bool) -> dict[str, Datum]:
    # The extension binds one object, a TriggerPartitionContext, under both names.
    context = json_datum(
        {
            "IsCheckpointingAfterInvocation": checkpointing,
            "FullyQualifiedNamespace": partition.namespace,
            "EventHubName": partition.event_hub,
            "ConsumerGroup": partition.consumer_group,
            "PartitionId": partition.partition_id,
        }
    )
    return {"TriggerPartitionContext": context, "PartitionContext": context}


def _system_properties(event: Event) -> dict[str, Any]:
    return {
        **plain(event.system_properties),
        "SequenceNumber": event.sequence_number,
        "Offset": int(event.offset) if event.offset.isdigit() else -1,
        "OffsetString": event.offset,
        "PartitionKey": event.partition_key,
        "EnqueuedTimeUtc": iso_naive(event.enqueued_at),
    }


def message_batch(messages: Sequence[Message], *, binary: bool) -> TriggerInput:
    """A Service Bus trigger's input with cardinality MANY."""
    bodies = [message.body for message in messages]

    def strings(field_of: Callable[[Message], str | None]) -> Datum:
        return string_collection(map(field_of, messages))

    properties = json_datum([plain(message.application_properties) for message in messages])
    metadata = {
        "DeliveryCountArray": json_datum([message.delivery_count for message in messages]),
        "DeadLetterSourceArray": strings(lambda message: message.dead_letter_source),
        "LockTokenArray": strings(lambda message: message.lock_token),
        "ExpiresAtUtcArray": json_datum([iso_naive(message.expires_at) for message in messages]),
        "ExpiresAtArray": json_datum([iso_offset(message.expires_at) for message in messages]),
        "EnqueuedTimeUtcArray": json_datum([iso_naive(message.enqueued_at) for message in messages]),
        "EnqueuedTimeArray": json_datum([iso_offset(message.enqueued_at) for message in messages]),
        "MessageIdArray": strings(lambda message: message.message_id),
        "ContentTypeArray": strings(lambda message: message.content_type),
        "ReplyToArray": strings(lambda message: message.reply_to),
        "SequenceNumberArray": integer_collection(message.sequence_number for message in messages),
        "ToArray": strings(lambda message: message.to),
        "SubjectArray": strings(lambda message: message.subject),
        "LabelArray": strings(lambda message: message.subject),
        "CorrelationIdArray": strings(lambda message: message.correlation_id),
        "ApplicationPropertiesArray": properties,
        "UserPropertiesArray": properties,
        "SessionIdArray": strings(lambda message: message.session_id),
        "ReplyToSessionIdArray": strings(lambda message: message.reply_to_session_id),
        "PartitionKeyArray": strings(lambda message: message.partition_key),
        # The extension binds the partition keys under this name too.
        "TransactionPartitionKeyArray": strings(lambda message: message.partition_key),
    }
    return TriggerInput(
        bytes_collection(bodies) if binary else string_collection(map(_text, bodies)),
        metadata,
        common_trace_parent(message.application_properties for message in messages),
    )


def single_message(message: Message, *, binary: bool) -> TriggerInput:
    """A Service Bus trigger's input with cardinality ONE."""
    properties = json_datum(plain(message.application_properties))
    metadata = present(
        {
            "DeliveryCount": json_datum(message.delivery_count),
            "DeadLetterSource": optional_string(message.dead_letter_source),
            "LockToken": string_datum(message.lock_token),
            "ExpiresAtUtc": json_datum(iso_naive(message.expires_at)),
            "ExpiresAt": json_datum(iso_offset(message.expires_at)),
            "EnqueuedTimeUtc": json_datum(iso_naive(message.enqueued_at)),
            "EnqueuedTime": json_datum(iso_offset(message.enqueued_at)),
            "MessageId": string_datum(message.message_id),
            "ContentType": optional_string(message.content_type),
            "ReplyTo": optional_string(message.reply_to),
            "SequenceNumber": json_datum(message.sequence_number),
            "To": optional_string(message.to),
            "Subject": optional_string(message.subject),
            "Label": optional_string(message.subject),
            "CorrelationId": optional_string(message.correlation_id),
            "ApplicationProperties": properties,
            "UserProperties": properties,
            "SessionId": optional_string(message.session_id),
            "ReplyToSessionId": optional_string(message.reply_to_session_id),
            "PartitionKey": optional_string(message.partition_key),
        }
    )
    return single_payload(message.body, metadata, common_trace_parent([message.application_properties]), binary=binary)


def timer_info(*, past_due: bool, status: Mapping[str, str] | None) -> TriggerInput:
    """A timer trigger's input; `status` holds `Last`, `Next` and `LastUpdated`, null without a schedule monitor."""
    return TriggerInput(
        json_datum(
            {
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": None if status is None else dict(status),
                "IsPastDue": past_due,
            }
        )
    )


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Names in `headers` are in lower case; repeated values are joined by commas."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    route_parameters: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def http_request(request: Request) -> TriggerInput:
    """An HTTP trigger's input."""

    def strings(values: Mapping[str, str]) -> dict[str, Datum]:
        return {name: string_datum(value) for name, value in values.items()}

    value = {
        "method": string_datum(request.method),
        "url": string_datum(request.url),
        "headers": strings(request.headers),
        "query": strings(request.query),
        "params": strings(request.route_parameters),
        "body": bytes_datum(request.body),
    }
    headers = request.headers
    return TriggerInput(Datum(value, "http"), {}, headers.get("traceparent"), headers.get("tracestate", ""))


def common_trace_parent(properties: Any) -> str | None:
    """The W3C `traceparent` (or the older `Diagnostic-Id`) that all messages of an invocation share, if they do."""
    found = {plain(each.get("traceparent") or each.get("Diagnostic-Id")) for each in properties}
    return found.pop() if len(found) == 1 else None


def single_payload(body: bytes, metadata: Metadata, trace_parent: str | None, *, binary: bool) -> TriggerInput:
    """The input of a trigger that hands over one body, as bytes or as text."""
    if binary:
        return TriggerInput(bytes_datum(body), metadata, trace_parent)
    text = _text(body)
    return TriggerInput(string_datum(text), spoofed_by_body(metadata, text), trace_parent)


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
