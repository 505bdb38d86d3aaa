"""Vehicles get their first certificate by other means: what is recorded of it."""

from datetime import UTC, datetime, timedelta

import pytest

from functions.certificates import service
from localcloud.pki import Pki, issue_device_certificate
from shared.errors import Rejected
from tests.certificates.car import Car, thumbprint, to_pem
from tests.certificates.conftest import credentials, enrolment, scan


async def test_enrolling_the_same_again_changes_nothing(car: Car) -> None:
    await scan(car)
    before = await credentials(car)
    await service.obey(enrolment(car))
    assert await credentials(car) == before


async def test_a_replaced_telematics_unit_is_enrolled_anew(car: Car, pki: Pki) -> None:
    unit = Car(pki)
    now = datetime.now(UTC)
    key = unit.key.public_key()
    replacement = issue_device_certificate(pki, car.vehicle_id, key, not_before=now, not_after=now + timedelta(days=90))
    await scan(car)
    await service.obey(enrolment(car, pem=to_pem(replacement)))
    after = await credentials(car)
    assert after.current.thumbprint == thumbprint(replacement)
    assert after.rotation is None
    await service.obey(enrolment(car, sent_at=now - timedelta(minutes=1)))
    assert await credentials(car) == after


async def test_a_factory_key_on_two_cars_is_refused(car: Car, pki: Pki) -> None:
    copy = Car(pki)
    now = datetime.now(UTC)
    cloned = issue_device_certificate(
        pki, copy.vehicle_id, car.key.public_key(), not_before=now, not_after=now + timedelta(days=90)
    )
    with pytest.raises(Rejected, match="key-of-another-vehicle"):
        await service.obey(enrolment(copy, pem=to_pem(cloned)))


async def test_the_certificate_of_another_vehicle_is_not_enrolled(car: Car, pki: Pki) -> None:
    with pytest.raises(Rejected, match="foreign-certificate"):
        await service.obey(enrolment(car, pem=to_pem(Car(pki).certificate)))
