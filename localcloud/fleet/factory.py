"""Where vehicles come from: id, key, first certificate, place in the hub's registry."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

from localcloud.clock import Clock, utc_now
from localcloud.fleet.garage import Garage
from localcloud.fleet.hub_service import HubService
from localcloud.fleet.identity import new_key, thumbprint
from localcloud.pki import Pki, issue_device_certificate

FIRST_SOFTWARE: Final = "1.0.0"
CERTIFICATE_LIFETIME: Final = timedelta(days=90)
LEFT_WHEN_DUE: Final = timedelta(days=7)
_BACKDATED: Final = timedelta(hours=1)
_ID_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Factory:
    """Builds vehicles into directories below `directory`. The ids follow from the seed; keys are always random."""

    directory: Path
    pki: Pki
    service: HubService
    seed: int = 0
    clock: Clock = utc_now

    def vehicle_ids(self, count: int) -> list[str]:
        """Random pseudonymous ids; a longer list begins like a shorter one."""
        random = Random(f"vehicles/{self.seed}")  # noqa: S311 - it must be repeatable, and an id is no secret
        return [f"v{random.getrandbits(4 * _ID_DIGITS):0{_ID_DIGITS}x}" for _ in range(count)]

    async def build(
        self, vehicle_id: str, *, rotation_due: bool = False, software_version: str = FIRST_SOFTWARE
    ) -> Garage:
        """A new vehicle that the hub lets in; an earlier one of the same id is let in no longer.

        `rotation_due` gives it a certificate that was issued long ago and is near its end. Raises `HubServiceError`.
        """
        now = self.clock()
        not_after = now + (LEFT_WHEN_DUE if rotation_due else CERTIFICATE_LIFETIME)
        key = new_key()
        certificate = issue_device_certificate(
            self.pki,
            vehicle_id,
            key.public_key(),
            not_before=not_after - CERTIFICATE_LIFETIME - _BACKDATED,
            not_after=not_after,
        )
        directory = self.directory / vehicle_id
        garage = Garage.create(directory, vehicle_id, key, certificate, software_version=software_version)
        await self.service.register(vehicle_id, thumbprint(certificate))
        return garage
