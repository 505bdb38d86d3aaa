"""A real SMTP server on loopback, as helpful or as difficult as a test wants it."""

import email
import email.policy
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

ANSWER = "250 OK"


@dataclass
class MailServer:
    """Keeps what it is given, by the address that it was for."""

    address: str
    port: int
    options: dict[str, Any] = field(default_factory=dict)  # of aiosmtpd
    refused_recipients: dict[str, str] = field(default_factory=dict)  # what is answered to these addresses
    refused_mails: dict[str, str] = field(default_factory=dict)  # what is answered to mails for these addresses
    hung_up: set[str] = field(default_factory=set)  # mails for these are cut off without an answer
    logins: list[LoginPassword] = field(default_factory=list)
    _mails: list[tuple[str, EmailMessage]] = field(default_factory=list)
    _controller: Controller | None = None

    def start(self) -> None:
        self._controller = Controller(
            self, hostname=self.address, port=self.port, ready_timeout=30, authenticator=self._log_in, **self.options
        )
        self._controller.start()

    def stop(self) -> None:
        if self._controller:
            self._controller.stop()
        self._controller = None

    def mails(self, address: str) -> list[EmailMessage]:
        return [mail for recipient, mail in self._mails if recipient == address]

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = self.refused_recipients.get(address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return ANSWER

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        (address,) = envelope.rcpt_tos
        if address in self.hung_up:
            assert server.transport
            server.transport.close()
            return ANSWER
        refusal = self.refused_mails.get(address)
        if refusal:
            return refusal
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self._mails.append((address, mail))
        return ANSWER

    def _log_in(self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: Any) -> AuthResult:
        self.logins.append(given)
        return AuthResult(success=given.password == b"secret", handled=False)


def tls(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
