"""Where campaigns are kept: table Campaigns, and the artifacts' container.

- Partition `{campaign_id}`: the campaign (row `campaign`), each closed part of its plan (`part|{digit}`) and the totals
  of each finished shard (`shard|{shard}`).
- Partition `{campaign_id}|{shard}`: one row for each targeted vehicle of a registry shard (its vehicle id), and the
  shard's progress (`~progress`), which is in every transaction that counts a vehicle.

Messages wait in the partition of the state that they tell of (shared/messaging/outbox.py). All functions raise
`Unavailable`; those that write raise `Conflict` when someone else was faster.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from functions.ota.rollout import ShardProgress, Totals
from functions.ota.vehicle_update import Status, VehicleUpdate
from shared import settings
from shared.clock import to_epoch_ms
from shared.messaging import outbox
from shared.messaging.contracts import Artifact, StartCampaign
from shared.messaging.publisher import Outgoing
from shared.storage import blobs
from shared.storage.tables import MAX_TRANSACTION_ENTITIES, Row, Table, Value, Write, insert, replace, upsert

_CAMPAIGN = "campaign"
_PART = "part|"
_SHARD = "shard|"
_PROGRESS = "~progress"
_AFTER_VEHICLES = "~"  # sorts after every vehicle id
# Beside the vehicles, a transaction may hold the shard's progress and the message that it is finished.
ASSIGNMENTS_PER_TRANSACTION = MAX_TRANSACTION_ENTITIES - 2

_table = Table(settings.CAMPAIGNS_TABLE)


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign. Its definition never changes; `totals` are known when it is complete."""

    definition: StartCampaign
    started_at_ms: int
    totals: Totals | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """A campaign with its closed parts and the totals of its finished shards."""

    campaign: Campaign
    plan: dict[str, tuple[str, ...]]
    finished: dict[str, Totals]


@dataclass(frozen=True, slots=True)
class Shard:
    """The vehicles of a campaign that share a partition."""

    campaign_id: str
    shard: str

    @property
    def partition(self) -> str:
        return f"{self.campaign_id}|{self.shard}"


@dataclass(frozen=True, slots=True)
class Assignment:
    """A targeted vehicle as it was read."""

    vehicle_id: str
    update: VehicleUpdate
    etag: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A shard's progress as it was read; without an etag there is none yet."""

    value: ShardProgress = field(default_factory=ShardProgress)
    etag: str | None = None


# --- Artifacts


async def artifact_bytes(artifact: Artifact) -> int | None:
    """The size of what lies under the artifact's name, or None."""
    return await blobs.size(settings.ARTIFACTS_CONTAINER, artifact.blob)


async def artifact_url(artifact: Artifact, now: datetime) -> str:
    """A link to the artifact that is valid from now on, for as long as the settings say."""
    valid_s = settings.settings().artifact_url_valid_s
    return await blobs.download_url(settings.ARTIFACTS_CONTAINER, artifact.blob, now=now, valid_s=valid_s)


# --- Campaigns


async def campaign(campaign_id: str) -> Campaign | None:
    row = await _table.get(campaign_id, _CAMPAIGN)
    return None if row is None else _campaign(row)


async def add_campaign(definition: StartCampaign, messages: Iterable[Outgoing], now: datetime) -> None:
    partition = definition.campaign_id
    row = _campaign_row(Campaign(definition, to_epoch_ms(now)))
    await _table.commit([insert(row), *outbox.rows(partition, messages)])


async def complete_campaign(campaign: Campaign, totals: Totals, messages: Iterable[Outgoing], now: datetime) -> None:
    """Ends the campaign, fenced by its etag: of many who find it complete, one says so."""
    ended = Campaign(campaign.definition, campaign.started_at_ms, totals, campaign.etag)
    row = _campaign_row(ended, completed_at_ms=to_epoch_ms(now))
    await _table.commit([replace(row), *outbox.rows(row.partition, messages)])


async def send_campaign_messages(campaign_id: str) -> None:
    await outbox.flush(_table, campaign_id)


async def close_part(campaign_id: str, part: str, shards: Sequence[str]) -> None:
    """Notes that a part of the fleet is planned, and which of its shards have vehicles."""
    await _table.commit([insert(Row(campaign_id, _PART + part, {"shards": ",".join(shards)}))])


async def shards_of_part(campaign_id: str, part: str) -> tuple[str, ...] | None:
    """The shards with vehicles of a closed part, or None while it is open."""
    row = await _table.get(campaign_id, _PART + part)
    return None if row is None else _shards(row)


async def note_finished(shard: Shard, totals: Totals) -> None:
    """Notes a finished shard's totals in its campaign. They are final, so doing it again changes nothing."""
    await _table.commit([upsert(Row(shard.campaign_id, _SHARD + shard.shard, _from_totals(totals)))])


