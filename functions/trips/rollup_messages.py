"""What the roll-up of trips says: to itself, and to the job that tells people.

The id of a message is made of what it tells, so that it is the same whenever the same fact is told again.
"""

from datetime import date
from typing import Annotated

import msgspec

from functions.trips.rollup import Totals
from shared.identity.vehicle import ShardRange
from shared.messaging.contracts import Message, WeeklyDigestReady, to_envelope
from shared.messaging.envelope import Envelope

SOURCE = "trips"

RunId = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z-]{1,64}\Z")]
Month = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}\Z")]


class RollUpPart(Message, frozen=True, kw_only=True):
    """Roll up one part of the fleet: shards that start with the digit `part`."""

    run_id: RunId
    part: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]\Z")]


class RollUpShard(Message, frozen=True, kw_only=True):
    """Roll up the vehicles of one shard whose trips changed; with more than one message should do, in rounds.

    `month` is the last one that nothing can change any more, of which the fleet's totals are due; `sum_month` until
    they are published.
    """

    run_id: RunId
    shard: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{3}\Z")]
    month: Month
    sum_month: bool
    round: int = 1


def roll_up_part(run_id: str, part: ShardRange, now_ms: int) -> Envelope:
    message = RollUpPart(run_id=run_id, part=part.digit)
    return _command(message, f"{run_id}-{part.digit}", part.digit, now_ms)


def roll_up_shard(command: RollUpShard, now_ms: int) -> Envelope:
    return _command(command, f"{command.run_id}-{command.shard}-{command.round}", command.shard, now_ms)


def weekly_digest_ready(vehicle_id: str, monday: date, driven: Totals, now_ms: int) -> Envelope:
    """Of a week and a vehicle there is one, whatever late data makes of the totals."""
    message = WeeklyDigestReady(
        vehicle_id=vehicle_id,
        monday=monday,
        trips=driven.trips,
        distance_km=driven.distance_km,
        driving_s=driven.driving_s,
        idle_s=driven.idle_s,
        harsh_events=driven.harsh_events,
        energy_kwh=driven.energy_kwh,
        kwh_100km=driven.kwh_100km,
        fuel_l=driven.fuel_l,
        l_100km=driven.l_100km,
        co2_kg=driven.co2_kg,
        eco_score=driven.eco_score,
        night_share=driven.night_share,
    )
    return to_envelope(
        message,
        message_id=f"{weekly_digest_id(vehicle_id)}{monday}",
        source=SOURCE,
        subject=vehicle_id,
        time_ms=now_ms,
    )


def weekly_digest_id(vehicle_id: str) -> str:
    """With what the ids of the vehicle's digests begin."""
    return f"WeeklyDigestReady-{vehicle_id}|"


def _command(message: Message, message_id: str, subject: str, now_ms: int) -> Envelope:
    return to_envelope(message, message_id=message_id, source=SOURCE, subject=subject, time_ms=now_ms)
