"""A real SMTP server on loopback that keeps what it is given."""

import email
import email.policy
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Self
from uuid import uuid4

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class MailSink:
    """Takes every mail. With a folder, each is also written there as an .eml file that mail programs open."""

    address: str
    port: int
    folder: Path | None = None
    mails: list[EmailMessage] = field(default_factory=list)

    def __enter__(self) -> Self:
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._controller = Controller(self, hostname=self.address, port=self.port, ready_timeout=30)
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Called by aiosmtpd for each mail."""
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        mail = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        if self.folder:
            (self.folder / f"{len(self.mails):04d}-{uuid4().hex[:8]}.eml").write_bytes(content)
        return "250 kept"
