"""E-mail, by SMTP.

What the mail server answers in words may contain the address, so only its codes are passed on.
"""

import asyncio
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr

from functions.notifications.letters import Letter
from shared.errors import Misconfigured, Rejected, Unavailable
from shared.settings import settings

ATTEMPT_S = 45.0  # for the whole conversation with the mail server
_ANSWER_S = 30.0  # for one answer of it


async def send(letter: Letter, *, to: Address, message_id: str, now: datetime) -> None:
    """Hands the mail to the mail server; a mail of the same id is recognisable as the same by its `Message-ID`.

    Raises `Rejected` if the server refuses this recipient or this mail for good, `Unavailable` for everything that may
    pass or that an operator can mend: no connection, no time (RFC 5321: 4yz), our credentials, our sender address.
    """
    mail = compose(letter, sender=settings().mail_sender, to=to, message_id=message_id, now=now)
    try:
        async with asyncio.timeout(ATTEMPT_S):
            await _hand_over(mail)
    except TimeoutError as error:
        raise Unavailable(f"mail server: no answer within {ATTEMPT_S:.0f} s") from error


def compose(letter: Letter, *, sender: str, to: Address, message_id: str, now: datetime) -> EmailMessage:
    """The mail as multipart/alternative. Raises `Misconfigured` if the sender is no address."""
    _, at, domain = parseaddr(sender)[1].rpartition("@")
    if not at:
        raise Misconfigured("setting MAIL_SENDER is not an e-mail address")
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = to
    mail["Subject"] = letter.subject
    mail["Date"] = now
    mail["Message-ID"] = f"<{message_id}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office notes, please
    # Seven bits and short lines pass through every mail server unchanged.
    mail.set_content(letter.text, cte="quoted-printable")
    mail.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    mail["Content-Language"] = letter.language  # last, because headers of content move with the text into its part
    return mail


async def _hand_over(mail: EmailMessage) -> None:
    import aiosmtplib

    configured = settings()
    try:
        await aiosmtplib.send(
            mail,
            hostname=configured.smtp_host,
            port=configured.smtp_port,
            username=configured.smtp_username,
            password=configured.smtp_password,
            use_tls=configured.smtp_security == "tls",
            start_tls=configured.smtp_security == "starttls",
            timeout=_ANSWER_S,
        )
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _refusal("recipient", error.recipients[0].code) from error
    except aiosmtplib.SMTPDataError as error:
        raise _refusal("mail", error.code) from error
    except aiosmtplib.SMTPResponseException as error:
        raise Unavailable(f"mail server: {type(error).__name__} {error.code}") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise Unavailable(f"mail server: {type(error).__name__}") from error


def _refusal(refused: str, code: int) -> Exception:
    if code >= 500:
        return Rejected(f"refused-{refused}", f"the mail server refused the {refused} with {code}")
    return Unavailable(f"mail server: {code} to the {refused}")
