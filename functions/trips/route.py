"""Where a vehicle went, kept small while it goes: its length without impossible jumps, and its simplified line.

A route is a list of stretches: within one no fix is too far from the one before for a car to have gone there. Which
stretches are true is decided in the end, by how long each was supported and how far it is from the others. No fix
is trusted for being the first: a track that begins with (0, 0) loses that one and not all others.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from math import cos, radians, sqrt

import msgspec
from msgspec.structs import replace

from functions.trips.geodesy import DEGREE_M, decoded, distance_m, encoded, simplified, to_e5
from functions.trips.samples import Run

# A fix may be old by several seconds when it is first seen, so a jump is only impossible well beyond a car's speed.
MAX_SPEED_M_S = 70.0
JUMP_SLACK_M = 100.0
# How much impossible jump a second of recorded drive behind it makes credible: receivers that were lost for a while
# catch up by a kilometre or two and go on well, while a teleport leads nowhere for a few seconds.
JUMP_M_PER_SUPPORTING_S = 10.0

MIN_STEP_M = 10.0  # less is the receiver's noise rather than the vehicle's movement
_LOOKED_AT_MS = 3000  # on the road nothing is lost by looking at a fix every third second
_LOOKED_AT_M = 30.0
TOLERANCE_M = 12.0
MAX_TEXT = 1_400  # characters of all stretches together
MAX_STRETCHES = 6

_MIN_STEP2 = (MIN_STEP_M / DEGREE_M) ** 2
_NEVER_IMPOSSIBLE2 = (JUMP_SLACK_M / DEGREE_M) ** 2
_LONG2 = (2000.0 / DEGREE_M) ** 2


class Stretch(msgspec.Struct, array_like=True):
    """A part without impossible jumps. Places in degrees, times in epoch milliseconds."""

    lat: float  # the first fix
    lon: float
    t: int
    last_lat: float  # the latest fix, and until when it was reported
    last_lon: float
    until: int
    fixes: int = 0  # samples that reported a position
    length_m: float = 0.0
    step_lat: float = 0.0  # the fix up to which the length is measured, and when it was first reported
    step_lon: float = 0.0
    step_t: int = 0
    scale: float = 1.0  # of a degree of longitude there
    text: str = ""  # the line up to its latest corner, as an encoded polyline
    corner: tuple[int, int] = (0, 0)
    course: tuple[float, float] = (0.0, 0.0)  # away from that corner


class Route(msgspec.Struct, array_like=True):
    """The stretches of one trip so far."""

    stretches: list[Stretch] = []
    tolerance_m: float = TOLERANCE_M
    given_up: int = 0  # samples of stretches that there was no room for

    def follow(self, run: Run, first: int, beyond: int) -> None:
        """Goes on with the positions of these samples, at least one of which is known."""
        t, lat, lon = run.t[first:beyond], run.lat[first:beyond], run.lon[first:beyond]
        if not run.whole and None in lat:
            known = [index for index, value in enumerate(lat) if value is not None]
            t, lat, lon = [t[i] for i in known], [lat[i] for i in known], [lon[i] for i in known]
        if not t:
            return
        if not self.stretches:
            self._begin(lat[0], lon[0], t[0])
        stride = self._stride(run, first, beyond, t, lat, lon)
        skipped = (len(t) - 1) % stride  # so that the last one is looked at
        fixes = zip(t[skipped::stride], lat[skipped::stride], lon[skipped::stride], strict=True)
        while broken := self._go_on(fixes):
            self._begin(*broken, fixes=1)
        self.stretches[-1].fixes += len(t) - len(range(skipped, len(t), stride))

    def pass_by(self, t: int, lat: float, lon: float) -> None:
        """Goes on with one position."""
        if not self.stretches or self._go_on(iter([(t, lat, lon)])):
            self._begin(lat, lon, t, fixes=1)

    def arrive(self, lat: float, lon: float) -> None:
        """Ends where the vehicle was seen last, if that is where it came to a stand."""
        if self.stretches:
            last = self.stretches[-1]
            if _between_m(last, lat, lon) <= JUMP_SLACK_M:
                last.last_lat, last.last_lon = lat, lon

    def _stride(
        self, run: Run, first: int, beyond: int, t: Sequence[int], lat: Sequence[float], lon: Sequence[float]
    ) -> int:
        """Of how many fixes one has to be looked at: each one if there may be a jump among them."""
        if len(t) == 1:
            return 1
        duration_ms = t[-1] - t[0]
        reach = (JUMP_SLACK_M + MAX_SPEED_M_S * duration_ms / 1000) / DEGREE_M
        if max(lat) - min(lat) > reach or max(lon) - min(lon) > reach / max(0.01, cos(radians(lat[0]))):
            return 1
        step_ms = duration_ms / (len(t) - 1) or 1
        stride = _LOOKED_AT_MS / step_ms
        if run.speed_kmh and run.whole:
            fastest_m = max(run.speed_kmh[first:beyond]) / 3.6 * step_ms / 1000
            stride = max(stride, _LOOKED_AT_M / fastest_m) if fastest_m else len(t)
        return max(1, min(len(t), int(stride)))

    def _begin(self, lat: float, lon: float, t: int, *, fixes: int = 0) -> None:
        corner = (to_e5(lat), to_e5(lon))
        scale = cos(radians(lat))
        self.stretches.append(
            Stretch(
                *(lat, lon, t, lat, lon, t, fixes),
                step_lat=lat,
                step_lon=lon,
                step_t=t,
                scale=scale,
                text=encoded([corner]),
                corner=corner,
            )
        )
        if len(self.stretches) > MAX_STRETCHES:
            self._give_up_weakest()

    def _give_up_weakest(self) -> None:
        weakest = min(range(len(self.stretches) - 1), key=lambda index: _support_s(self.stretches[index]))
        self.given_up += self.stretches.pop(weakest).fixes
        if 0 < weakest < len(self.stretches) - 1:
            before, behind = self.stretches[weakest - 1], self.stretches[weakest]
            if not _jump_m(before, behind):
                self.stretches[weakest - 1 : weakest + 1] = [_joined(before, behind)]

    def _go_on(self, fixes: Iterator[tuple[int, float, float]]) -> tuple[float, float, int] | None:
        """Adds fixes to the latest stretch. Returns the first one that no car could have reached, if there is one.

        A corner is where the line would leave the course by more than the tolerance, or turn back. Written out in one
        piece, because most of the time of a fleet's trips goes by here.
        """
        stretch = self.stretches[-1]
        step_lat, step_lon, step_t, scale = stretch.step_lat, stretch.step_lon, stretch.step_t, stretch.scale
        corner_lat, corner_lon = stretch.corner[0] / 1e5, stretch.corner[1] / 1e5
        (course_x, course_y), tolerance = stretch.course, self.tolerance_m / DEGREE_M
        length, count = 0.0, 0
        t, lat, lon = stretch.until, stretch.last_lat, stretch.last_lon
        broken = None
        for now, y, x in fixes:
            dy, dx = y - step_lat, x - step_lon
            if not -180.0 <= dx <= 180.0:
                dx -= 360.0 if dx > 0 else -360.0
            dx *= scale
            square = dx * dx + dy * dy
            if square >= _NEVER_IMPOSSIBLE2 and _impossible_m(step_lat, step_lon, step_t, y, x, now) > 0:
                broken = (y, x, now)
                break
            t, lat, lon = now, y, x
            count += 1
            if square < _MIN_STEP2:
                continue
            # One scale for a long way between two fixes, as behind a tunnel, would be off.
            step = sqrt(square) if square < _LONG2 else distance_m(step_lat, step_lon, y, x) / DEGREE_M
            length += step
            aside = (x - corner_lon) * scale * course_y - (y - corner_lat) * course_x
            if not -tolerance <= aside <= tolerance or dx * course_x + dy * course_y <= 0.0:
                if course_x or course_y:
                    self._turn(stretch, step_lat, step_lon)
                    corner_lat, corner_lon, scale = step_lat, step_lon, stretch.scale
                    tolerance = self.tolerance_m / DEGREE_M
                course_x, course_y = dx / step, dy / step
            step_lat, step_lon, step_t = y, x, now
        stretch.step_lat, stretch.step_lon, stretch.step_t = step_lat, step_lon, step_t
        stretch.course, stretch.length_m = (course_x, course_y), stretch.length_m + length * DEGREE_M
        stretch.last_lat, stretch.last_lon, stretch.until = lat, lon, t
        stretch.fixes += count
        return broken

    def _turn(self, stretch: Stretch, lat: float, lon: float) -> None:
        corner = (to_e5(lat), to_e5(lon))
        stretch.text += encoded([corner], stretch.corner)
        stretch.corner = corner
        stretch.scale = cos(radians(lat))
        self._coarsen()

    def _coarsen(self) -> None:
        """Keeps the line short."""
        while sum([len(one.text) for one in self.stretches]) > MAX_TEXT:
            self.tolerance_m *= 2
            for one in self.stretches:
                one.text = encoded(simplified(decoded(one.text), self.tolerance_m))

    def credible(self) -> list[Stretch]:
        """The stretches of the most credible route: as long a part as possible, with as little jumping."""
        credit, before = list[float](), list[int]()
        for index, stretch in enumerate(self.stretches):
            best, origin = 0.0, -1
            for earlier in range(index):
                jump_m = _jump_m(self.stretches[earlier], stretch)
                if credit[earlier] - jump_m / JUMP_M_PER_SUPPORTING_S > best:
                    best, origin = credit[earlier] - jump_m / JUMP_M_PER_SUPPORTING_S, earlier
            credit.append(best + _support_s(stretch))
            before.append(origin)
        chosen = list[Stretch]()
        index = max(range(len(self.stretches)), key=credit.__getitem__, default=-1)
        while index >= 0:
            chosen.append(self.stretches[index])
            index = before[index]
        return chosen[::-1]

    def join(self, later: "Route") -> None:
        """Goes on with the stretches of what followed."""
        if self.stretches and later.stretches:
            before, behind = self.stretches[-1], later.stretches[0]
            if not _jump_m(before, behind):
                self.stretches[-1:] = [_joined(before, behind)]
                later.stretches = later.stretches[1:]
        self.stretches += later.stretches
        while len(self.stretches) > MAX_STRETCHES:
            self._give_up_weakest()
        self.tolerance_m = max(self.tolerance_m, later.tolerance_m)
        self.given_up += later.given_up
        self._coarsen()


def _joined(a: Stretch, b: Stretch) -> Stretch:
    end = (to_e5(a.step_lat), to_e5(a.step_lon))
    return replace(
        b,
        lat=a.lat,
        lon=a.lon,
        t=a.t,
        fixes=a.fixes + b.fixes,
        length_m=a.length_m + _between_m(a, b.lat, b.lon) + b.length_m,
        text=a.text + encoded([end, *decoded(b.text)], a.corner),
    )


def length_m(stretches: Sequence[Stretch]) -> float:
    """Of a route, in metres."""
    between = sum(_between_m(a, b.lat, b.lon) for a, b in zip(stretches, islice(stretches, 1, None), strict=False))
    return between + sum(stretch.length_m + _tail_m(stretch) for stretch in stretches)


def _tail_m(stretch: Stretch) -> float:
    """What was too short for a step yet."""
    return distance_m(stretch.step_lat, stretch.step_lon, stretch.last_lat, stretch.last_lon)


def _between_m(stretch: Stretch, lat: float, lon: float) -> float:
    return distance_m(stretch.step_lat, stretch.step_lon, lat, lon)


def line(stretches: Sequence[Stretch]) -> str:
    """The route in the encoded polyline format."""
    if len(stretches) == 1:
        (only,) = stretches
        return only.text + encoded([(to_e5(only.last_lat), to_e5(only.last_lon))], only.corner)
    return encoded(points(stretches))


def points(stretches: Sequence[Stretch]) -> list[tuple[int, int]]:
    """The corners of the route and its end, in 1e-5 degrees."""
    ends = [[*decoded(one.text), (to_e5(one.last_lat), to_e5(one.last_lon))] for one in stretches]
    return [point for stretch in ends for point in stretch]


def _support_s(stretch: Stretch) -> float:
    return 1 + (stretch.until - stretch.t) / 1000


def _jump_m(before: Stretch, behind: Stretch) -> float:
    return _impossible_m(before.step_lat, before.step_lon, before.step_t, behind.lat, behind.lon, behind.t)


def _impossible_m(lat1: float, lon1: float, t1: int, lat2: float, lon2: float, t2: int) -> float:
    """By how much the second fix is too far away for a car to have gone there; 0 if it is not."""
    possible_m = JUMP_SLACK_M + MAX_SPEED_M_S * (t2 - t1) / 1000
    return max(0.0, distance_m(lat1, lon1, lat2, lon2) - possible_m)
