"""What driving costs: the resistances of the road, and how a battery or a tank pays for them.

Coefficients are those of an ordinary compact car; the model is the textbook's, good for plausible figures.
"""

from dataclasses import dataclass
from typing import Final, Protocol

_MASS_KG: Final = 1600.0
_ROTATING_MASS: Final = 1.04  # wheels and motor must be set spinning as well
_ROLLING_RESISTANCE: Final = 0.010
_DRAG_AREA_M2: Final = 0.65
_AIR_KG_M3: Final = 1.2
_GRAVITY_MS2: Final = 9.81

_MOTOR_EFFICIENCY: Final = 0.88
_RECUPERATION: Final = 0.6  # the part of the braking power that comes back
_AUXILIARIES_W: Final = 400.0

_IDLE_L_H: Final = 0.7
_COMBUSTION_EFFICIENCY: Final = 0.36
_PETROL_WH_L: Final = 8900.0
_OVERRUN_ABOVE_MS: Final = 4.0  # injection stops while the wheels turn the engine


@dataclass(frozen=True, slots=True)
class Reading:
    """What the instruments show; None where the car has no such instrument."""

    soc_pct: float | None = None
    power_kw: float | None = None  # out of the battery; negative while braking fills it
    charging: bool | None = None
    fuel_l_h: float | None = None
    fuel_pct: float | None = None


class Powertrain(Protocol):
    def drive(self, speed_ms: float, acceleration_ms2: float, duration_s: float) -> Reading:
        """The instruments after so long at this speed and acceleration."""


@dataclass(slots=True)
class Electric:
    """A battery that empties with driving and fills a little with braking."""

    soc_pct: float = 90.0
    capacity_kwh: float = 58.0

    def drive(self, speed_ms: float, acceleration_ms2: float, duration_s: float) -> Reading:
        wheels_w = wheel_power_w(speed_ms, acceleration_ms2)
        battery_w = wheels_w / _MOTOR_EFFICIENCY if wheels_w > 0 else wheels_w * _RECUPERATION
        power_kw = (battery_w + _AUXILIARIES_W) / 1000
        used_kwh = power_kw * duration_s / 3600
        self.soc_pct = min(100.0, max(0.0, self.soc_pct - 100 * used_kwh / self.capacity_kwh))
        return Reading(soc_pct=round(self.soc_pct, 2), power_kw=round(power_kw, 2), charging=False)


@dataclass(slots=True)
class Combustion:
    """An engine that idles at standstill and takes nothing in overrun, and the tank that it drinks from."""

    fuel_pct: float = 80.0
    tank_l: float = 50.0

    def drive(self, speed_ms: float, acceleration_ms2: float, duration_s: float) -> Reading:
        rate_l_h = _fuel_rate_l_h(speed_ms, wheel_power_w(speed_ms, acceleration_ms2))
        self.fuel_pct = max(0.0, self.fuel_pct - 100 * rate_l_h * duration_s / 3600 / self.tank_l)
        return Reading(fuel_l_h=round(rate_l_h, 3), fuel_pct=round(self.fuel_pct, 1))


def _fuel_rate_l_h(speed_ms: float, wheels_w: float) -> float:
    if wheels_w <= 0 and speed_ms > _OVERRUN_ABOVE_MS:
        return 0.0
    return _IDLE_L_H + max(0.0, wheels_w) / (_COMBUSTION_EFFICIENCY * _PETROL_WH_L)


def wheel_power_w(speed_ms: float, acceleration_ms2: float) -> float:
    """Negative while braking. On the level: altitude is scenery here."""
    inertia_n = _MASS_KG * _ROTATING_MASS * acceleration_ms2
    rolling_n = _MASS_KG * _GRAVITY_MS2 * _ROLLING_RESISTANCE
    drag_n = _AIR_KG_M3 / 2 * _DRAG_AREA_M2 * speed_ms**2
    return (inertia_n + rolling_n + drag_n) * speed_ms
