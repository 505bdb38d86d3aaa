"""Rotations through the service, with real storage, broker and hub."""

import base64
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from functions.certificates import service, store
from functions.certificates.rotation import MAX_LOST_KEYS, NEXT_ATTEMPT, Phase
from localcloud.pki import Pki, issue_device_certificate
from shared.clock import utc_now
from shared.errors import Rejected, Unavailable
from shared.messaging import vehicle_link
from shared.messaging.vehicle_link import Thumbprints, allow_certificates
from tests.certificates.car import Car, make_csr, new_key, thumbprint, to_pem
from tests.certificates.conftest import Announced, MakeCar, credentials, enrolment, parked, part_of, scan, together


def new_certificate(told: dict[str, Any]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(told["certificate"].encode())


async def offered(car: Car) -> str:
    """The id of the rotation that a scan offers to the car."""
    await scan(car)
    told = await car.told()
    assert told["phase"] == "offered"
    return str(told["rotation_id"])


async def rotate(car: Car) -> list[Any]:
    """A whole rotation; returns what the car said."""
    key = new_key()
    said = [car.asks(await offered(car), key)]
    await service.hear(said)
    said.append(car.proves(await car.told(), key))
    await service.hear(said[1:])
    return said


async def test_a_certificate_near_its_end_is_replaced_and_the_old_one_retired(
    car: Car, pki: Pki, announced: Announced
) -> None:
    old, key = thumbprint(car.certificate), new_key()
    rotation_id = await offered(car)
    assert await car.accepted() == {old}

    await service.hear([car.asks(rotation_id, key)])
    told = await car.told()
    assert told["phase"] == "issued"
    new = new_certificate(told)
    new.verify_directly_issued_by(x509.load_pem_x509_certificate(pki.issuing.read_bytes()))
    assert told["issuer"] == pki.issuing.read_text()
    assert new.public_key() == key.public_key()
    assert await car.accepted() == {old, thumbprint(new)}

    await service.hear([car.proves(told, key)])
    assert await car.told() == {"rotation_id": rotation_id, "phase": "completed"}
    assert await car.accepted() == {thumbprint(new)}
    after = await credentials(car)
    assert after.current.thumbprint == thumbprint(new)
    assert after.current.renew_at > utc_now() + timedelta(days=50)
    assert await announced(car.vehicle_id) == [f"CertificateRotated-{rotation_id}"]
    assert not await parked(car)


async def test_a_certificate_that_is_not_due_is_left_alone(car: Car, pki: Pki) -> None:
    now = datetime.now(UTC)
    key = new_key().public_key()
    fresh = issue_device_certificate(pki, car.vehicle_id, key, not_before=now, not_after=now + timedelta(days=90))
    await service.obey(enrolment(car, pem=to_pem(fresh)))
    await scan(car)
    assert await car.told() == {}


async def test_any_replay_in_any_order_changes_nothing_and_announces_nothing(car: Car, announced: Announced) -> None:
    said = await rotate(car)
    before, accepted, told = await credentials(car), await car.accepted(), await car.told()
    chance = random.Random(1)
    for _ in range(3):
        await service.obey(enrolment(car, sent_at=datetime.now(UTC) - timedelta(hours=1)))
        await scan(car)
        await service.hear(chance.choices(said, k=6))
    assert await credentials(car) == before
    assert await car.accepted() == accepted
    assert await car.told() == told
    assert len(await announced(car.vehicle_id)) == 1
    assert not await parked(car)


async def test_a_factory_certificate_that_is_sent_again_after_it_was_replaced_is_refused(car: Car) -> None:
    """Taken for the current one it would stop every rotation until the vehicle's real certificate has expired."""
    await rotate(car)
    current = (await credentials(car)).current
    with pytest.raises(Rejected) as refusal:
        await service.obey(enrolment(car))
    assert refusal.value.code == "key-given-up"
    assert (await credentials(car)).current == current


async def test_an_enrolment_that_was_cut_short_goes_on(car: Car, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = issue_device_certificate(
        pki, car.vehicle_id, new_key().public_key(), not_before=utc_now(), not_after=utc_now() + timedelta(days=90)
    )
    command = enrolment(car, pem=to_pem(fresh))
    with monkeypatch.context() as patch:
        patch.setattr(store, "save", _away)
        with pytest.raises(Unavailable):
            await service.obey(command)
    await service.obey(command)
    assert (await credentials(car)).current.thumbprint == thumbprint(fresh)


async def _away(*_: object) -> None:
    raise Unavailable("away")


async def test_requests_get_on_under_a_hub_that_throttles(make_car: MakeCar, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host retries the whole batch; its first cars must not use up the calls that the last ones need."""
    cars = [await make_car() for _ in range(4)]
    batch = [car.asks(await offered(car), new_key()) for car in cars]
    told, granted = vehicle_link.set_desired, 0

    async def throttled(*arguments: Any, **named: Any) -> None:
        nonlocal granted
        if granted == 0:
            raise Unavailable("IoT Hub: 429")
        granted -= 1
        await told(*arguments, **named)

    monkeypatch.setattr(vehicle_link, "set_desired", throttled)
    granted = 2
    with pytest.raises(Unavailable):
        await service.hear(batch)
    granted = 2
    await service.hear(batch)
    assert [(await car.told())["phase"] for car in cars] == ["issued"] * 4


async def test_a_redelivered_scan_offers_nothing_twice(car: Car) -> None:
    rotation_id = await offered(car)
    before = await credentials(car)
    await scan(car)
    assert await credentials(car) == before
    assert (await car.told())["rotation_id"] == rotation_id


async def test_two_scans_at_once_offer_one_rotation(car: Car) -> None:
    await together(scan(car), scan(car))
    assert (await credentials(car)).under_way.attempt == 1
    assert (await car.told())["phase"] == "offered"


async def test_the_same_request_gets_the_same_certificate_again(car: Car) -> None:
    rotation_id, key = await offered(car), new_key()
    await service.hear([car.asks(rotation_id, key)])
    first = await car.told()
    await service.hear([car.asks(rotation_id, key), car.asks(rotation_id, key)])
    assert await car.told() == first


async def test_the_same_request_twice_at_once_gets_one_certificate(car: Car) -> None:
    rotation_id, key = await offered(car), new_key()
    request = car.asks(rotation_id, key)
    await together(service.hear([request]), service.hear([request]))
    told, state = await car.told(), await credentials(car)
    assert thumbprint(new_certificate(told)) == state.under_way.pending.certificate.thumbprint
    assert await car.accepted() == {thumbprint(car.certificate), thumbprint(new_certificate(told))}


async def test_the_same_proof_twice_at_once_announces_once(car: Car, announced: Announced) -> None:
    rotation_id, key = await offered(car), new_key()
    await service.hear([car.asks(rotation_id, key)])
    proof = car.proves(await car.told(), key)
    await together(service.hear([proof]), service.hear([proof]), scan(car, after=timedelta(hours=1)))
    assert (await credentials(car)).under_way.phase is Phase.COMPLETED
    assert await car.accepted() == {(await credentials(car)).current.thumbprint}
    assert (await car.told())["phase"] == "completed"
    assert set(await announced(car.vehicle_id)) == {f"CertificateRotated-{rotation_id}"}


async def test_effects_of_an_older_state_do_not_have_the_last_word(car: Car, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reminder is under way when the proof arrives and is dealt with by another instance, faster."""
    rotation_id, key = await offered(car), new_key()
    await service.hear([car.asks(rotation_id, key)])
    proof = car.proves(await car.told(), key)
    with monkeypatch.context() as patch:

        async def overtaken(vehicle_id: str, allowed: Thumbprints) -> None:
            if vehicle_id == car.vehicle_id:
                patch.undo()
                await service.hear([proof])
            await allow_certificates(vehicle_id, allowed)

        patch.setattr(vehicle_link, "allow_certificates", overtaken)
        await scan(car, after=timedelta(hours=1))
    assert (await credentials(car)).under_way.phase is Phase.COMPLETED
    assert await car.accepted() == {(await credentials(car)).current.thumbprint}
    assert (await car.told())["phase"] == "completed"


async def test_a_car_that_lost_its_new_key_gets_another_certificate(car: Car) -> None:
    rotation_id, lost, kept = await offered(car), new_key(), new_key()
    requests = [car.asks(rotation_id, lost), car.asks(rotation_id, kept)]
    await service.hear(requests)
    told = await car.told()
    assert new_certificate(told).public_key() == kept.public_key()
    assert await car.accepted() == {thumbprint(car.certificate), thumbprint(new_certificate(told))}

    await service.hear(requests[::-1])  # an old request again does not bring the lost key back
    assert await car.told() == told
    await service.hear([car.proves(told, kept)])
    assert await car.accepted() == {thumbprint(new_certificate(told))}


async def test_a_car_that_loses_one_key_after_the_other_waits_for_the_next_attempt(car: Car) -> None:
    rotation_id = await offered(car)
    await service.hear([car.asks(rotation_id, new_key()) for _ in range(MAX_LOST_KEYS + 2)])
    assert await parked(car) == ["too-many-keys"]
    assert (await car.told())["phase"] == "refused"
    assert thumbprint(car.certificate) in await car.accepted()
    await scan(car, after=NEXT_ATTEMPT + timedelta(minutes=1))
    told = await car.told()
    assert told["phase"] == "offered"
    assert told["rotation_id"] != rotation_id


async def test_a_bad_request_is_parked_and_the_car_told_why_and_may_ask_again(car: Car) -> None:
    rotation_id, key = await offered(car), new_key()
    await service.hear([car.asks(rotation_id, key, csr=make_csr(key, "someone-else"))])
    told = await car.told()
    assert told["phase"] == "refused"
    assert "subject" in told["reason"]
    assert await parked(car) == ["csr-foreign-subject"]
    assert await car.accepted() == {thumbprint(car.certificate)}

    await service.hear([car.asks(rotation_id, key)])
    told = await car.told()
    assert told["phase"] == "issued"
    assert "reason" not in told


async def test_a_bad_request_after_a_good_one_is_parked_and_takes_nothing_back(car: Car) -> None:
    rotation_id, key = await offered(car), new_key()
    await service.hear([car.asks(rotation_id, key), car.asks(rotation_id, key, csr="no PEM")])
    assert (await car.told())["phase"] == "issued"
    assert await parked(car) == ["bad-csr"]


async def test_a_refused_car_gets_another_attempt_the_next_day(car: Car) -> None:
    first = await offered(car)
    await service.hear([car.asks(first, new_key(), csr="no PEM")])
    await scan(car, after=timedelta(hours=1))
    assert (await car.told())["phase"] == "refused"
    await scan(car, after=NEXT_ATTEMPT + timedelta(minutes=1))
    assert (await car.told())["phase"] == "offered"
    assert (await car.told())["rotation_id"] != first


async def test_every_kind_of_bad_message_is_parked_and_the_rest_of_the_batch_handled(
    car: Car, make_car: MakeCar
) -> None:
    other, key = await make_car(), new_key()
    rotation_id, foreign_id = await offered(car), await offered(other)
    stranger = Car.__new__(Car)
    stranger.__dict__ = car.__dict__ | {"vehicle_id": f"{car.vehicle_id}-stranger"}
    weak = make_csr(rsa.generate_private_key(65537, 2048), car.vehicle_id)
    bad = {
        "bad-report": car.says(b"[" * 1_000_000),
        "foreign-vehicle": car.asks(rotation_id, key, vehicle_id=other.vehicle_id),
        "unknown-rotation": car.asks(foreign_id, key),
        "nothing-to-prove": car.says({"kind": "proof", "rotation_id": rotation_id, "signature": "AAAA"}),
        "csr-bad-key": car.asks(rotation_id, key, csr=weak),
        "csr-too-large": car.asks(rotation_id, key, csr="A" * 10_000),
        "csr-current-key": car.asks(rotation_id, car.key),
    }
    await service.hear([*bad.values(), stranger.asks(rotation_id, key), car.asks(rotation_id, key)])
    assert sorted(await parked(car)) == sorted(bad)
    assert await parked(stranger) == ["not-enrolled"]
    assert (await car.told())["phase"] == "issued"
    assert (await other.told())["phase"] == "offered"


async def test_a_wrong_proof_is_parked_and_changes_nothing(car: Car) -> None:
    rotation_id, key = await offered(car), new_key()
    await service.hear([car.asks(rotation_id, key)])
    before, told, accepted = await credentials(car), await car.told(), await car.accepted()
    await service.hear(
        [
            car.proves(told, car.key),
            car.proves(told | {"nonce": "another"}, key),
            car.proves(told, key, signature=base64.b64encode(b"rubbish").decode()),
        ]
    )
    assert await parked(car) == ["bad-proof"] * 3
    assert await credentials(car) == before
    assert await car.accepted() == accepted


async def test_a_key_that_another_car_has_used_is_refused(car: Car, make_car: MakeCar) -> None:
    other, shared_key = await make_car(), new_key()
    await service.hear([other.asks(await offered(other), shared_key)])
    await service.hear([car.asks(await offered(car), shared_key)])
    assert await parked(car) == ["key-of-another-vehicle"]
    assert (await car.told())["phase"] == "refused"


async def test_a_key_of_an_earlier_certificate_is_refused(car: Car) -> None:
    await rotate(car)
    await scan(car, after=timedelta(days=61))
    rotation_id = (await car.told())["rotation_id"]
    await service.hear([car.asks(rotation_id, car.key)])
    assert await parked(car) == ["key-used-before"]


async def test_a_car_that_reads_its_twin_late_is_reminded(car: Car) -> None:
    rotation_id, key = await offered(car), new_key()
    await service.hear([car.asks(rotation_id, key)])
    told = await car.told()
    await allow_certificates(car.vehicle_id, Thumbprints(thumbprint(car.certificate)))
    await scan(car, after=timedelta(hours=1))
    assert await car.told() == told
    assert await car.accepted() == {thumbprint(car.certificate), thumbprint(new_certificate(told))}


async def test_a_car_whose_hub_identity_is_another_is_not_shut_out(car: Car) -> None:
    """It connects with a certificate that was never enrolled: replacing that at the hub would be its end."""
    rotation_id = await offered(car)
    await allow_certificates(car.vehicle_id, Thumbprints("AB" * 32))
    await service.hear([car.asks(rotation_id, new_key())])
    assert await car.accepted() == {"AB" * 32}
    assert await parked(car) == ["foreign-identity"]


async def test_a_vehicle_that_the_hub_does_not_know_stops_no_scan(pki: Pki, car: Car) -> None:
    absent = Car(pki)
    while part_of(absent) != part_of(car):
        absent = Car(pki)
    await service.obey(enrolment(absent))
    await scan(car)
    assert (await credentials(absent)).under_way.phase is Phase.OFFERED
    assert (await car.told())["phase"] == "offered"
