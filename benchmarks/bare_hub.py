"""An MQTT endpoint that does nothing: TLS, and a PUBACK for every PUBLISH, unread. What a hub could reach at most.

`python -m benchmarks.bare_hub PKI` serves on a free port until SIGTERM.
"""

import asyncio
import json
import ssl
import sys
from pathlib import Path

from localcloud.layout import LOOPBACK
from localcloud.pki import Pki

_CONNECT, _PUBLISH = 1, 3
_CONNACK = b"\x20\x02\x00\x00"


class BareHub(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        answers = []
        start = 0
        while (body := _body(received, start)) is not None:
            kind, (begin, end) = received[start] >> 4, body
            if kind == _CONNECT:
                answers.append(_CONNACK)
            elif kind == _PUBLISH:
                packet_id = begin + 2 + int.from_bytes(received[begin : begin + 2], "big")
                answers.append(b"\x40\x02" + received[packet_id : packet_id + 2])
            start = end
        self._received = received[start:]
        if answers:
            self._transport.write(b"".join(answers))


def _body(received: bytes, start: int) -> tuple[int, int] | None:
    """Where the body of the packet at `start` begins and ends; None if it is not there yet."""
    length = shift = 0
    for position in range(start + 1, len(received)):
        length |= (received[position] & 0x7F) << shift
        if received[position] < 0x80:
            end = position + 1 + length
            return (position + 1, end) if end <= len(received) else None
        shift += 7
    return None


async def _serve(pki: Pki) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server, pki.server_key)
    context.load_verify_locations(pki.root)
    server = await asyncio.get_running_loop().create_server(BareHub, LOOPBACK, 0, ssl=context, backlog=1024)
    print("ready", json.dumps({"mqtt_port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Pki(Path(sys.argv[1]))))
