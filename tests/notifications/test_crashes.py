"""The process dies between any two effects: what is delivered again finishes it, and nobody is told twice."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import partial
from typing import Any

import pytest

from functions.notifications.channels import email
from functions.notifications.delivery import LEASE
from shared.messaging import publisher, vehicle_link
from shared.messaging.publisher import Outgoing
from shared.storage.tables import Table, Write
from tests.notifications.car import Car
from tests.notifications.desk import Desk, Killed

# Of telling an update by mail and in the car, whichever of the two comes first.
EFFECTS = sorted(["commit", "send", "commit", "commit", "mail", "commit", "commit", "show", "commit"])


@dataclass
class Fuse:
    """Kills the process just before one of its effects, which is just after the effect before."""

    vehicle_id: str
    at: int
    effects: list[str] = field(default_factory=list)

    async def run(self, name: str, effect: Callable[[], Awaitable[Any]]) -> Any:
        self.effects.append(name)
        if len(self.effects) - 1 == self.at:
            raise Killed
        return await effect()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        commit, send, call, hand_over = Table.commit, publisher.send, vehicle_link._call, email._hand_over

        async def fused_commit(table: Table, writes: Sequence[Write]) -> Any:
            ours = bool(writes) and writes[0].row.partition == self.vehicle_id
            return await (self.run("commit", lambda: commit(table, writes)) if ours else commit(table, writes))

        async def fused_send(messages: Sequence[Outgoing]) -> None:
            ours = any(message.envelope.subject == self.vehicle_id for message in messages)
            await (self.run("send", lambda: send(messages)) if ours else send(messages))

        async def fused_call(method: str, path: str, body: Any = None, **options: Any) -> Any:
            ours = self.vehicle_id in path
            asked = partial(call, method, path, body, **options)
            return await (self.run("show", asked) if ours else asked())

        async def fused_hand_over(mail: EmailMessage) -> None:
            ours = self.vehicle_id in mail["To"]
            await (self.run("mail", lambda: hand_over(mail)) if ours else hand_over(mail))

        patch.setattr(Table, "commit", fused_commit)
        patch.setattr(publisher, "send", fused_send)
        patch.setattr(vehicle_link, "_call", fused_call)
        patch.setattr(email, "_hand_over", fused_hand_over)


@pytest.mark.parametrize("at", range(len(EFFECTS) + 1))
async def test_dying_at_any_moment_loses_nothing_and_repeats_nothing(
    desk: Desk, car: Car, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the moment between the mail server's answer and our note of it: the same mail comes again."""
    await desk.set_recipient()
    fuse = Fuse(desk.vehicle_id, at)
    died = False
    async with car.online():
        with monkeypatch.context() as patch:
            fuse.install(patch)
            try:
                await desk.event(desk.update())
                await desk.work()
            except Killed:
                died = True
        desk.ahead = LEASE  # of an attempt that was under way
        await desk.event(desk.update())  # was not completed, so it comes again
        await desk.work()
    if at == len(EFFECTS):
        assert sorted(fuse.effects) == EFFECTS
    assert died == (at < len(EFFECTS))
    assert await desk.outcomes() == {("anna", "email", "delivered"), ("anna", "in_car", "delivered")}
    assert len(car.shown) == 1
    assert len({mail["Message-ID"] for mail in desk.mails()}) == 1
    unnoted = died and at > 0 and fuse.effects[at - 1] == "mail"
    assert len(desk.mails()) == (2 if unnoted else 1)
    assert await desk.outbox_is_empty()
