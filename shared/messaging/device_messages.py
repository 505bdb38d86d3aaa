"""Messages from vehicles as an Event Hub trigger delivers them, and how a batch is worked through.

A batch is checkpointed even if the function raises, so bad messages are parked one by one and only infrastructure
failures raise: the trigger's retry policy then repeats the whole batch for ever, which blocks one partition and
loses nothing.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from shared.errors import Conflict, Rejected, Unavailable
from shared.identity.caller import Caller, caller
from shared.messaging import parking
from shared.messaging.parking import Origin

UNKNOWN_PARTITION = "x"


class EventHubEvent(Protocol):
    """The part of `azure.functions.EventHubEvent` that is used here."""

    @property
    def iothub_metadata(self) -> Mapping[str, Any] | None: ...
    @property
    def metadata(self) -> Mapping[str, Any] | None: ...
    @property
    def sequence_number(self) -> int | None: ...
    @property
    def enqueued_time(self) -> datetime | None: ...
    def get_body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class DeviceMessage:
    """One message from a vehicle, by its authenticated sender."""

    caller: Caller
    body: bytes
    arrived_at: datetime  # when the hub took it: the same at every delivery
    partition: str  # of the Event Hub
    sequence_number: int
    origin: Origin


async def receive(events: Sequence[EventHubEvent], hub: str) -> list[DeviceMessage]:
    """The batch, without the messages that name no sender: these are parked. Raises `Unavailable`."""
    if not events:
        return []
    # Each event carries the metadata of the whole batch and parses it at first access: read one only.
    partition = _partition(events[0].metadata or {})
    messages = []
    for event in events:
        body = event.get_body()
        sequence_number = event.sequence_number or 0
        arrived_at = (event.enqueued_time or datetime.now(UTC)).replace(tzinfo=UTC)  # decoded as naive UTC
        position = f"{partition}/{sequence_number}"
        try:
            sender = caller(event.iothub_metadata or {})
        except Rejected as reason:
            await parking.park(Origin(hub, position, arrived_at), reason, body)
            continue
        origin = Origin(hub, position, arrived_at, sender.vehicle_id)
        messages.append(DeviceMessage(sender, body, arrived_at, partition, sequence_number, origin))
    return messages


def _partition(metadata: Mapping[str, Any]) -> str:
    """The extension sends the context under two names; a single-event trigger may lack both."""
    for name in ("TriggerPartitionContext", "PartitionContext"):
        context = metadata.get(name)
        if isinstance(context, Mapping) and context.get("PartitionId") is not None:
            return str(context["PartitionId"])
    return UNKNOWN_PARTITION


async def handle_each(
    messages: Sequence[DeviceMessage],
    handle: Callable[[DeviceMessage], Awaitable[None]],
    *,
    headway: set[Origin] | None = None,
) -> None:
    """Handles one message after the other and parks what is rejected. Raises `Unavailable` and `Conflict`.

    `headway` keeps for the retry what was handled of a batch that failed. Done anew each time it would use up what the
    IoT Hub grants before the rest of the batch has its turn, for ever. It belongs to handlers that leave nothing to be
    done after they return.
    """
    before, handled = set() if headway is None else headway, set[Origin]()
    try:
        for message in messages:
            if message.origin in before:
                continue
            try:
                await handle(message)
            except Rejected as reason:
                await parking.park(message.origin, reason, message.body)
            handled.add(message.origin)
    except (Unavailable, Conflict):
        before.update(handled)
        raise
    before.difference_update(message.origin for message in messages)
