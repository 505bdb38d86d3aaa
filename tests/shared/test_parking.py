"""What is parked keeps its body, whatever its sender calls it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from localcloud.services import LocalCloud
from shared import connections, settings
from shared.clock import to_epoch_ms
from shared.errors import Rejected
from shared.messaging import parking
from shared.messaging.parking import Origin, park, parked
from shared.storage import blobs
from shared.storage.tables import Table

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NOW_MS = to_epoch_ms(NOW)
SECOND = timedelta(seconds=1)


class Killed(BaseException):
    """The process is gone: nothing catches this."""


async def test_messages_of_the_same_id_do_not_overwrite_each_other(local_services: LocalCloud) -> None:
    assert local_services
    origin = Origin(uuid4().hex, "always-the-same", NOW)
    for body in (b"first", b"second", b"first"):
        await park(origin, Rejected("bad", "bad"), body)
    kept = [await blobs.get("parked", item.blob) async for item in parked(origin.source)]
    assert sorted(body or b"" for body in kept) == [b"first", b"second"]


async def parts() -> set[str]:
    """Every key of the table and every name in the container."""
    rows = connections.tables().get_table_client(settings.PARKED_TABLE).list_entities()
    names = connections.blobs().get_container_client(settings.PARKED_CONTAINER).list_blob_names()
    keys = {f"{row['PartitionKey']} {row['RowKey']} {row.get('vehicles')}" async for row in rows}
    return keys | {name async for name in names}


async def trace(*words: str) -> list[str]:
    return sorted(part for part in await parts() if any(word in part for word in words))


@pytest.fixture
def source(local_services: LocalCloud) -> str:
    """Where no other test parks."""
    assert local_services
    return uuid4().hex


@pytest.fixture
def vehicle_id() -> str:
    return f"car-{uuid4().hex}"


async def test_a_message_is_found_by_its_sender_and_by_whom_it_names(source: str, vehicle_id: str) -> None:
    sent = Origin(source, "1", NOW, vehicle_id)
    await park(sent, Rejected("bad", "sent by it"), b"\xff")
    named = Origin(source, "2", NOW - SECOND)
    await park(named, Rejected("bad", "names it"), b'{"x": 1, "vehicle_id" : "%s"}' % vehicle_id.encode())
    await park(Origin(source, "3", NOW, f"{vehicle_id}-2"), Rejected("bad", "of another one"), b"{}")
    found = [item async for item in parking.of_vehicle(vehicle_id, [source, "elsewhere"])]
    assert [(item.origin, item.detail) for item in found] == [(sent, "sent by it"), (named, "names it")]
    assert await blobs.get("parked", found[0].blob) == b"\xff"
    assert len([item async for item in parked(source)]) == 3
    listed = [item.origin.source async for item in parked()]
    assert listed.count(source) == 3
    assert not [one for one in listed if one.startswith("~")], "the index is no message"


async def test_a_body_that_names_the_whole_fleet_is_found_by_some_of_it(source: str) -> None:
    names = [f"car-{uuid4().hex}" for _ in range(1000)]
    body = json.dumps([{"vehicle_id": name} for name in names]).encode()
    await park(Origin(source, "1", NOW), Rejected("bad", "bad"), body)
    assert [item.code async for item in parking.of_vehicle(names[parking.MAX_VEHICLES - 1], [source])] == ["bad"]
    assert [item.code async for item in parking.of_vehicle(names[parking.MAX_VEHICLES], [source])] == []


async def test_what_is_removed_of_a_vehicle_arrived_until_then(source: str, vehicle_id: str) -> None:
    """The moment itself included; what names another vehicle too is gone from that one's index."""
    other = f"car-{uuid4().hex}"
    for seconds in (-1, 0, 1):
        origin = Origin(source, str(seconds), NOW + seconds * SECOND, other)
        await park(origin, Rejected("bad", str(seconds)), b'{"vehicle_id":"%s"}' % vehicle_id.encode())
    await parking.remove_of_vehicle(vehicle_id, ["elsewhere"], NOW_MS)
    assert len([item async for item in parked(source)]) == 3
    await parking.remove_of_vehicle(vehicle_id, [source], NOW_MS)
    for name in (vehicle_id, other):
        assert [item.detail async for item in parking.of_vehicle(name, [source])] == ["1"]
    assert len(await trace(source)) == 4, "a row, a blob and two of the index"
    await parking.remove_of_vehicle(other, [source], NOW_MS + 1000)
    assert await trace(source, other, vehicle_id) == []


async def test_what_is_older_is_removed_in_portions(
    source: str, vehicle_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "REMOVED_AT_ONCE", 2)
    for milliseconds in (-3, -2, -1, 0):
        origin = Origin(source, str(milliseconds), NOW + milliseconds * SECOND / 1000, vehicle_id)
        await park(origin, Rejected("bad", str(milliseconds)), b"x")
    assert await parking.remove_older(source, NOW_MS) == 3
    assert [item.detail async for item in parked(source)] == ["0"]
    assert len(await trace(source)) == 3
    assert await parking.remove_older(source, NOW_MS + 1) == 1
    assert await trace(source, vehicle_id) == []


@pytest.mark.parametrize("way", ["of-vehicle", "older"])
@pytest.mark.parametrize("effect", range(5))
async def test_a_removal_killed_between_any_two_effects_ends_the_same(
    source: str, vehicle_id: str, monkeypatch: pytest.MonkeyPatch, way: str, effect: int
) -> None:
    """A blob, a row and an entry in the index of each of two vehicles."""
    other = f"car-{uuid4().hex}"
    await park(Origin(source, "1", NOW, vehicle_id), Rejected("b", "b"), b'{"vehicle_id":"%s"}' % other.encode())
    left = effect

    def fused(function: Callable[..., Any]) -> Callable[..., Any]:
        async def run(*args: Any) -> Any:
            nonlocal left
            left -= 1
            if left == -1:
                raise Killed
            return await function(*args)

        return run

    async def remove() -> None:
        if way == "older":
            await parking.remove_older(source, NOW_MS + 1)
        else:
            await parking.remove_of_vehicle(vehicle_id, [source], NOW_MS)

    monkeypatch.setattr(Table, "commit", fused(Table.commit))
    monkeypatch.setattr(blobs, "delete", fused(blobs.delete))
    killed = False
    try:
        await remove()
    except Killed:
        killed = True
        await remove()
    assert killed == (effect < 4)
    assert await trace(source, vehicle_id, other) == []
