"""A charging session under way: one charge is one session, also of a vehicle that sleeps while it charges.

It is reported, or inferred from a battery that is fuller after a silence. While the vehicle wakes up now and then and
stands still, it goes on with each silence that adds charge, and has ended with the last one that did. What is inferred
counts if it won `CHARGED_PCT` in all: less is a battery that warms up.
"""

from functions.trips.pieces import Mode
from functions.trips.records import Trip
from functions.trips.samples import Run
from functions.trips.silence import CHARGED_PCT, Silence

AWAKE_MS = 30 * 60_000  # a vehicle that sleeps while it charges is not awake for so long


def gain_pct(session: Trip) -> float | None:
    """By how much it filled the battery; None if nobody knows."""
    first, last = session.measures.soc_first_pct, session.measures.soc_last_pct
    return None if first is None or last is None else last - first


def counts(session: Trip) -> bool:
    """Whether it was one, and not a moment."""
    is_moment = session.end_ms == session.start_ms
    return not is_moment and (not session.inferred or (gain_pct(session) or 0.0) >= CHARGED_PCT)


def goes_on(session: Trip, silence: Silence, moved_m: float, *, is_reported: bool) -> bool:
    """Whether the vehicle was still charged in the silence, or nobody knows; `is_reported`: whether it is behind it."""
    if silence.is_away(moved_m) or silence.was_carried():
        return False
    before, after = _level_pct(session, silence), silence.after.soc_pct
    if before is None or after is None:
        return is_reported or before is not None
    return after > before or (is_reported and after == before)


def _level_pct(session: Trip, silence: Silence) -> float | None:
    """With which it went into the silence."""
    reached_pct = session.measures.soc_last_pct
    return silence.before.soc_pct if reached_pct is None else reached_pct


def go_on(session: Trip, silence: Silence) -> None:
    """Takes in the silence, with which it has ended if the level rose."""
    measures, before, after = session.measures, _level_pct(session, silence), silence.after
    session.still_since_ms, session.reports = silence.end_ms, False
    if measures.soc_first_pct is None and before is not None:
        measures.soc_first_pct = measures.soc_last_pct = before
        session.rests_on(silence.before)
    if before is None or after.soc_pct is None or after.soc_pct <= before:
        return
    session.end_ms = silence.end_ms
    measures.soc_last_pct = after.soc_pct
    measures.odo_last_km = measures.odo_last_km if after.odo_km is None else after.odo_km
    if after.lat is not None and after.lon is not None:
        measures.route.pass_by(silence.end_ms, after.lat, after.lon)


def is_over(session: Trip, run: Run, mode: Mode, first: int, beyond: int) -> bool:
    """Whether these samples, at which no charging is reported and the vehicle stands, show that it has ended before.

    It has if the vehicle says so after having reported it, is switched on, or stays awake.
    """
    return (
        (session.reports and False in run.charging[first:beyond])
        or (mode != "off" and True in run.ignition[first:beyond])
        or run.t[beyond - 1] - session.still_since_ms >= AWAKE_MS
    )
