"""What is parked keeps its body, whatever its sender calls it."""

from datetime import UTC, datetime
from uuid import uuid4

from localcloud.services import LocalCloud
from shared.errors import Rejected
from shared.messaging.parking import Origin, park, parked
from shared.storage import blobs

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def test_messages_of_the_same_id_do_not_overwrite_each_other(local_services: LocalCloud) -> None:
    assert local_services
    origin = Origin(uuid4().hex, "always-the-same", NOW)
    for body in (b"first", b"second", b"first"):
        await park(origin, Rejected("bad", "bad"), body)
    kept = [await blobs.get("parked", item.blob) async for item in parked(origin.source)]
    assert sorted(body or b"" for body in kept) == [b"first", b"second"]
