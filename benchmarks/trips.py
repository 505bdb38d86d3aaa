"""How fast trips are made of telemetry, beside decoding alone and the libraries of the field, and what they cost.

A fleet's morning goes through the job's rules, batch by batch, as the service would have it: decoding, deduplication,
order, segmentation, summary, and each vehicle's state to bytes and back. CPU time counts, of one core; work and limits
take turns, so that a noisy machine is noisy for all, and of each comparison the round with the median ratio counts.
`trips_cost` counts the storage transactions of the whole service.
"""

import csv
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from benchmarks import trips_cost, trips_pipeline
from benchmarks.row import Row
from benchmarks.trips_cost import Cost
from benchmarks.trips_drives import Fleet, Position, Traffic, traffic

ROOT = Path(__file__).resolve().parents[1]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
_GOAL_PER_S = 1_000_000
_STATE_BYTES = _MESSAGE_BYTES = 4096
_NEW_CAR_REQUESTS = 3  # its state, what it is, what its driver has chosen: the latter two once in its life
_RECOMPUTING_REQUESTS = 2  # the vehicle's messages, and its state again
_END_REQUESTS = 4  # the trip's messages, its announcement beside the state, its row, and the announcement's removal
PeersPerS = Callable[[], Mapping[str, float]]  # measures each peer: samples a second by its name
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Limit(NamedTuple):
    """What trips are measured beside, and what the ratio is meant to be."""

    name: str
    goal: float
    samples: int = 0  # for a peer: a second or two of its work


CHECKED = Limit("decoding and checking alone", 0.5)
DECODED = Limit("decoding JSON alone", 0.5)
PEERS = (Limit("trackintel", 10.0, 120_000), Limit("movingpandas", 150.0, 12_000))


@dataclass(frozen=True, slots=True)
class Size:
    fleet: Fleet = field(default_factory=Fleet)
    batch: int = 256
    rounds: int = 5
    cost: trips_cost.Size = field(default_factory=trips_cost.Size)


@dataclass(frozen=True, slots=True)
class Round:
    """Samples a second, of everything that took its turn."""

    trips: float
    beside: Mapping[str, float]


def rows(size: Size | None = None, peers_python: Path = PEERS_PYTHON) -> list[Row]:
    """`peers_python` is the interpreter that has the peers; without it they are skipped, which standard error says.

    Raises `RuntimeError` if what was measured did not find the trips that were driven.
    """
    size = size or Size()
    return _speed_rows(_rounds(size, peers_python)) + _cost_rows(size.cost, _cost(size.cost))


# --- Speed


def _rounds(size: Size, peers_python: Path) -> list[Round]:
    driven = traffic(size.fleet)
    messages = trips_pipeline.prepare(driven.messages)
    gc.collect()
    gc.freeze()  # a service does not hold a morning of messages that the collector has to look through
    try:
        with _peers(peers_python, driven.positions) as peers_per_s:
            return [_round(size, driven, messages, peers_per_s) for _ in range(size.rounds)]
    finally:
        gc.unfreeze()


def _round(size: Size, driven: Traffic, messages: Sequence[trips_pipeline.Input], peers_per_s: PeersPerS) -> Round:
    def per_s(work: Callable[[], None]) -> float:
        begin = time.process_time()
        work()
        return driven.samples / (time.process_time() - begin)

    decoded = per_s(lambda: trips_pipeline.decode_bare(messages))
    checked = per_s(lambda: trips_pipeline.decode_only(messages))
    trips = per_s(lambda: _check(driven, trips_pipeline.run(messages, size.batch)))
    return Round(trips, {DECODED.name: decoded, CHECKED.name: checked, **peers_per_s()})


def _check(driven: Traffic, made: trips_pipeline.Pipeline) -> None:
    distance_km = sum(trip.distance_km for trip in made.trips.values())
    if len(made.trips) != driven.drives or abs(distance_km / driven.distance_km - 1) > 0.01:
        raise RuntimeError(
            f"{driven.drives} trips of {driven.distance_km:.0f} km were driven; "
            f"{len(made.trips)} of {distance_km:.0f} km came out"
        )


