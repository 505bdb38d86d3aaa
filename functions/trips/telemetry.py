"""Telemetry, version 1: from a message's body to the samples that can be used (docs/vehicle-protocol.md).

A sample with an impossible value is dropped and counted by reason; only a message without any usable sample is at
fault as a whole. Recordings show why: clocks in 2000, 2006 or 2060 and longitudes of 1555° in the middle of a drive.
"""

from collections import Counter
from typing import Annotated

import msgspec

from shared.clock import from_epoch_ms
from shared.errors import Rejected
from shared.identity.caller import Caller
from shared.messaging.bodies import BODY_ERRORS, fault

VERSION = 1
MAX_SAMPLES = 600
OLDEST_MS = 1_420_070_400_000  # 2015-01-01: older clocks are unset ones or victims of a GPS week rollover
NEWEST_AFTER_ARRIVAL_MS = 24 * 3_600_000
FROM_MEDIAN_MS = 3_600_000

_LAST_FORMATTABLE_MS = 253_402_300_799_000  # the year 9999


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What was measured at one moment; what was not is None. Names and units are those of the wire."""

    t: int
    lat: float | None = None
    lon: float | None = None
    speed_kmh: float | None = None
    odo_km: float | None = None
    soc_pct: float | None = None
    fuel_l_h: float | None = None
    ignition: bool | None = None
    alt_m: float | None = None
    gear: str | None = None


class Telemetry(msgspec.Struct, frozen=True):
    """The usable part of one message, in the order of measuring, and how many samples were dropped for what.

    Times are epoch milliseconds. Without samples it only says that the message did arrive.
    """

    boot: str
    seq: int
    arrived_ms: int
    samples: tuple[Sample, ...] = ()
    dropped: dict[str, int] = {}

    @property
    def last_ms(self) -> int:
        return max(sample.t for sample in self.samples)


class NoUsableSample(Rejected):
    """The message is of no use, but it did arrive: nobody needs to wait for it."""

    def __init__(self, detail: str, arrival: Telemetry) -> None:
        super().__init__("no-usable-sample", detail)
        self.arrival = arrival


class _Version(msgspec.Struct):
    v: int


class _Body(msgspec.Struct):
    boot: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,36}\Z")]
    seq: Annotated[int, msgspec.Meta(ge=0, le=9_999_999_999)]
    samples: Annotated[list[Sample], msgspec.Meta(min_length=1, max_length=MAX_SAMPLES)]
    vehicle_id: str | None = None


_version = msgspec.json.Decoder(_Version)
_body = msgspec.json.Decoder(_Body)

_GEARS = frozenset({None, "P", "R", "N", "D"})


def decode(body: bytes, sender: Caller, arrived_ms: int) -> Telemetry:
    """What can be used of a message that arrived at `arrived_ms` (epoch milliseconds).

    Raises `Rejected` if the body is not a telemetry message of this sender, `NoUsableSample` if nothing is left of it.
    """
    try:
        version = _version.decode(body).v
        if version != VERSION:
            raise Rejected("unknown-version", f"version {version} of telemetry is not understood; known: {VERSION}")
        message = _body.decode(body)
    except BODY_ERRORS as error:
        raise Rejected("bad-telemetry", fault(error)) from error
    sender.must_be(message.vehicle_id)
    return _usable(message, arrived_ms)


def _usable(message: _Body, arrived_ms: int) -> Telemetry:
    newest_ms = arrived_ms + NEWEST_AFTER_ARRIVAL_MS
    times = sorted(sample.t for sample in message.samples if OLDEST_MS <= sample.t <= newest_ms)
    median_ms = times[(len(times) - 1) // 2] if times else None
    kept, dropped = list[Sample](), Counter[str]()
    first_fault = ""
    for index, sample in enumerate(message.samples):
        fault = _clock_fault(sample.t, newest_ms, median_ms) or _value_fault(sample)
        if fault is None:
            kept.append(sample)
            continue
        code, detail = fault
        dropped[code] += 1
        first_fault = first_fault or f"sample {index}: {detail}"
    if not kept:
        raise NoUsableSample(first_fault, Telemetry(message.boot, message.seq, arrived_ms))
    return Telemetry(message.boot, message.seq, arrived_ms, tuple(kept), dict(dropped))


def _clock_fault(t: int, newest_ms: int, median_ms: int | None) -> tuple[str, str] | None:
    if t < OLDEST_MS:
        return "clock", f"time {_readable(t)} is before 2015"
    if t > newest_ms:
        return "clock", f"time {_readable(t)} is more than 24 h after its arrival"
    if median_ms is not None and abs(t - median_ms) > FROM_MEDIAN_MS:
        return "clock", f"time {_readable(t)} is more than an hour from the rest of the message"
    return None


def _value_fault(sample: Sample) -> tuple[str, str] | None:
    """Written out, because it runs for every sample that a fleet measures."""
    lat, lon, speed, odo = sample.lat, sample.lon, sample.speed_kmh, sample.odo_km
    soc, fuel = sample.soc_pct, sample.fuel_l_h
    if lat is not None and not -90.0 <= lat <= 90.0:
        return "position", f"latitude {lat:g} is outside -90…90"
    if lon is not None and not -180.0 <= lon <= 180.0:
        return "position", f"longitude {lon:g} is outside -180…180"
    if speed is not None and not 0.0 <= speed <= 400.0:
        return "speed", f"speed {speed:g} km/h is outside 0…400"
    if odo is not None and not 0.0 <= odo <= 10_000_000.0:
        return "odometer", f"odometer {odo:g} km is outside 0…10000000"
    if soc is not None and not 0.0 <= soc <= 100.0:
        return "soc", f"state of charge {soc:g} % is outside 0…100"
    if fuel is not None and not 0.0 <= fuel <= 1_000.0:
        return "fuel", f"fuel rate {fuel:g} l/h is outside 0…1000"
    if sample.gear not in _GEARS:
        return "gear", f"gear {sample.gear!r:.20} is not one of P R N D"
    return None


def _readable(t: int) -> str:
    if not 0 <= t <= _LAST_FORMATTABLE_MS:
        return f"{t} ms"
    return f"{from_epoch_ms(t):%Y-%m-%dT%H:%M:%SZ}"
