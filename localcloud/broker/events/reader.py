"""Readers of a partition: each goes its own way through the events, and its group's rules say who may."""

from typing import TYPE_CHECKING

from localcloud.broker.delivery import Consumer, Settlement
from localcloud.broker.errors import LINK_STOLEN, RESOURCE_LIMIT_EXCEEDED, AmqpError
from localcloud.broker.events.position import Position
from localcloud.broker.locks import now_ms
from localcloud.broker.message import DELIVERY_ANNOTATIONS, annotation
from localcloud.broker.wire.amqp_types import Timestamp
from localcloud.broker.wire.encoder import described, encode_map

if TYPE_CHECKING:
    from localcloud.broker.events.partition import Partition

MAX_READERS_PER_GROUP = 5  # the service's limit for readers without epoch
# Events are settled as they are sent, so that nobody needs to tell them apart by their tags.
_TAG = bytes(16)


class Reader:
    """A consumer's way through a partition."""

    def __init__(
        self,
        partition: "Partition",
        consumer: Consumer,
        group: str,
        position: Position,
        epoch: int | None,
        *,
        name: str,
        with_metrics: bool,
    ) -> None:
        """`name`: what the consumer calls itself. `with_metrics`: each event comes with the numbers of the last one
        that the partition has. Raises AmqpError if there can be no such position.
        """
        self.partition = partition
        self.consumer = consumer
        self.group = group
        self.epoch = epoch
        self.name = name
        self._with_metrics = with_metrics
        self._next = partition.sequence_number_at(position)

    def pump(self) -> None:
        self.partition.forget(now_ms())
        while self.consumer.ready:
            # What fell out of retention is skipped.
            self._next = max(self._next, self.partition.first_sequence_number)
            event = self.partition.event(self._next)
            if event is None:
                return
            self._next += 1
            metrics = self._metrics() if self._with_metrics else b""
            self.consumer.deliver(event.header + metrics + event.rest, _TAG)

    def on_credit(self, consumer: Consumer) -> None:
        if consumer is self.consumer:
            self.pump()

    def drop(self, consumer: Consumer) -> None:
        if consumer is self.consumer:
            self.partition.readers.dismiss(self)

    def settle(self, tag: bytes, settlement: Settlement) -> bool:
        """Reading takes nothing away: there is nothing to decide."""
        del tag, settlement
        return True

    def _metrics(self) -> bytes:
        last = self.partition.last
        if last is None:
            return b""
        entries = (
            annotation("last_enqueued_sequence_number", last.sequence_number),
            annotation("last_enqueued_offset", str(last.offset)),
            annotation("last_enqueued_time_utc", Timestamp(last.enqueued_ms)),
            annotation("runtime_info_retrieval_time_utc", Timestamp(now_ms())),
        )
        return described(DELIVERY_ANNOTATIONS, encode_map(b"".join(entries), 2 * len(entries)))


class Readers:
    """All readers of one partition. The errors have the service's words, by which people search."""

    def __init__(self) -> None:
        self._readers: list[Reader] = []

    def admit(self, reader: Reader) -> None:
        """Adds a reader. A higher or equal epoch ends the readers of its group that are there.

        Raises AmqpError if one with a higher epoch is there, or too many are.
        """
        rivals = [rival for rival in self._readers if rival.group == reader.group]
        highest = max((rival.epoch for rival in rivals if rival.epoch is not None), default=None)
        if reader.epoch is None:
            _refuse_without_epoch(rivals, highest)
        elif highest is not None and reader.epoch < highest:
            raise AmqpError(
                LINK_STOLEN,
                f"Receiver '{_named(rivals, highest)}' with a higher epoch '{highest}' already exists. "
                f"Receiver '{reader.name}' with epoch {reader.epoch} cannot be created. Make sure you are creating "
                "receiver with increasing epoch value to ensure connectivity, or ensure all old epoch receivers are "
                "closed or disconnected.",
            )
        else:
            for rival in rivals:
                self._readers.remove(rival)
                rival.consumer.detach(_stolen_by(reader, rival))
        self._readers.append(reader)

    def dismiss(self, reader: Reader) -> None:
        if reader in self._readers:
            self._readers.remove(reader)

    def wake(self) -> None:
        for reader in list(self._readers):
            reader.pump()


def _refuse_without_epoch(rivals: list[Reader], highest: int | None) -> None:
    if highest is not None:
        raise AmqpError(
            LINK_STOLEN,
            f"At least one receiver for the endpoint is created with epoch of '{highest}', and so non-epoch receiver "
            "is not allowed. Either reconnect with a higher epoch, or make sure all epoch receivers are closed or "
            "disconnected.",
        )
    if len(rivals) >= MAX_READERS_PER_GROUP:
        raise AmqpError(
            RESOURCE_LIMIT_EXCEEDED,
            "Exceeded the maximum number of allowed receivers per partition in a consumer group which is "
            f"{MAX_READERS_PER_GROUP}. List of connected receivers - {', '.join(rival.name for rival in rivals)}.",
        )


def _named(rivals: list[Reader], epoch: int) -> str:
    return next(rival.name for rival in rivals if rival.epoch == epoch)


def _stolen_by(reader: Reader, rival: Reader) -> AmqpError:
    epoch = "without epoch" if rival.epoch is None else f"with epoch '{rival.epoch}'"
    return AmqpError(
        LINK_STOLEN,
        f"New receiver '{reader.name}' with higher epoch of '{reader.epoch}' is created hence current receiver "
        f"'{rival.name}' {epoch} is getting disconnected. If you are recreating the receiver, make sure a higher epoch "
        "is used.",
    )
