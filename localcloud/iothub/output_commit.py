"""Nothing that tells of a change leaves the hub before the change is in the journal."""

from localcloud.iothub.tls import Peer, SecureStream
from localcloud.journal import Journal


class CommittedStream:
    """A device's connection on which whatever is written, and the end, waits for all that was changed before."""

    def __init__(self, stream: SecureStream, journal: Journal) -> None:
        self._stream = stream
        self._journal = journal

    @property
    def peer(self) -> Peer:
        return self._stream.peer

    def write(self, data: bytes) -> None:
        self._journal.when_durable(lambda: self._stream.write(data))

    def close(self) -> None:
        self._journal.when_durable(self._stream.close)

    def abort(self) -> None:
        self._stream.abort()

    def pause_reading(self) -> None:
        self._stream.pause_reading()

    def resume_reading(self) -> None:
        self._stream.resume_reading()
