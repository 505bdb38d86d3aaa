"""What a command may make of a recipient."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.notifications import recipients
from shared.errors import Rejected
from shared.messaging.contracts import SetRecipient
from tests.notifications.examples import NOW


def command(**changes: Any) -> SetRecipient:
    known: dict[str, Any] = {"vehicle_id": "car-1", "recipient_id": "anna", "name": "Anna", "email": "anna@example.com"}
    return SetRecipient(**known | changes)


def test_a_command_makes_a_recipient() -> None:
    made = recipients.recipient(command(name=" Anna Müller ", muted=("update", "trip", "trip")), NOW)
    assert (made.name, made.email, made.muted) == ("Anna Müller", "anna@example.com", ("trip", "update"))
    assert recipients.recipient(command(email=None), NOW).email is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recipient_id", ""),
        ("recipient_id", "a/b"),
        ("name", " "),
        ("name", "Anna\r\nBcc: all@example.com"),
        ("name", "x" * 101),
        ("email", "anna"),
        ("email", "anna@example.com, bea@example.com"),
        ("email", "anna@example.com\n"),
        ("email", "änna@example.com"),
        ("email", "an..na@example.com"),
        ("email", f"{'a' * 65}@example.com"),
        ("email", f"a@{'b' * 253}"),
        ("language", ""),
        ("time_zone", "Europe/Berlin\n"),
        ("muted", ("security",)),
        ("muted", ("trip", "weather")),
    ],
)
def test_a_field_at_fault_is_named_and_its_value_is_not(field: str, value: Any) -> None:
    with pytest.raises(Rejected) as refusal:
        recipients.recipient(command(**{field: value}), NOW)
    assert refusal.value.code == "bad-recipient"
    assert f"SetRecipient: {field} must be" in refusal.value.detail
    assert "anna" not in refusal.value.detail.lower()


@pytest.mark.parametrize("address", ["a@b", "anna.b+tag@mail.example.com", "o'neil@example.co", "_@xn--mller-kva.de"])
def test_usual_addresses_are_taken(address: str) -> None:
    assert recipients.is_address(address)


@given(st.text(max_size=40))
def test_no_text_at_all_breaks_the_check(text: str) -> None:
    if recipients.is_address(text):
        assert text.isascii()
        assert text.count("@") == 1
        assert text.isprintable()
        assert " " not in text