@contextmanager
def _peers(python: Path, positions: Sequence[Position]) -> Iterator[PeersPerS]:
    """Gives what measures each peer in turn; nothing comes of it if they are not installed."""
    if not python.exists():
        print("trackintel and movingpandas are skipped: make peers", file=sys.stderr)
        yield dict
        return
    with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="ascii", newline="") as file:
        table = csv.writer(file)
        table.writerow(Position._fields)
        table.writerows(positions)
        file.flush()
        command = [str(python), "-m", "benchmarks.trips_peers", file.name]
        environment = {**os.environ, **_ONE_THREAD, "PYTHONWARNINGS": "ignore"}
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            yield lambda: {peer.name: _peer_per_s(process, peer) for peer in PEERS}


def _peer_per_s(process: subprocess.Popen[str], peer: Limit) -> float:
    assert process.stdin
    assert process.stdout
    print(peer.name, peer.samples, file=process.stdin, flush=True)
    answer = process.stdout.readline().split()
    if not answer:
        raise RuntimeError(f"{peer.name}: the peers' process failed, as it says above")
    samples, cpu_s = answer
    return int(samples) / float(cpu_s)


def _speed_rows(rounds: Sequence[Round]) -> list[Row]:
    def beside(limit: Limit) -> Row:
        def ratio(one: Round) -> float:
            return one.trips / one.beside[limit.name]

        middle = sorted(rounds, key=ratio)[len(rounds) // 2]
        return Row(f"trips: against {limit.name}", middle.trips, "samples/s", middle.beside[limit.name], limit.goal)

    per_s = median(one.trips for one in rounds)
    return [
        Row("trips: from messages to summaries and states, on one core", per_s, "samples/s", _GOAL_PER_S, 1.0),
        *(beside(limit) for limit in (CHECKED, DECODED, *PEERS) if limit.name in rounds[0].beside),
    ]


# --- Cost


def _cost(size: trips_cost.Size) -> Cost:
    command = [sys.executable, "-m", "benchmarks.trips_cost", msgspec.json.encode(size).decode()]
    measured = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return msgspec.json.decode(measured.stdout, type=Cost)


def _cost_rows(size: trips_cost.Size, cost: Cost) -> list[Row]:
    def at_most(claim: str, value: float, unit: str, limit: float, goal: float) -> Row:
        return Row(f"trips: {claim}", value, unit, limit, goal, at_most=True)

    batch = f"{size.batch} messages of {size.cars} cars"
    of_1000 = "transactions/1,000 messages"
    warm, disordered = (1000 * phase.total / phase.messages for phase in (cost.warm, cost.disordered))
    recomputing = 1000 * trips_cost.LATE * _RECOMPUTING_REQUESTS
    return [
        at_most(f"storage, {batch}, against one write a message", warm, of_1000, 1000, 0.02),
        at_most(
            "storage, some messages late and some twice, against a read and a write more for each late one",
            disordered,
            of_1000,
            warm + recomputing,
            1.0,
        ),
        at_most(
            f"storage, the first {batch} that were never heard of, against three reads a car",
            cost.first.total / size.fleets,
            "transactions",
            _NEW_CAR_REQUESTS * size.cars,
            1.2,
        ),
        at_most(
            "storage, the end of a trip, against the fewest that it takes",
            cost.ends.total / cost.trips,
            "transactions/trip",
            _END_REQUESTS,
            2.5,
        ),
        at_most(
            f"CPU of the service, {batch}, against the Tables SDK alone for the same entities",
            1e6 * cost.warm.cpu_s / cost.warm.messages,
            "µs/message",
            1e6 * cost.sdk_cpu_s / cost.warm.messages,
            2.0,
        ),
        at_most("largest state of a car on its way, against 4 kB", cost.state.largest, "bytes", _STATE_BYTES, 1.0),
        at_most("median state of a car on its way, against 4 kB", cost.state.median, "bytes", _STATE_BYTES, 1.0),
        at_most("largest message as it is kept, against 4 kB", cost.message.largest, "bytes", _MESSAGE_BYTES, 1.0),
        at_most("median message as it is kept, against 4 kB", cost.message.median, "bytes", _MESSAGE_BYTES, 1.0),
    ]
