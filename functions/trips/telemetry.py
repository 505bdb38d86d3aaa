"""Telemetry, version 1: from a message's body to the samples that can be used (docs/vehicle-protocol.md).

A sample with an impossible value is dropped and counted by reason; only a message without any usable sample is at
fault as a whole. Recordings show why: clocks in 2000, 2006 or 2060 and longitudes of 1555° in the middle of a drive.

A clock is held against the message's arrival, which the hub tells, and against the rest of the message. Nothing is
measured after it arrived: a clock that shows local time for UTC is found so where it is ahead, since time zones are
whole quarters of an hour. Long before it arrived is the time of a clock that was never set and counts from the day on
which its software was built.

A message without any fault, the rule, is decoded in one go with all limits checked by the decoder; any other one is
decoded again without limits and looked at sample by sample.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from functions.trips.leaps import are_plain, leaps, most_kmh
from functions.trips.samples import COLUMNS, Message, Run, even_step_ms
from shared.clock import DAY_MS, from_epoch_ms
from shared.errors import Rejected
from shared.identity.caller import Caller
from shared.messaging.bodies import BODY_ERRORS, fault

VERSION = 1
MAX_SAMPLES = 600
MAX_AGE_MS = 30 * DAY_MS  # cars are shipped, or parked underground for weeks, and then tell what they kept
OLDEST_MS = 1_420_070_400_000  # 2015-01-01: also where recordings are believed, however old, none is as old
AHEAD_MS = 5 * 60_000  # cheap clocks are as far apart, time zones farther
FROM_MEDIAN_MS = 3_600_000

_LAST_FORMATTABLE_MS = 253_402_300_799_000  # the year 9999

_LIMITS = {
    "lat": (-90.0, 90.0),
    "lon": (-180.0, 180.0),
    "speed_kmh": (0.0, 400.0),
    "odo_km": (0.0, 10_000_000.0),
    "soc_pct": (0.0, 100.0),
    "power_kw": (-1000.0, 1000.0),
    "fuel_l_h": (0.0, 1000.0),
    "fuel_pct": (0.0, 100.0),
    "temp_c": (-60.0, 80.0),
    "lateral_ms2": (-50.0, 50.0),
}
_REASONS = {"lat": "position", "lon": "position", "speed_kmh": "speed", "odo_km": "odometer", "soc_pct": "soc"} | {
    "power_kw": "power",
    "fuel_l_h": "fuel",
    "fuel_pct": "fuel",
    "temp_c": "temperature",
    "lateral_ms2": "acceleration",
    "gear": "gear",
}
_GEARS = frozenset({None, "P", "R", "N", "D"})


class NoUsableSample(Rejected):
    """The message is of no use, but it did arrive: nobody needs to wait for it."""

    def __init__(self, detail: str, boot: str, seq: int) -> None:
        super().__init__("no-usable-sample", detail)
        self.boot, self.seq = boot, seq


_Boot = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,36}\Z")]
_Seq = Annotated[int, msgspec.Meta(ge=0, le=9_999_999_999)]
_Times = Annotated[list[int], msgspec.Meta(min_length=1, max_length=MAX_SAMPLES)]


def _column(name: str) -> Any:
    low, high = _LIMITS[name]
    return list[Annotated[float, msgspec.Meta(ge=low, le=high)]]


# Fields that the decoder checks: built from `_LIMITS`, so that there is one place for them.
_Faultless = msgspec.defstruct(
    "_Faultless",
    [
        ("v", Literal[1]),
        ("boot", _Boot),
        ("seq", _Seq),
        ("t", _Times),
        *((name, _column(name), msgspec.field(default_factory=list)) for name in _LIMITS),
        ("gear", list[Literal["P", "R", "N", "D"]], msgspec.field(default_factory=list)),
        ("ignition", list[bool], msgspec.field(default_factory=list)),
        ("charging", list[bool], msgspec.field(default_factory=list)),
        ("vehicle_id", str | None, None),
    ],
    gc=False,
)

_Values = list[float | None]


class _Version(msgspec.Struct):
    v: int


class _Body(msgspec.Struct):
    boot: _Boot
    seq: _Seq
    t: _Times
    lat: _Values = []
    lon: _Values = []
    speed_kmh: _Values = []
    odo_km: _Values = []
    soc_pct: _Values = []
    power_kw: _Values = []
    fuel_l_h: _Values = []
    fuel_pct: _Values = []
    temp_c: _Values = []
    lateral_ms2: _Values = []
    gear: list[str | None] = []
    ignition: list[bool | None] = []
    charging: list[bool | None] = []
    vehicle_id: str | None = None


_faultless = msgspec.json.Decoder(_Faultless)
_version = msgspec.json.Decoder(_Version)
_body = msgspec.json.Decoder(_Body)


def decode(body: bytes, sender: Caller, arrived_ms: int, max_age_ms: int = MAX_AGE_MS) -> Message:
    """What can be used of a message that arrived at `arrived_ms` (epoch milliseconds).

    What was measured more than `max_age_ms` before is not believed. Raises `Rejected` if the body is not a telemetry
    message of this sender, `NoUsableSample` if nothing is left of it.
    """
    try:
        return _without_fault(_faultless.decode(body), sender, arrived_ms, max_age_ms, body)
    except BODY_ERRORS:
        return _with_faults(body, sender, arrived_ms, max_age_ms)


def without_position(body: bytes) -> bytes:
    """What the job understands of a message, but not where the vehicle was. Empty if nothing can be understood."""
    try:
        message = _body.decode(body)
    except BODY_ERRORS:
        return b""
    names = ("boot", "seq", "t", "vehicle_id", *COLUMNS)
    told = {name: value for name in names if (value := getattr(message, name)) not in (None, [])}
    return msgspec.json.encode({"v": VERSION} | {name: told[name] for name in told if name not in {"lat", "lon"}})


def _without_fault(message: Any, sender: Caller, arrived_ms: int, max_age_ms: int, body: bytes) -> Message:
    """Raises `ValidationError` for what has to be looked at sample by sample."""
    t, steps, speeds = list(accumulate(message.t)), message.t, message.speed_kmh
    del steps[0]
    shortest_ms = min(steps) if steps else 0
    if (
        t[0] < OLDEST_MS
        or t[0] < arrived_ms - max_age_ms
        or t[-1] > arrived_ms + AHEAD_MS
        or t[-1] - t[0] > FROM_MEDIAN_MS
        or shortest_ms < 0
        or (speeds and max(speeds) > most_kmh(shortest_ms) and not are_plain(speeds, shortest_ms))
    ):
        raise msgspec.ValidationError
    count = len(t)
    sender.must_be(message.vehicle_id)
    lat, lon = _full(message.lat, count), _full(message.lon, count)
    if not lat or not lon:
        lat = lon = []
    run = Run(
        t=t,
        steps=steps,
        step_ms=even_step_ms(steps),
        whole=True,
        lat=lat,
        lon=lon,
        speed_kmh=_full(speeds, count),
        odo_km=_full(message.odo_km, count),
        soc_pct=_full(message.soc_pct, count),
        power_kw=_full(message.power_kw, count),
        fuel_l_h=_full(message.fuel_l_h, count),
        fuel_pct=_full(message.fuel_pct, count),
        temp_c=_full(message.temp_c, count),
        lateral_ms2=_full(message.lateral_ms2, count),
        gear=_full(message.gear, count),
        ignition=_full(message.ignition, count),
        charging=_full(message.charging, count),
    )
    return Message(message.boot, message.seq, arrived_ms, run, {}, body)


T = TypeVar("T")


def _full(column: list[T], count: int) -> list[T]:
    """The column with a value for each sample; a single one holds for all of them."""
    if len(column) == count or not column:
        return column
    if len(column) == 1:
        return column * count
    raise msgspec.ValidationError(f"a column has {len(column)} values for {count} samples")


def _with_faults(body: bytes, sender: Caller, arrived_ms: int, max_age_ms: int = MAX_AGE_MS) -> Message:
    try:
        version = _version.decode(body).v
        if version != VERSION:
            raise Rejected("unknown-version", f"version {version} of telemetry is not understood; known: {VERSION}")
        message = _body.decode(body)
        count = len(message.t)
        columns = {name: _full(column, count) for name in COLUMNS if (column := getattr(message, name))}
    except BODY_ERRORS as error:
        raise Rejected("bad-telemetry", fault(error)) from error
    sender.must_be(message.vehicle_id)
    t = list(accumulate(message.t))
    kept, dropped, first_fault = _usable(t, columns, arrived_ms, max_age_ms)
    if not kept:
        raise NoUsableSample(first_fault, message.boot, message.seq)
    kept.sort(key=t.__getitem__)  # stable: what was measured at one moment stays in its order
    if speeds := columns.get("speed_kmh"):
        wrong = leaps([t[index] for index in kept], [speeds[index] for index in kept])
        if wrong:
            dropped["speed"] += len(wrong)
            kept = [index for place, index in enumerate(kept) if place not in wrong]
    columns = {name: [column[index] for index in kept] for name, column in columns.items()}
    _pair(columns)
    columns = {name: column for name, column in columns.items() if any(value is not None for value in column)}
    t = [t[index] for index in kept]
    steps = [b - a for a, b in pairwise(t)]
    whole = all(None not in column for column in columns.values())
    run = Run(t=t, steps=steps, step_ms=even_step_ms(steps), whole=whole, **columns)
    return Message(message.boot, message.seq, arrived_ms, run, dict(dropped), body)


def _pair(columns: dict[str, list[Any]]) -> None:
    """Half a position is none."""
    lat, lon = columns.pop("lat", None), columns.pop("lon", None)
    if lat and lon:
        known = [None not in pair for pair in zip(lat, lon, strict=True)]
        columns["lat"] = [value if is_known else None for value, is_known in zip(lat, known, strict=True)]
        columns["lon"] = [value if is_known else None for value, is_known in zip(lon, known, strict=True)]


def _usable(
    t: Sequence[int], columns: dict[str, list[Any]], arrived_ms: int, max_age_ms: int
) -> tuple[list[int], Counter[str], str]:
    """The indices of the samples that can be used, the others by reason, and the first fault in words."""
    at_arrival = [_fault_at_arrival(moment_ms, arrived_ms, max_age_ms) for moment_ms in t]
    credible = sorted(moment_ms for moment_ms, clock in zip(t, at_arrival, strict=True) if clock is None)
    median_ms = credible[(len(credible) - 1) // 2] if credible else None
    kept, dropped, first_fault = list[int](), Counter[str](), ""
    for index, moment_ms in enumerate(t):
        clock = at_arrival[index] or _fault_among_others(moment_ms, median_ms)
        found = ("clock", f"time {_readable(moment_ms)} is {clock}") if clock else _value_fault(columns, index)
        if found is None:
            kept.append(index)
            continue
        dropped[found[0]] += 1
        first_fault = first_fault or f"sample {index}: {found[1]}"
    return kept, dropped, first_fault


def _fault_at_arrival(moment_ms: int, arrived_ms: int, max_age_ms: int) -> str | None:
    if moment_ms < OLDEST_MS:
        return "before 2015"
    if moment_ms < arrived_ms - max_age_ms:
        return f"more than {max_age_ms / DAY_MS:g} days before its arrival"
    return f"more than {AHEAD_MS // 60_000} minutes after its arrival" if moment_ms > arrived_ms + AHEAD_MS else None


def _fault_among_others(moment_ms: int, median_ms: int | None) -> str | None:
    is_far = median_ms is not None and abs(moment_ms - median_ms) > FROM_MEDIAN_MS
    return "more than an hour from the rest of the message" if is_far else None


def _value_fault(columns: dict[str, list[Any]], index: int) -> tuple[str, str] | None:
    for name, column in columns.items():
        value = column[index]
        if name in _LIMITS:
            low, high = _LIMITS[name]
            if value is not None and not low <= value <= high:
                return _REASONS[name], f"{name} {value:g} is outside {low:g}…{high:g}"
        elif name == "gear" and value not in _GEARS:
            return "gear", f"gear {value!r:.20} is not one of P R N D"
    return None


def _readable(t: int) -> str:
    if not 0 <= t <= _LAST_FORMATTABLE_MS:
        return f"{t} ms" if abs(t) < 10**33 else "beyond all clocks"
    return f"{from_epoch_ms(t):%Y-%m-%dT%H:%M:%SZ}"
