"""The order of a connection's PUBACKs."""

import asyncio
from collections import deque
from collections.abc import Callable

from localcloud.iothub.mqtt.encoding import encode
from localcloud.iothub.mqtt.packets import Puback


class Acknowledgements:
    """Sends PUBACKs in the order of the PUBLISHes [MQTT-4.6.0-2], however their messages were accepted.

    Those that become due in one turn of the event loop leave in one write.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._expected: deque[_Expected] = deque()
        self._is_scheduled = False

    def expect(self, packet_id: int) -> Callable[[], None]:
        """To be called when the message is accepted."""
        expected = _Expected(packet_id)
        self._expected.append(expected)

        def accept() -> None:
            expected.accepted = True
            if not self._is_scheduled:
                self._is_scheduled = True
                asyncio.get_running_loop().call_soon(self._send)

        return accept

    def _send(self) -> None:
        self._is_scheduled = False
        due = bytearray()
        while self._expected and self._expected[0].accepted:
            due += encode(Puback(self._expected.popleft().packet_id))
        if due:
            self._write(bytes(due))


class _Expected:
    __slots__ = ("accepted", "packet_id")

    def __init__(self, packet_id: int) -> None:
        self.packet_id = packet_id
        self.accepted = False
