"""Who takes part in the demo: vehicles, their owners, and what they are going to do."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.serialization import Encoding

from localcloud.fleet.cycle_drives import Departure, drive_cycle
from localcloud.fleet.cycles import CycleName, load_cycle
from localcloud.fleet.disorder import Disorder
from localcloud.fleet.factory import Factory
from localcloud.fleet.garage import Garage
from localcloud.fleet.identity import Credential
from localcloud.fleet.link import LinkMaker
from localcloud.fleet.powertrain import Combustion, Electric
from localcloud.fleet.telemetry import Sample
from localcloud.fleet.vehicle import Vehicle
from shared.messaging.contracts import EnrolCertificate, SetRecipient

BRAND, MODEL, MARKET = "Demo", "One", "DE"
_OWNERS = (("Erika Beispiel", "de", "Europe/Berlin"), ("Sam Sample", "en", "Europe/London"))
_LONGEST_CYCLE = timedelta(minutes=30)
_PARKED_BETWEEN_DRIVES = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Participant:
    """One vehicle, its owner, and its plans."""

    vehicle: Vehicle
    garage: Garage
    owner: SetRecipient
    drives: Sequence[Sequence[Sample]]
    disorder_seed: int
    rotation_due: bool
    is_stolen: bool
    factory_identity: Credential  # a copy: the vehicle itself forgets it after the rotation

    @property
    def vehicle_id(self) -> str:
        return self.vehicle.vehicle_id

    @property
    def enrolment(self) -> EnrolCertificate:
        pem = self.factory_identity.certificate.public_bytes(Encoding.PEM).decode()
        return EnrolCertificate(vehicle_id=self.vehicle_id, certificate=pem)

    async def take_part(self) -> None:
        """Drives what is planned over a bad radio link; a stolen one raises its alarm, twice as alarms do."""
        if self.is_stolen:
            alarm_id = await self.vehicle.raise_alarm()
            await self.vehicle.raise_alarm(alarm_id=alarm_id)
        for number, samples in enumerate(self.drives):
            await self.vehicle.drive(samples, disorder=Disorder(self.disorder_seed + number))


async def build(
    factory: Factory, make_link: LinkMaker, *, vehicles: int, seed: int, now: datetime
) -> list[Participant]:
    """The fleet, as it follows from the seed. Every second certificate is due, the first vehicle is stolen.

    The last owner of several does not want to hear of trips.
    """
    random = Random(f"demo/{seed}")  # noqa: S311 - it must be repeatable
    participants = []
    for number, vehicle_id in enumerate(factory.vehicle_ids(vehicles)):
        rotation_due = number % 2 == 0
        garage = await factory.build(vehicle_id, rotation_due=rotation_due)
        name, language, time_zone = _OWNERS[number % len(_OWNERS)]
        participants.append(
            Participant(
                vehicle=Vehicle(garage, make_link),
                garage=garage,
                owner=SetRecipient(
                    vehicle_id=vehicle_id,
                    recipient_id=f"owner-{number}",
                    name=name,
                    email=f"owner-{number}@example.com",
                    language=language,
                    time_zone=time_zone,
                    muted=("trip",) if 0 < number == vehicles - 1 else (),
                ),
                drives=_plans(random, now, count=1 + number % 2),
                disorder_seed=random.getrandbits(32),
                rotation_due=rotation_due,
                is_stolen=number == 0,
                factory_identity=_copy(garage.credentials()[0], factory.directory / f"{vehicle_id}.factory.pem"),
            )
        )
    return participants


def _plans(random: Random, now: datetime, count: int) -> list[list[Sample]]:
    """Drives one after the other, the last of them over by now."""
    powertrain = random.choice((Electric, Combustion))()
    odometer_km = random.uniform(10, 50_000)
    lat, lon = random.uniform(47.5, 54.5), random.uniform(7.0, 14.0)
    departs_at = now - count * (_LONGEST_CYCLE + _PARKED_BETWEEN_DRIVES)
    plans = []
    for _ in range(count):
        cycle = load_cycle(random.choice(list(CycleName)))
        departure = Departure(departs_at, lat, lon, odometer_km, random.getrandbits(32))
        samples = drive_cycle(cycle, departure, powertrain)
        plans.append(samples)
        lat, lon, odometer_km = samples[-1].lat or lat, samples[-1].lon or lon, samples[-1].odo_km or odometer_km
        departs_at += _LONGEST_CYCLE + _PARKED_BETWEEN_DRIVES
    return plans


def _copy(credential: Credential, to: Path) -> Credential:
    shutil.copy(credential.pem_file, to)
    return Credential.load(to)
