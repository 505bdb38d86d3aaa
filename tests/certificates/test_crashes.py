"""The process dies between any two effects of a rotation: what is delivered again finishes it, no car is shut out."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from functions.certificates import service
from functions.certificates.rotation import Phase
from shared.identity.vehicle import shard
from shared.messaging import publisher, vehicle_link
from shared.messaging.publisher import Outgoing
from shared.storage.tables import Table, Write
from tests.certificates.car import Car, new_key, thumbprint
from tests.certificates.conftest import Announced, MakeCar, credentials, parked, scan

# Of a whole rotation: transactions, changes at the hub, messages sent. A test holds this number.
EFFECTS = 12


class Killed(BaseException):
    """The process is gone: nothing catches this."""


@dataclass
class Fuse:
    """Kills the process just before one of its effects about a car, which is just after the effect before.

    Reading is no effect. What is done about other cars is let through.
    """

    car: Car
    at: int
    watch: Callable[[], Awaitable[None]]
    effects: list[str] = field(default_factory=list)

    async def run(self, name: str, effect: Callable[[], Awaitable[Any]]) -> Any:
        self.effects.append(name)
        if len(self.effects) - 1 == self.at:
            raise Killed
        result = await effect()
        await self.watch()
        return result

    def install(self, patch: pytest.MonkeyPatch) -> None:
        commit, call, send = Table.commit, vehicle_link._call, publisher.send
        vehicle_id, partition = self.car.vehicle_id, shard(self.car.vehicle_id)

        async def fused_commit(table: Table, writes: Sequence[Write]) -> list[str]:
            row = writes[0].row
            ours = row.partition == partition or row.values.get("vehicle_id") == vehicle_id
            result = await (self.run("commit", lambda: commit(table, writes)) if ours else commit(table, writes))
            return list(result)

        async def fused_call(method: str, path: str, body: Any = None, *, if_match: str | None = None) -> Any:
            if method == "GET" or path.rpartition("/")[2] != vehicle_id:
                return await call(method, path, body, if_match=if_match)
            return await self.run(method, lambda: call(method, path, body, if_match=if_match))

        async def fused_send(messages: Sequence[Outgoing]) -> None:
            if any(message.envelope.subject == vehicle_id for message in messages):
                await self.run("send", lambda: send(messages))
            else:
                await send(messages)

        patch.setattr(Table, "commit", fused_commit)
        patch.setattr(vehicle_link, "_call", fused_call)
        patch.setattr(publisher, "send", fused_send)


class WaryCar:
    """Reads its twin at every moment, keeps at once what it is given, and throws away what it need not keep."""

    def __init__(self, car: Car) -> None:
        self.car = car
        self.holds = {thumbprint(car.certificate)}

    async def look(self) -> None:
        told, accepted = await self.car.told(), await self.car.accepted()
        if pem := told.get("certificate"):
            given = thumbprint(x509.load_pem_x509_certificate(pem.encode()))
            assert given in accepted, "the car was given what it cannot connect with"
            self.holds.add(given)
        if told.get("phase") == "completed":
            self.holds.discard(thumbprint(self.car.certificate))
        assert self.holds & accepted, "the car can no longer connect"


async def until_handled(deliver: Callable[[], Awaitable[None]]) -> None:
    """Delivers again what was being handled when the process died."""
    try:
        await deliver()
    except Killed:
        await deliver()


async def rotate(car: Car) -> None:
    key = new_key()
    try:
        await scan(car)
    except Killed:
        await scan(car)
        await scan(car, after=timedelta(minutes=10))  # the next one of the timer
    request = car.asks((await car.told())["rotation_id"], key)
    await until_handled(lambda: service.hear([request]))
    proof = car.proves(await car.told(), key)
    await until_handled(lambda: service.hear([proof]))


@pytest.mark.parametrize("at", range(EFFECTS))
async def test_a_crash_between_any_two_effects_shuts_no_car_out_and_announces_once(
    make_car: MakeCar, monkeypatch: pytest.MonkeyPatch, announced: Announced, at: int
) -> None:
    car = await make_car()
    fuse = Fuse(car, at, watch=WaryCar(car).look)
    with monkeypatch.context() as patch:
        fuse.install(patch)
        await rotate(car)
    assert len(fuse.effects) > EFFECTS, "what was cut short was done again"
    state = await credentials(car)
    assert state.under_way.phase is Phase.COMPLETED
    assert await car.accepted() == {state.current.thumbprint}
    assert await car.told() == {"rotation_id": state.under_way.rotation_id, "phase": "completed"}
    assert set(await announced(car.vehicle_id)) == {f"CertificateRotated-{state.under_way.rotation_id}"}
    assert not await parked(car)


async def test_the_crashes_cover_every_effect(make_car: MakeCar, monkeypatch: pytest.MonkeyPatch) -> None:
    car = await make_car()
    fuse = Fuse(car, at=-1, watch=WaryCar(car).look)
    with monkeypatch.context() as patch:
        fuse.install(patch)
        await rotate(car)
    assert len(fuse.effects) == EFFECTS, fuse.effects
