"""The rotation's rules, by examples."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.certificates import rotation
from functions.certificates.rotation import (
    FIRST_REMINDER,
    LAST_REMINDER,
    MAX_LOST_KEYS,
    NEXT_ATTEMPT,
    Certificate,
    Credentials,
    Issued,
    KeyVerdict,
    Phase,
)
from shared.errors import Rejected

START = datetime(2026, 1, 1, tzinfo=UTC)
FACTORY_KEY = "factory"
BAD = Rejected("bad-csr", "the CSR cannot be read")


def certificate(key: str, *, now: datetime = START, serial: str | None = None) -> Certificate:
    return Certificate(
        serial=serial or f"serial of {key}",
        thumbprint=f"thumbprint of {serial or key}",
        key=key,
        not_after=now + timedelta(days=90),
        renew_at=now + timedelta(days=60),
    )


def enrolled() -> Credentials:
    credentials = rotation.enrol(None, "veh-1", certificate(FACTORY_KEY), START)
    assert credentials is not None
    return credentials


def offered() -> Credentials:
    credentials = rotation.attend(enrolled(), START + timedelta(days=60))
    assert credentials is not None
    return credentials


def issued_for(key: str, now: datetime, serial: str | None = None) -> Issued:
    return Issued(
        certificate=certificate(key, now=now, serial=serial), pem="PEM", issuer_pem="CA", nonce=f"nonce {key}"
    )


def ask(credentials: Credentials, key: str, now: datetime) -> Credentials:
    """What the service does with an acceptable CSR."""
    try:
        verdict = rotation.judge_key(credentials.under_way, key)
    except Rejected as reason:
        return rotation.refuse(credentials, reason, now) or credentials
    if verdict is KeyVerdict.NEW:
        return rotation.issue(credentials, issued_for(key, now), now)
    return credentials


def refuse(credentials: Credentials, now: datetime) -> Credentials:
    """What the service does with a CSR that is not acceptable."""
    return rotation.refuse(credentials, BAD, now) or credentials


def test_nothing_is_offered_before_a_certificate_is_due() -> None:
    assert rotation.attend(enrolled(), START + timedelta(days=60) - timedelta(seconds=1)) is None


def test_a_due_certificate_is_offered_a_rotation() -> None:
    credentials = offered()
    assert rotation.desired(credentials) == {
        "rotation_id": credentials.under_way.rotation_id,
        "phase": "offered",
        "certificate": None,
        "issuer": None,
        "nonce": None,
        "reason": None,
    }
    assert rotation.accepted(credentials) is None


def test_deciding_twice_offers_once() -> None:
    """Two scans at once, or one that is repeated after a crash, come to the same rotation."""
    first, second = (rotation.attend(enrolled(), START + timedelta(days=60 + day)) for day in (0, 1))
    assert first
    assert second
    assert first.under_way.rotation_id == second.under_way.rotation_id


def test_rotations_of_different_certificates_and_vehicles_have_different_ids() -> None:
    due = START + timedelta(days=60)
    ids = set()
    for vehicle_id, serial in [("veh-1", "a"), ("veh-1", "b"), ("veh-2", "a")]:
        credentials = rotation.enrol(None, vehicle_id, certificate("key", serial=serial), START)
        assert credentials
        attended = rotation.attend(credentials, due)
        assert attended
        ids.add(attended.under_way.rotation_id)
    assert len(ids) == 3


def test_while_rotating_old_and_new_are_accepted_and_after_the_proof_only_the_new() -> None:
    now = START + timedelta(days=61)
    issued = ask(offered(), "new", now)
    assert rotation.accepted(issued) == ("thumbprint of factory", "thumbprint of new")
    assert rotation.desired(issued)["nonce"] == "nonce new"
    proven = rotation.prove(issued, now)
    assert rotation.accepted(proven) == ("thumbprint of new", None)
    completed = rotation.complete(proven)
    assert rotation.accepted(completed) == ("thumbprint of new", None)
    assert rotation.desired(completed) == rotation.desired(proven)
    assert rotation.desired(completed)["phase"] == "completed"
    assert rotation.desired(completed)["certificate"] is None
    assert completed.current.key == "new"


def test_a_completed_rotation_rests_until_the_new_certificate_is_due() -> None:
    now = START + timedelta(days=61)
    completed = rotation.complete(rotation.prove(ask(offered(), "new", now), now))
    assert rotation.attend(completed, now + timedelta(days=60) - timedelta(seconds=1)) is None
    next_one = rotation.attend(completed, now + timedelta(days=60))
    assert next_one
    assert next_one.under_way.phase is Phase.OFFERED
    assert next_one.under_way.rotation_id != completed.under_way.rotation_id


def test_a_key_that_was_lost_gives_way_and_never_comes_back() -> None:
    now = START + timedelta(days=61)
    second = ask(ask(offered(), "first", now), "second", now)
    assert rotation.accepted(second) == ("thumbprint of factory", "thumbprint of second")
    assert rotation.judge_key(second.under_way, "first") is KeyVerdict.LATE
    assert rotation.judge_key(second.under_way, "second") is KeyVerdict.KNOWN


def test_a_vehicle_that_loses_too_many_keys_starts_over_later() -> None:
    now = START + timedelta(days=61)
    credentials = offered()
    for number in range(MAX_LOST_KEYS + 1):
        credentials = ask(credentials, f"key {number}", now)
        assert credentials.under_way.phase is Phase.ISSUED
    exhausted = ask(credentials, "one too many", now)
    assert exhausted.under_way.phase is Phase.REFUSED
    assert ask(exhausted, "yet another", now).under_way.phase is Phase.REFUSED
    again = rotation.attend(exhausted, now + NEXT_ATTEMPT)
    assert again
    assert again.under_way.attempt == 2
    assert ask(again, "fresh", now).under_way.phase is Phase.ISSUED


@pytest.mark.parametrize("order", sorted(set(permutations(["good", "bad", "bad", "good"]))))
def test_a_bad_request_never_wins_over_a_good_one_in_whatever_order(order: tuple[str, ...]) -> None:
    now = START + timedelta(days=61)
    credentials = offered()
    for request in order:
        credentials = ask(credentials, "new", now) if request == "good" else refuse(credentials, now)
    assert credentials == ask(offered(), "new", now)


def test_a_refused_vehicle_is_told_why_and_gets_another_attempt_in_time() -> None:
    now = START + timedelta(days=60)
    refused = refuse(offered(), now)
    assert rotation.desired(refused)["reason"] == BAD.detail
    for hour in range(1, 24):  # bad requests do not postpone it
        refused = refuse(refused, now + timedelta(hours=hour))
    again = rotation.attend(refused, now + NEXT_ATTEMPT)
    assert again
    assert again.under_way.phase is Phase.OFFERED
    assert again.under_way.reason is None
    assert again.under_way.rotation_id != refused.under_way.rotation_id


def test_reminders_come_later_each_time_and_daily_in_the_end() -> None:
    credentials, pauses = offered(), []
    for _ in range(40):
        now = credentials.attend_at
        reminded = rotation.attend(credentials, now)
        assert reminded
        assert reminded.under_way == credentials.under_way
        pauses.append(reminded.attend_at - now)
        credentials = reminded
    assert pauses[0] > FIRST_REMINDER
    assert pauses == sorted(pauses)
    assert pauses[-1] == LAST_REMINDER


def test_another_rotation_is_not_found() -> None:
    with pytest.raises(Rejected, match="unknown-rotation"):
        offered().find("of someone else")
    with pytest.raises(Rejected, match="unknown-rotation"):
        enrolled().find("any")


@pytest.mark.parametrize("order", sorted(permutations([0, 1, 2, 1])))
def test_of_several_enrolments_the_last_sent_holds_in_whatever_order(order: tuple[int, ...]) -> None:
    """So a factory certificate that is announced again cannot undo what came after it."""
    credentials = None
    for number in order:
        sent_at = START + timedelta(days=number)
        credentials = rotation.enrol(credentials, "veh-1", certificate(f"key {number}"), sent_at) or credentials
    assert credentials
    assert credentials.current.key == "key 2"


def test_enrolling_what_is_current_changes_nothing() -> None:
    known = offered()
    assert rotation.enrol(known, "veh-1", certificate(FACTORY_KEY), START + timedelta(days=99)) is None


@given(days=st.integers(1, 825), renew_before=st.integers(1, 400))
def test_a_new_certificate_is_never_due_at_once(days: int, renew_before: int) -> None:
    """Not even when the issuer's own end cuts its life short: it would be replaced for ever."""
    not_after = START + timedelta(days=days)
    renew_at = rotation.renewal_time(not_after, timedelta(days=renew_before), START)
    assert START + timedelta(days=days) / 2 <= renew_at < not_after


def test_a_factory_certificate_is_due_as_soon_as_its_rest_is_short() -> None:
    not_after = START + timedelta(days=7)
    assert rotation.renewal_time(not_after, timedelta(days=30)) < START
