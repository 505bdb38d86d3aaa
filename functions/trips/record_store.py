"""Carries records from where they are announced, beside the vehicles' states, to the tables that readers rely on.

A record waits in the partition of its vehicle's state, because what crosses partitions is no transaction. Carrying it
twice, late or after a newer revision changes nothing.
"""

from functions.trips import rollup_store
from functions.trips.messages import record_values
from functions.trips.progress import Announcement
from shared import settings
from shared.errors import Conflict
from shared.storage.tables import Row, Table, Write, delete, insert, newest_first, replace, upsert

ATTEMPTS = 5

_RECORD = "~record|"


def waiting(partition: str, vehicle_id: str, announcement: Announcement, model: tuple[str, str, str] | None) -> Write:
    """Lets a record wait there. `model`: brand, model, market."""
    key = f"{_RECORD}{announcement.kind}|{vehicle_id}|{announcement.start_ms}"
    return upsert(Row(partition, key, record_values(vehicle_id, announcement, model)))


async def carry(table: Table, partition: str) -> None:
    """Carries what waits in the partition, and marks it for the roll-ups. Raises `Unavailable`, `Conflict`."""
    rows = [row async for row in table.query(partition, key_from=_RECORD, key_before=_RECORD + "\uffff")]
    for row in rows:
        await _carry(row)
    await rollup_store.note_changed(
        (str(row.values["vehicle_id"]), row.integer("started_at_ms"))
        for row in rows
        if row.values["kind"] != "charging"
    )
    # Not what another instance carried as well, or what a newer revision followed.
    await table.commit_each([delete(row)] for row in rows)


async def _carry(outgoing: Row) -> None:
    """Brings the record's row up to this revision, never back to an older one, or removes it if it is withdrawn."""
    is_charging = outgoing.values["kind"] == "charging"
    records = Table(settings.CHARGING_SESSIONS_TABLE if is_charging else settings.TRIPS_TABLE)
    revision, vehicle_id = outgoing.integer("revision"), str(outgoing.values["vehicle_id"])
    key = newest_first(outgoing.integer("started_at_ms"))
    stored = await records.get(vehicle_id, key) if revision > 1 else None
    for _ in range(ATTEMPTS):
        is_ours = stored is not None and stored.values["kind"] == outgoing.values["kind"]
        if stored is not None and is_ours and stored.integer("revision") >= revision:
            return
        if "ended_at_ms" not in outgoing.values:
            write = delete(stored) if stored is not None and is_ours else None
        else:
            row = Row(vehicle_id, key, outgoing.values, stored.etag if stored else None)
            write = insert(row) if stored is None else replace(row)
        try:
            await records.commit([write] if write else [])
        except Conflict:
            stored = await records.get(vehicle_id, key)
        else:
            return
    raise Conflict("the row of a trip changes faster than it can be written")
