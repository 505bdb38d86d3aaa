"""Replays recorded drives of one car: MQTT → hub → Event Hub → host → function → storage, as fast as the path goes."""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Screen

from localcloud.app_client import AppClient
from localcloud.backlog import Backlog
from localcloud.fleet.disorder import Disorder
from localcloud.fleet.factory import Factory
from localcloud.fleet.hub_service import HubService
from localcloud.fleet.light_link import light_link
from localcloud.fleet.link import HubEndpoint
from localcloud.fleet.recordings import RecordingError, read_recording
from localcloud.fleet.telemetry import Sample
from localcloud.fleet.vehicle import Vehicle
from localcloud.layout import Layout
from localcloud.pki import Pki
from localcloud.workspace import workspace
from shared import settings
from shared.clock import from_epoch_ms
from shared.errors import Rejected
from shared.identity.vehicle import check_vehicle_id
from shared.messaging.contracts import CloseTrip

TIMEOUT_S = 300.0
SETTINGS = {"TRIP_SAMPLE_MAX_AGE_DAYS": "36525"}  # a recording is sent years after the drive
_UNCHANGED = ("distance_km", "duration_s", "idle_s", "max_speed_kmh", "soc_start_pct", "soc_end_pct", "fuel_l")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the cloud made of the drives."""

    trips: list[Mapping[str, Any]]  # as they are stored
    messages: int  # sent, copies included
    parked: list[Mapping[str, Any]]  # the messages that were set aside, as they are stored

    def as_json(self) -> dict[str, Any]:
        """ISO 8601 times in UTC; what is not known is null."""
        return {"trips": [_trip(row) for row in self.trips], "messages": self.messages, "parked": len(self.parked)}


async def replay(
    drives: Sequence[Path], *, vehicle_id: str, disorder: int | None, as_json: bool, directory: Path
) -> int:
    """Prints the trips that were stored and returns the exit code: 2 if the input cannot be used."""
    try:
        check_vehicle_id(vehicle_id)
        recordings = read_in_order(drives)
    except (RecordingError, Rejected) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    async with workspace(directory, "replay", SETTINGS) as cloud:
        replayed = await run(cloud.layout, recordings, vehicle_id, disorder=disorder)
    if as_json:
        print(json.dumps(replayed.as_json(), indent=2))
    else:
        _show(replayed)
    return 0


def read_in_order(drives: Sequence[Path]) -> list[list[Sample]]:
    """The samples of each file, the earliest drive first.

    A drive is placed by the median of its clock, since a few of its rows may have a wrong one. Raises
    `RecordingError`, also for a file that is named twice: no car drives the same drive again at the same time.
    """
    for path, count in Counter(drive.resolve() for drive in drives).items():
        if count > 1:
            raise RecordingError(f"{path}: the file is named {count} times")
    recordings = [read_recording(path) for path in drives]
    return sorted(recordings, key=lambda samples: sorted(sample.t for sample in samples)[len(samples) // 2])


async def run(
    layout: Layout, recordings: Sequence[Sequence[Sample]], vehicle_id: str, *, disorder: int | None = None
) -> Replayed:
    """Drives the car through a running local cloud with `SETTINGS`, each recording a power cycle of it.

    Raises `TimeoutError` if the app does not get through.
    """
    async with (
        HubService(layout.iothub_service_connection, Pki(layout.pki).root) as service,
        AppClient(layout) as app,
        Backlog(layout) as backlog,
    ):
        factory = Factory(layout.directory / "vehicles", Pki(layout.pki), service)
        garage = await factory.build(vehicle_id)
        endpoint = HubEndpoint(layout.hostname, Pki(layout.pki).root, layout.mqtt_port)
        async with Vehicle(garage, light_link(endpoint)) as car:
            for number, samples in enumerate(recordings):
                await car.drive(samples, disorder=None if disorder is None else Disorder(disorder + number))
        await backlog.until_empty(hubs=[settings.TELEMETRY_HUB], timeout_s=TIMEOUT_S)
        await app.command(settings.TRIP_COMMANDS, CloseTrip(vehicle_id=vehicle_id))
        await backlog.until_empty(queues=[settings.TRIP_COMMANDS], timeout_s=TIMEOUT_S)
        messages = car.log.messages + car.log.duplicated
        return Replayed(await app.trips(vehicle_id), messages, await app.parked())


def _trip(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "trip_id": row["trip_id"],
        "vehicle_id": row["vehicle_id"],
        "started_at": _iso(row["started_at_ms"]),
        "ended_at": _iso(row["ended_at_ms"]),
        **{name: row.get(name) for name in _UNCHANGED},
        "start": _place(row, "start"),
        "end": _place(row, "end"),
        "samples": row["samples"],
        "dropped": json.loads(row["dropped"]),
        "polyline": row.get("polyline"),
    }


def _iso(epoch_ms: int) -> str:
    moment = from_epoch_ms(epoch_ms)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


def _place(row: Mapping[str, Any], which: str) -> dict[str, float] | None:
    lat, lon = row.get(f"{which}_lat"), row.get(f"{which}_lon")
    return None if lat is None or lon is None else {"lat": lat, "lon": lon}


def _show(replayed: Replayed) -> None:
    console = Console()
    for number, row in enumerate(replayed.trips, 1):
        trip = _trip(row)
        facts = Screen(show_header=False, box=None, padding=(0, 2), title=f"Trip {number}", title_justify="left")
        facts.add_row("from", f"{trip['started_at']} at {_position(trip['start'])}")
        facts.add_row("to", f"{trip['ended_at']} at {_position(trip['end'])}")
        facts.add_row("distance", f"{trip['distance_km']:.2f} km, at most {_unit(trip['max_speed_kmh'], 'km/h')}")
        facts.add_row("duration", f"{_duration(trip['duration_s'])}, of it {_duration(trip['idle_s'])} standing")
        if trip["soc_start_pct"] is not None:
            facts.add_row("charge", f"{_unit(trip['soc_start_pct'], '%')} → {_unit(trip['soc_end_pct'], '%')}")
        if trip["fuel_l"] is not None:
            facts.add_row("fuel", f"{trip['fuel_l']:.2f} l")
        dropped = ", ".join(f"{count} dropped ({reason})" for reason, count in trip["dropped"].items())
        facts.add_row("samples", f"{trip['samples']}{', ' if dropped else ''}{dropped}")
        console.print(facts)
    console.print(f"trips: {len(replayed.trips)}, messages: {replayed.messages}, parked: {len(replayed.parked)}")
    examples = {row["code"]: row["detail"] for row in replayed.parked}
    for reason, count in Counter(row["code"] for row in replayed.parked).items():
        console.print(f"{count} parked as {reason}, for one: {examples[reason]}", markup=False)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _position(place: dict[str, float] | None) -> str:
    return "an unknown place" if place is None else f"{place['lat']:.5f}, {place['lon']:.5f}"


def _unit(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.1f} {unit}"
