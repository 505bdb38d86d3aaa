"""The mail itself, before it is sent."""

import email
import email.policy
from email.headerregistry import Address

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from functions.notifications.channels.email import compose
from functions.notifications.letters import Letter
from functions.notifications.recipients import is_address
from shared.errors import Misconfigured
from tests.notifications.examples import NOW

LETTER = Letter("de", "Ihre Fahrt über 12,4 km", "Guten Tag Anna Müller,\n" + "x" * 2000, "<p>Grüße</p>")
ATOM = st.text("abcXYZ019!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=20)


def mail(
    name: str = "Anna Müller", address: str = "anna@example.com", letter: Letter = LETTER
) -> email.message.EmailMessage:
    to = Address(name, addr_spec=address)
    made = compose(letter, sender="Autohaus <cars@example.org>", to=to, message_id="0123-abc", now=NOW)
    read = email.message_from_bytes(made.as_bytes(), policy=email.policy.default)
    assert isinstance(read, email.message.EmailMessage)
    return read


def test_a_mail_has_both_forms_and_what_good_mail_has() -> None:
    read = mail()
    assert read.get_content_type() == "multipart/alternative"
    text, html = (read.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == LETTER.text.splitlines()
    assert html.get_content().strip() == LETTER.html
    assert (read["Subject"], read["From"], read["To"]) == (
        LETTER.subject,
        "Autohaus <cars@example.org>",
        "Anna Müller <anna@example.com>",
    )
    assert (read["Message-ID"], read["Auto-Submitted"]) == ("<0123-abc@example.org>", "auto-generated")
    assert (read["Content-Language"], read["Date"].datetime) == ("de", NOW)


def test_a_mail_passes_through_every_server_unchanged() -> None:
    lines = (
        compose(LETTER, sender="cars@example.org", to=Address(addr_spec="a@b"), message_id="x", now=NOW)
        .as_bytes()
        .split(b"\r\n")
    )
    assert all(line.isascii() and len(line) <= 998 for line in lines)


@settings(max_examples=60, deadline=None)
@given(
    name=st.text(min_size=1, max_size=100).map(str.strip).filter(lambda name: name and name.isprintable()),
    local=st.lists(ATOM, min_size=1, max_size=3),
    subject=st.text(max_size=200).map(lambda text: " ".join(text.split())),
)
def test_whoever_is_accepted_as_recipient_can_be_written_to(name: str, local: list[str], subject: str) -> None:
    address = f"{'.'.join(local)}@example.com"
    assume(is_address(address))
    assume(subject.isprintable())
    (to,) = mail(name, address, Letter("en", subject, "x", "x"))["To"].addresses
    assert to.addr_spec == address


def test_a_sender_without_an_address_is_a_setting_at_fault() -> None:
    with pytest.raises(Misconfigured, match="MAIL_SENDER"):
        compose(LETTER, sender="Autohaus", to=Address(addr_spec="a@b"), message_id="x", now=NOW)
