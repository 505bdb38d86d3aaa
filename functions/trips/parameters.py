"""What may differ between brands, models and markets: one setting, parsed and checked once.

`TRIP_PARAMETERS` is a JSON object. Its keys say for which vehicles: `brand`, `brand/model` or `brand/model/market`,
with `*` for any. Its values are objects with the fields of `Parameters` that differ from the defaults:

    {"*": {"fuzz_m": 200}, "*/*/DE": {"grid_co2_g_kwh": 363}, "VW/ID.3": {"battery_kwh": 58}}

Field by field the most specific key counts: one that names the brand before one that does not, then the model, then
the market. Names of vehicles are compared without case.
"""

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from functions.trips.driving import Harshness
from shared.errors import Misconfigured
from shared.messaging.bodies import BODY_ERRORS, fault

SETTING = "TRIP_PARAMETERS"

FuelKind = Literal["petrol", "diesel", "lpg"]


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides about the trips of one vehicle. Units are in the names."""

    # where trips begin and end
    silence_s: Annotated[int, Meta(ge=1, le=86_400)] = 120  # silence at one place for so long ends a trip
    flicker_s: Annotated[int, Meta(ge=1, le=3600)] = 30  # an ignition that is off for less did not end it
    park_s: Annotated[int, Meta(ge=1, le=86_400)] = 300  # in gear P for so long ends a trip
    standstill_s: Annotated[int, Meta(ge=60, le=172_800)] = (
        14_400  # standing still for so long while reporting ends a trip
    )
    tunnel_s: Annotated[int, Meta(ge=0, le=86_400)] = 1800  # a silence up to this long is bridged if the car moved
    moved_m: Annotated[float, Meta(ge=10, le=5000)] = 200.0  # from here on a displacement is a movement
    min_distance_km: Annotated[float, Meta(ge=0, le=10)] = 0.01  # less is no trip
    # what is told of them
    rated_from_km: Annotated[float, Meta(ge=0.1, le=100)] = 1.0  # below: no consumption per 100 km, no eco score
    harsh_braking_ms2: Annotated[float, Meta(ge=0.5, le=15)] = Harshness().braking
    harsh_acceleration_ms2: Annotated[float, Meta(ge=0.5, le=15)] = Harshness().acceleration
    harsh_cornering_ms2: Annotated[float, Meta(ge=0.5, le=15)] = Harshness().cornering
    fuzz_m: Annotated[float, Meta(ge=0, le=10_000)] = 0.0  # radius that hides where a trip starts and ends; 0: shown
    # energy
    battery_kwh: Annotated[float, Meta(gt=0, le=1000)] | None = None  # usable capacity
    tank_l: Annotated[float, Meta(gt=0, le=1000)] | None = None
    fuel: FuelKind | None = None  # what its engine burns; None: it has no engine, or nobody said
    grid_co2_g_kwh: Annotated[float, Meta(ge=0, le=2000)] = 210.0  # CO₂ of the market's electricity
    charging_efficiency: Annotated[float, Meta(ge=0.5, le=1)] = (
        0.9  # how much of the plug's energy gets into the battery
    )

    @property
    def harshness(self) -> Harshness:
        return Harshness(self.harsh_braking_ms2, self.harsh_acceleration_ms2, self.harsh_cornering_ms2)


_Pattern = tuple[str, ...]  # brand, model, market; "*" is any

_ANY = "*"


class ParameterBook:
    """The parameters of every vehicle of the fleet."""

    def __init__(self, base: Parameters, overrides: Mapping[_Pattern, Any]) -> None:
        self._base = base
        self._overrides = overrides
        self._known = dict[tuple[_Pattern, ...], Parameters]()  # no more than the setting has combinations of keys

    @classmethod
    def parse(cls, text: str | None, base: Parameters | None = None) -> "ParameterBook":
        """The book that the setting describes, over the defaults `base`; without a setting they are all there is.

        Raises `Misconfigured`, naming key and field, for whatever is unknown or out of its range.
        """
        base = _checked(Parameters() if base is None else base, {}, "defaults")
        overrides = dict[_Pattern, Any]()
        for key, fields in _decoded(text or "{}").items():
            pattern = _pattern(key)
            if pattern in overrides:
                raise Misconfigured(f"setting {SETTING} has {key!r} twice, in other words")
            _checked(base, fields, key)
            overrides[pattern] = fields
        return cls(base, overrides)

    def for_vehicle(self, brand: str | None, model: str | None, market: str | None) -> Parameters:
        """The parameters of such a vehicle; of what is not known of it (None) only `*` speaks."""
        named = [(_ANY,) if name is None else (name.casefold(), _ANY) for name in (brand, model, market)]
        matching = tuple(pattern for pattern in product(*named) if pattern in self._overrides)
        found = self._known.get(matching)
        if found is None:
            found = self._base
            for pattern in reversed(matching):
                found = _checked(found, self._overrides[pattern], "/".join(pattern))
            self._known[matching] = found
        return found


def _decoded(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except BODY_ERRORS as error:
        raise Misconfigured(f"setting {SETTING} is not a JSON object: {fault(error)}") from error


def _pattern(key: str) -> _Pattern:
    parts = tuple(part.strip().casefold() for part in key.split("/"))
    if len(parts) > 3 or not all(parts):
        raise Misconfigured(f"setting {SETTING}: {key!r} is not brand, brand/model or brand/model/market")
    return (*parts, _ANY, _ANY)[:3]


def _checked(base: Parameters, fields: Any, where: str) -> Parameters:
    try:
        changed = msgspec.convert(fields, dict[str, Any])
        parameters = msgspec.convert(msgspec.to_builtins(base) | changed, Parameters)
        if 0 < parameters.fuzz_m < 1:
            raise msgspec.ValidationError("Expected 0 or a `float` >= 1 - at `$.fuzz_m`")  # noqa: TRY301 - as the others
        return parameters  # noqa: TRY300 - it is what was tried
    except msgspec.ValidationError as error:
        raise Misconfigured(f"setting {SETTING}, {where}: {error}") from error
