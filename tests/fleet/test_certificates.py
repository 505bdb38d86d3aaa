"""The vehicle's side of a rotation: never without a certificate that is accepted, whatever happens when."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from localcloud.fleet.certificates import CertificateRotation
from localcloud.fleet.garage import Garage
from localcloud.fleet.identity import new_key, signing_request, thumbprint
from localcloud.pki import Pki, issue_device_certificate
from tests.fleet.cloud import DirectLink, RotatingCloud, issue, issued
from tests.fleet.power import PowerCut, PowerSwitch
from tests.fleet.waiting import eventually

VEHICLE_ID = "car-1"


def now() -> datetime:
    return datetime.now(UTC)


def new_garage(directory: Path, pki: Pki) -> Garage:
    key = new_key()
    days = timedelta(days=1)
    certificate = issue_device_certificate(
        pki, VEHICLE_ID, key.public_key(), not_before=now() - days, not_after=now() + days
    )
    return Garage.create(directory, VEHICLE_ID, key, certificate, software_version="1.0.0")


def cloud_for(garage: Garage, pki: Pki, rotation_id: str = "r1") -> RotatingCloud:
    [credential] = garage.credentials()
    return RotatingCloud(pki, VEHICLE_ID, credential.certificate, rotation_id)


def rotation_of(garage: Garage, link: DirectLink) -> CertificateRotation:
    return CertificateRotation(garage, link, now, first_retry_s=0.01, longest_retry_s=0.02)


async def follow(garage: Garage, cloud: RotatingCloud, power: PowerSwitch | None = None, *, repeat: int = 1) -> None:
    """Switches the vehicle on and lets it do what the cloud wishes, until that is nothing new."""
    link = DirectLink(cloud, garage.credentials, power)
    await link.connect()
    rotation = rotation_of(garage, link)
    done: dict[str, Any] = {}
    while done != cloud.desired:
        done = cloud.desired
        for _ in range(repeat):
            await rotation.react(done)


def assert_rotated(garage: Garage, cloud: RotatingCloud) -> None:
    assert cloud.desired["phase"] == "completed"
    [credential] = garage.credentials()
    assert credential.certificate == cloud.certificate
    assert garage.pending_rotation() is None


async def test_a_rotation_ends_with_the_new_certificate_alone(tmp_path: Path, pki: Pki) -> None:
    garage = new_garage(tmp_path, pki)
    cloud = cloud_for(garage, pki)
    await follow(garage, cloud)
    assert_rotated(garage, cloud)
    assert "identity.pem.new" not in {file.name for file in tmp_path.iterdir()}


async def test_repeated_twin_patches_change_nothing(tmp_path: Path, pki: Pki) -> None:
    garage = new_garage(tmp_path, pki)
    cloud = cloud_for(garage, pki)
    await follow(garage, cloud, repeat=3)
    assert_rotated(garage, cloud)


async def test_a_power_cut_at_any_moment_locks_nobody_out(tmp_path: Path, pki: Pki, power: PowerSwitch) -> None:
    """Whenever it happens, the vehicle connects again afterwards and the rotation goes on to its end."""
    moments = 0
    while True:
        directory = tmp_path / str(moments)
        garage = new_garage(directory, pki)
        cloud = cloud_for(garage, pki)
        power.cut_after(moments)
        try:
            await follow(garage, cloud, power)
        except PowerCut:
            await follow(Garage(directory), cloud)
        if not power.was_cut:
            break
        assert_rotated(Garage(directory), cloud)
        moments += 1
    assert moments == 10  # both messages and each file, before and after; at the end a renaming and a removal


async def test_one_restart_after_the_other_still_ends_well(tmp_path: Path, pki: Pki, power: PowerSwitch) -> None:
    """Each life of the vehicle lasts a little longer than the one before."""
    garage = new_garage(tmp_path, pki)
    cloud = cloud_for(garage, pki)
    for lifetime in range(100):
        power.cut_after(lifetime)
        try:
            await follow(Garage(tmp_path), cloud, power)
        except PowerCut:
            continue
        break
    assert_rotated(Garage(tmp_path), cloud)


async def test_a_refused_new_certificate_leaves_the_vehicle_on_the_old_one(tmp_path: Path, pki: Pki) -> None:
    """It goes on with the old one, tries again, and sends its proof when the hub knows the new one at last."""
    garage = new_garage(tmp_path, pki)
    cloud = cloud_for(garage, pki)
    link = DirectLink(cloud, garage.credentials)
    await link.connect()
    old = link.credential
    rotation = rotation_of(garage, link)
    await rotation.react(cloud.desired)
    assert cloud.certificate is not None
    cloud.accepted.discard(thumbprint(cloud.certificate))  # the hub has not heard of it yet
    reacting = asyncio.create_task(rotation.react(cloud.desired))
    await eventually(lambda: link.connections >= 4)
    assert link.credential == old
    assert not reacting.done()
    cloud.accepted.add(thumbprint(cloud.certificate))
    await asyncio.wait_for(reacting, 10)
    assert cloud.desired["phase"] == "completed"


async def test_a_second_rotation_does_not_cost_the_certificate_of_an_unfinished_one(tmp_path: Path, pki: Pki) -> None:
    """The first was proven, the vehicle missed its completion, and the old certificate is refused since."""
    garage = new_garage(tmp_path, pki)
    cloud = cloud_for(garage, pki)
    link = DirectLink(cloud, garage.credentials)
    await link.connect()
    rotation = rotation_of(garage, link)
    await rotation.react(cloud.desired)
    await rotation.react(cloud.desired)
    assert cloud.desired["phase"] == "completed"
    assert cloud.certificate is not None
    second = RotatingCloud(pki, VEHICLE_ID, cloud.certificate, "r2")
    await follow(Garage(tmp_path), second)
    assert_rotated(Garage(tmp_path), second)


async def test_a_power_cut_in_a_second_rotation_locks_nobody_out(tmp_path: Path, pki: Pki, power: PowerSwitch) -> None:
    moments = 0
    while True:
        directory = tmp_path / str(moments)
        garage = new_garage(directory, pki)
        cloud = cloud_for(garage, pki)
        link = DirectLink(cloud, garage.credentials)
        await link.connect()
        for _ in range(2):
            await rotation_of(garage, link).react(cloud.desired)
        assert cloud.certificate is not None
        second = RotatingCloud(pki, VEHICLE_ID, cloud.certificate, "r2")
        power.cut_after(moments)
        try:
            await follow(garage, second, power)
        except PowerCut:
            await follow(Garage(directory), second)
        if not power.was_cut:
            break
        assert_rotated(Garage(directory), second)
        moments += 1
    assert moments == 11  # one more than otherwise: the first rotation's certificate takes the place of the old one


async def test_a_refusal_drops_the_pending_key_and_nothing_else(tmp_path: Path, pki: Pki) -> None:
    garage = new_garage(tmp_path, pki)
    cloud = cloud_for(garage, pki)
    before = garage.credentials()
    link = DirectLink(cloud, garage.credentials)
    await link.connect()
    rotation = rotation_of(garage, link)
    await rotation.react(cloud.desired)
    await rotation.react({"rotation_id": "another", "phase": "refused", "reason": "not yours"})
    assert garage.pending_rotation() is not None
    await rotation.react({"rotation_id": "r1", "phase": "refused", "reason": "weak"})
    assert garage.pending_rotation() is None
    assert garage.credentials() == before


async def test_a_vehicle_that_lost_its_new_key_asks_again(tmp_path: Path, pki: Pki) -> None:
    garage = new_garage(tmp_path, pki)
    cloud = cloud_for(garage, pki)
    link = DirectLink(cloud, garage.credentials)
    await link.connect()
    rotation = rotation_of(garage, link)
    await rotation.react(cloud.desired)
    garage.drop_rotation()
    delivered, cloud.desired = cloud.desired, {"rotation_id": "r1", "phase": "offered"}
    await rotation.react(delivered)
    await rotation.react(cloud.desired)
    await rotation.react(cloud.desired)
    assert_rotated(garage, cloud)


@pytest.mark.parametrize("fault", ["key", "name", "issuer", "expired", "no nonce", "garbage"])
async def test_a_certificate_that_is_not_its_own_is_not_taken(tmp_path: Path, pki: Pki, fault: str) -> None:
    garage = new_garage(tmp_path, pki)
    cloud = cloud_for(garage, pki)
    before = garage.credentials()
    link = DirectLink(cloud, garage.credentials)
    await link.connect()
    rotation = rotation_of(garage, link)
    await rotation.react(cloud.desired)
    pending = garage.pending_rotation()
    assert pending is not None
    certificate = issue(pki, VEHICLE_ID, pending.csr)
    wish = issued(pki, "r1", certificate)
    match fault:
        case "key":
            wish = issued(pki, "r1", issue(pki, VEHICLE_ID, signing_request(new_key(), VEHICLE_ID)))
        case "name":
            wish = issued(pki, "r1", issue(pki, "another", pending.csr))
        case "issuer":
            wish["issuer"] = pki.root.read_text()
        case "expired":
            past = {"not_before": now() - timedelta(days=9), "not_after": now() - timedelta(days=1)}
            wish = issued(pki, "r1", issue_device_certificate(pki, VEHICLE_ID, certificate.public_key(), **past))
        case "no nonce":
            del wish["nonce"]
        case "garbage":
            wish["certificate"] = "-----BEGIN CERTIFICATE-----\nnope\n-----END CERTIFICATE-----\n"
    await rotation.react(wish)
    assert garage.credentials() == before
    assert cloud.desired["phase"] == "issued"  # no proof was sent


async def test_completion_of_another_rotation_is_ignored(tmp_path: Path, pki: Pki) -> None:
    garage = new_garage(tmp_path, pki)
    cloud = cloud_for(garage, pki)
    link = DirectLink(cloud, garage.credentials)
    await link.connect()
    rotation = rotation_of(garage, link)
    await rotation.react(cloud.desired)
    await rotation.react({"rotation_id": "earlier", "phase": "completed"})
    assert garage.pending_rotation() is not None
