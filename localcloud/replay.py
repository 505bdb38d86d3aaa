"""Replays recorded drives of one car: MQTT → hub → Event Hub → host → function → storage, as fast as the path takes it."""

import json
import os
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table as Screen

from localcloud.backlog import Backlog
from localcloud.layout import Layout
from localcloud.services import LocalCloud, app_settings, running
from shared import connections, settings
from shared.clock import from_epoch_ms, to_epoch_ms, utc_now
from shared.messaging import parking, publisher
from shared.messaging.contracts import CloseTrip, to_envelope
from shared.messaging.publisher import Outgoing
from shared.storage.tables import Row, Table

TIMEOUT_S = 300.0

# The JSON keys that are taken from a stored trip as they are.
_PLAIN = (
    *("distance_km", "duration_s", "idle_s", "max_speed_kmh", "soc_start_pct", "soc_end_pct", "fuel_l"),
    "samples",
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the cloud made of the drives."""

    trips: list[Row]
    messages: int
    parked: int

    def as_json(self) -> dict[str, Any]:
        return {"trips": [trip_json(row) for row in self.trips], "messages": self.messages, "parked": self.parked}


def trip_json(row: Row) -> dict[str, Any]:
    """A stored trip summary as people get it: ISO 8601 times in UTC, unknown values null."""
    values = row.values
    return {
        "trip_id": values["trip_id"],
        "vehicle_id": values["vehicle_id"],
        "started_at": _iso(values["started_at_ms"]),
        "ended_at": _iso(values["ended_at_ms"]),
        **{name: values.get(name) for name in _PLAIN[:-1]},
        "start": _place(values, "start"),
        "end": _place(values, "end"),
        "samples": values["samples"],
        "dropped": json.loads(str(values["dropped"])),
        "polyline": values.get("polyline"),
    }


def _iso(epoch_ms: object) -> str:
    assert isinstance(epoch_ms, int)
    moment = from_epoch_ms(epoch_ms)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


def _place(values: Mapping[str, Any], which: str) -> dict[str, Any] | None:
    lat, lon = values.get(f"{which}_lat"), values.get(f"{which}_lon")
    return None if lat is None or lon is None else {"lat": lat, "lon": lon}
