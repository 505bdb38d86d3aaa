"""A consumer without a network."""

from localcloud.broker.errors import AmqpError


class Taker:
    """A consumer that takes what it gets and has credit for as much as it is told."""

    def __init__(self, *, settled: bool) -> None:
        self.settled = settled
        self.credit = 0
        self.tags: list[bytes] = []

    @property
    def ready(self) -> bool:
        return self.credit > 0

    def deliver(self, payload: bytes, tag: bytes) -> None:
        del payload
        self.credit -= 1
        self.tags.append(tag)

    def detach(self, error: AmqpError) -> None:
        raise AssertionError(error)
