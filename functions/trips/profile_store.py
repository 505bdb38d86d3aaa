"""What is configured, what a vehicle is and what its driver has chosen, as its trips need it."""

import asyncio
from functools import cache

from functions.trips.agenda import Policy
from functions.trips.parameters import ParameterBook, Parameters
from functions.trips.vehicle_trips import VehicleTrips
from shared.clock import DAY_MS
from shared.identity import privacy, registry
from shared.settings import settings


def sample_max_age_ms() -> int:
    """How long before it arrives a sample may have been measured. Raises `Misconfigured`."""
    return settings().trip_sample_max_age_days * DAY_MS


@cache
def _book() -> ParameterBook:
    configured = settings()
    base = Parameters(silence_s=configured.trip_silence_s, flicker_s=configured.trip_flicker_s)
    return ParameterBook.parse(configured.trip_parameters, base)


@cache
def _policy(parameters: Parameters) -> Policy:
    configured = settings()
    return Policy(
        parameters=parameters,
        close_after_ms=configured.trip_close_after_s * 1000,
        lateness_ms=configured.trip_lateness_s * 1000,
    )


def policy_of(state: VehicleTrips) -> Policy:
    """By brand, model and market. Raises `Misconfigured`."""
    return _policy(_book().for_vehicle(*((name or None) for name in state.model or ("", "", ""))))


async def look_up(vehicle_id: str, state: VehicleTrips) -> None:
    """Brings the state up to what is known of the vehicle. Raises `Unavailable`."""
    vehicle, state.is_private = await asyncio.gather(registry.find(vehicle_id), privacy.is_private(vehicle_id))
    state.model = ("", "", "") if vehicle is None else (vehicle.brand, vehicle.model, vehicle.market)
