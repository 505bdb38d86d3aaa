"""The rotation's rules on random walks."""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from functions.certificates import rotation
from functions.certificates.rotation import MAX_LOST_KEYS, Credentials, Phase
from tests.certificates.test_rotation import START, ask, offered, refuse

RANK = [Phase.OFFERED, Phase.REFUSED, Phase.ISSUED, Phase.PROVEN, Phase.COMPLETED]


class RandomWalk(RuleBasedStateMachine):
    """Scans, requests, bad requests and proofs in any order, with time going on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START + timedelta(days=60)
        self.credentials = offered()
        self.before = self.credentials

    def _becomes(self, credentials: Credentials) -> None:
        self.before, self.credentials = self.credentials, credentials

    @rule(minutes=st.integers(0, 100_000))
    def scan(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        attended = rotation.attend(self.credentials, self.now)
        assert (attended is None) == (self.now < self.credentials.attend_at)
        assert attended is None or attended.attend_at > self.now
        self._becomes(attended or self.credentials)

    @rule(number=st.integers(0, 12))
    def csr(self, number: int) -> None:
        """Keys belong to a rotation: the fleet-wide record of keys sees to that."""
        key = f"{self.credentials.under_way.rotation_id} {number}"
        self._becomes(ask(self.credentials, key, self.now))
        again = ask(self.credentials, key, self.now)
        assert again == self.credentials

    @rule()
    def bad_csr(self) -> None:
        self._becomes(refuse(self.credentials, self.now))

    @precondition(lambda self: self.credentials.under_way.phase is Phase.ISSUED)
    @rule()
    def proof(self) -> None:
        self._becomes(rotation.prove(self.credentials, self.now))

    @precondition(lambda self: self.credentials.under_way.phase is Phase.PROVEN)
    @rule()
    def retired(self) -> None:
        self._becomes(rotation.complete(self.credentials))

    @invariant()
    def what_the_vehicle_holds_stays_accepted(self) -> None:
        """The current certificate, until the vehicle has proved another."""
        accepted = rotation.accepted(self.credentials)
        phase = self.credentials.under_way.phase
        if accepted is not None and phase is Phase.ISSUED:
            assert accepted[0] == self.credentials.current.thumbprint
        if self.before.current != self.credentials.current:
            assert self.before.under_way.phase is Phase.PROVEN

    @invariant()
    def a_rotation_moves_forward(self) -> None:
        before, now = self.before.under_way, self.credentials.under_way
        if before.rotation_id == now.rotation_id:
            exhausted = len(now.lost_keys) == MAX_LOST_KEYS and now.phase is Phase.REFUSED
            assert exhausted or RANK.index(before.phase) <= RANK.index(now.phase)
        else:
            assert before.phase in {Phase.REFUSED, Phase.COMPLETED}
            assert now.phase is Phase.OFFERED

    @invariant()
    def only_an_issued_rotation_shows_a_certificate(self) -> None:
        desired = rotation.desired(self.credentials)
        shown = [desired[name] is not None for name in ("certificate", "issuer", "nonce")]
        assert shown == [self.credentials.under_way.phase is Phase.ISSUED] * 3


RandomWalk.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRandomWalk = RandomWalk.TestCase
