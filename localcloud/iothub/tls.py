"""TLS that lets every client certificate through the handshake and remembers what is wrong with its chain.

The standard library's `ssl` ends the handshake of a bad certificate with an alert, upon which the device SDK retries
for ever. IoT Hub answers with CONNACK 5 instead, for which the decision must wait until after the handshake; so
this is pyOpenSSL, with its memory buffers between asyncio's transport and the MQTT connection.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509
from OpenSSL import SSL, crypto

from localcloud.pki import Pki

MAX_UNSENT_BYTES = 1 << 20  # what a peer may leave unread before it is cut


@dataclass(slots=True)
class Peer:
    """Who is at the other end, as far as TLS knows."""

    certificate: x509.Certificate | None = None
    chain_errors: list[str] = field(default_factory=list)


class SecureStream(Protocol):
    """What an application protocol may do with its connection."""

    @property
    def peer(self) -> Peer: ...
    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Application(Protocol):
    """What speaks over a secure stream. Nothing is called before the handshake is complete, nor after `closed`."""

    def data_received(self, data: bytes) -> None: ...
    def closed(self) -> None: ...


def server_context(pki: Pki) -> SSL.Context:
    """A context that asks for a client certificate, takes any or none, and never resumes a session."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate_chain_file(str(pki.server))
    context.use_privatekey_file(str(pki.server_key))
    context.load_verify_locations(str(pki.root))
    store = context.get_cert_store()
    assert store is not None
    # An intermediate, not an anchor: without X509_V_FLAG_PARTIAL_CHAIN a chain must still end in the root.
    store.add_cert(crypto.X509.from_cryptography(x509.load_pem_x509_certificate(pki.issuing.read_bytes())))
    # A resumed session would skip the verification below and with it the record of errors.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
    context.set_verify(SSL.VERIFY_PEER, _record_chain_error)
    return context


def _record_chain_error(connection: SSL.Connection, _: crypto.X509, error: int, depth: int, ok: int) -> bool:
    if not ok:
        peer: Peer = connection.get_app_data()
        peer.chain_errors.append(f"OpenSSL error {error} at depth {depth}")
    return True


class TlsStream(asyncio.Protocol):
    """The server's end of one TLS connection."""

    def __init__(
        self, context: SSL.Context, application: Callable[[SecureStream], Application], handshake_timeout_s: float = 30
    ) -> None:
        self.peer = Peer()
        self._tls = SSL.Connection(context, None)
        self._tls.set_app_data(self.peer)
        self._tls.set_accept_state()
        self._make_application = application
        self._application: Application | None = None
        self._handshake_timeout_s = handshake_timeout_s

    # -- called by asyncio ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        loop = asyncio.get_running_loop()
        self._handshake_timeout = loop.call_later(self._handshake_timeout_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        try:
            self._tls.bio_write(data)
            if self._application is None:
                self._tls.do_handshake()
                self._establish()
            self._deliver()
        except SSL.WantReadError:
            pass
        except SSL.Error:  # a failed handshake, a broken record, or the peer's close_notify
            self._flush()
            self._transport.close()
            return
        self._flush()

    def connection_lost(self, _: Exception | None) -> None:
        self._handshake_timeout.cancel()
        if self._application is not None:
            self._application.closed()

    # -- called by the application ----------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Sends encrypted, at once. A peer that does not read is cut."""
        if self._transport.is_closing():
            return
        self._tls.sendall(data)
        self._flush()
        if self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.abort()

    def close(self) -> None:
        """Ends the connection after what was written is sent."""
        if self._transport.is_closing():
            return
        with suppress(SSL.Error):  # the peer may be past a proper goodbye
            self._tls.shutdown()
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    # -- between the two --------------------------------------------------------------------------------------------

    def _establish(self) -> None:
        self._handshake_timeout.cancel()
        try:
            self.peer.certificate = self._tls.get_peer_certificate(as_cryptography=True)
        except ValueError as error:  # OpenSSL reads some certificates that `cryptography` does not
            self.peer.chain_errors.append(f"unreadable: {error}")
        self._application = self._make_application(self)

    def _deliver(self) -> None:
        assert self._application is not None
        while not self._transport.is_closing():
            self._application.data_received(self._tls.recv(65536))

    def _flush(self) -> None:
        try:
            while True:
                self._transport.write(self._tls.bio_read(65536))
        except SSL.Error:
            pass  # nothing left to send
