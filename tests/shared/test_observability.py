"""A trace goes on from the message that is handled to those that are sent meanwhile."""

import pytest

from shared.observability import following, outgoing_traceparent

INCOMING = f"00-{'a' * 32}-{'b' * 16}-01"


def test_what_is_sent_goes_on_with_the_trace_in_a_span_of_its_own() -> None:
    with following(INCOMING):
        first, second = outgoing_traceparent(), outgoing_traceparent()
    assert first.split("-")[1] == second.split("-")[1] == "a" * 32
    assert len({INCOMING, first, second}) == 3


@pytest.mark.parametrize(
    "malformed", [None, "", "x", INCOMING.upper(), f"00-{'0' * 32}-{'b' * 16}-01", INCOMING + "\n"]
)
def test_a_malformed_trace_is_not_passed_on(malformed: str | None) -> None:
    with following(malformed):
        first, second = outgoing_traceparent(), outgoing_traceparent()
    assert first.split("-")[1] == second.split("-")[1] not in {"a" * 32, "0" * 32}


def test_work_that_no_message_began_has_a_trace_of_its_own() -> None:
    assert outgoing_traceparent().split("-")[1] != outgoing_traceparent().split("-")[1]