async def rollout(campaign_id: str) -> Rollout:
    """All of a known campaign that decides on its completion, in one read: at most a row for each shard and part."""
    found, plan, finished = None, dict[str, tuple[str, ...]](), dict[str, Totals]()
    async for row in _table.query(campaign_id, key_before=outbox.PREFIX):
        if row.key == _CAMPAIGN:
            found = _campaign(row)
        elif row.key.startswith(_PART):
            plan[row.key.removeprefix(_PART)] = _shards(row)
        elif row.key.startswith(_SHARD):
            finished[row.key.removeprefix(_SHARD)] = _totals(row)
    assert found is not None
    return Rollout(found, plan, finished)


# --- Shards of a campaign


async def progress(shard: Shard) -> Progress:
    row = await _table.get(shard.partition, _PROGRESS)
    if row is None:
        return Progress()
    return Progress(ShardProgress(_totals(row), planned=row.values["planned"] is True), row.etag)


async def assigned(shard: Shard) -> set[str]:
    """Ids of the vehicles that the shard has already."""
    return {row.key async for row in _table.query(shard.partition, key_before=_AFTER_VEHICLES)}


async def assign(
    shard: Shard,
    vehicle_ids: Sequence[str],
    before: Progress,
    after: ShardProgress,
    messages: Iterable[Outgoing],
    now: datetime,
) -> Progress:
    """Adds vehicles, at most `ASSIGNMENTS_PER_TRANSACTION`, and the progress that counts them."""
    writes = [insert(_assignment_row(shard, vehicle_id, VehicleUpdate(), now)) for vehicle_id in vehicle_ids]
    counted = _progress_write(shard, before, after)
    etags = await _table.commit([counted, *writes, *outbox.rows(shard.partition, messages)])
    return Progress(after, etags[0])


async def waiting_for_offer(shard: Shard) -> AsyncIterator[Assignment]:
    planned = {"status": Status.PLANNED.value}
    async for row in _table.query(shard.partition, key_before=_AFTER_VEHICLES, where=planned):
        yield _assignment(row)


async def assignment(shard: Shard, vehicle_id: str) -> Assignment | None:
    row = await _table.get(shard.partition, vehicle_id)
    return None if row is None else _assignment(row)


async def advance(
    shard: Shard,
    assignment: Assignment,
    update: VehicleUpdate,
    counted: tuple[Progress, ShardProgress] | None,
    messages: Iterable[Outgoing],
    now: datetime,
) -> None:
    """Moves a vehicle on; `counted` is the shard's progress before and after, where the step counts."""
    row = _assignment_row(shard, assignment.vehicle_id, update, now, assignment.etag)
    writes = [] if counted is None else [_progress_write(shard, *counted)]
    await _table.commit([replace(row), *writes, *outbox.rows(shard.partition, messages)])


async def send_shard_messages(shard: Shard) -> None:
    await outbox.flush(_table, shard.partition)


# --- Rows


def _campaign_row(campaign: Campaign, *, completed_at_ms: int | None = None) -> Row:
    values: dict[str, Value | None] = {
        "status": "running" if campaign.totals is None else "completed",
        "started_at_ms": campaign.started_at_ms,
        "completed_at_ms": completed_at_ms,
        "definition": msgspec.json.encode(campaign.definition),
        **({} if campaign.totals is None else _from_totals(campaign.totals)),
    }
    return Row(campaign.definition.campaign_id, _CAMPAIGN, values, campaign.etag)


def _campaign(row: Row) -> Campaign:
    definition = row.values["definition"]
    assert isinstance(definition, bytes)
    return Campaign(
        msgspec.json.decode(definition, type=StartCampaign),
        _whole(row.values["started_at_ms"]),
        _totals(row) if row.values["status"] == "completed" else None,
        row.etag,
    )


def _shards(row: Row) -> tuple[str, ...]:
    return tuple(filter(None, str(row.values["shards"]).split(",")))


def _from_totals(totals: Totals) -> dict[str, Value | None]:
    return {"targeted": totals.targeted, "succeeded": totals.succeeded, "failed": totals.failed}


def _totals(row: Row) -> Totals:
    return Totals(*(_whole(row.values[name]) for name in ("targeted", "succeeded", "failed")))


def _progress_write(shard: Shard, before: Progress, after: ShardProgress) -> Write:
    row = Row(shard.partition, _PROGRESS, {**_from_totals(after.totals), "planned": after.planned}, before.etag)
    return insert(row) if before.etag is None else replace(row)


def _assignment_row(
    shard: Shard, vehicle_id: str, update: VehicleUpdate, now: datetime, etag: str | None = None
) -> Row:
    values: dict[str, Value | None] = {
        "status": update.status.value,
        "reason": update.reason,
        "reported_at_ms": update.reported_at_ms,
        "changed_at_ms": to_epoch_ms(now),
    }
    return Row(shard.partition, vehicle_id, values, etag)


def _assignment(row: Row) -> Assignment:
    reason, reported_at_ms = row.values.get("reason"), row.values.get("reported_at_ms")
    update = VehicleUpdate(
        status=Status(str(row.values["status"])),
        reason=None if reason is None else str(reason),
        reported_at_ms=None if reported_at_ms is None else _whole(reported_at_ms),
    )
    return Assignment(row.key, update, row.etag)


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value
