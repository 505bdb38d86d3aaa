"""What a vehicle keeps on its disk."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from localcloud.fleet.files import write_atomically
from localcloud.fleet.garage import Garage, PendingRotation, Software
from localcloud.fleet.identity import key_from_pem, new_key
from localcloud.pki import Pki, issue_device_certificate
from tests.fleet.power import PowerCut, PowerSwitch


def build(directory: Path, pki: Pki) -> Garage:
    key, now = new_key(), datetime.now(UTC)
    certificate = issue_device_certificate(
        pki, "car-1", key.public_key(), not_before=now, not_after=now + timedelta(days=1)
    )
    return Garage.create(directory, "car-1", key, certificate, software_version="1.0.0")


def test_a_power_cycle_has_a_name_of_its_own_in_all_lives_of_a_vehicle(tmp_path: Path, pki: Pki) -> None:
    """A restart counts on; a new unit of the same vehicle id counts under another name."""
    boots = [build(tmp_path, pki).next_boot(), Garage(tmp_path).next_boot(), build(tmp_path, pki).next_boot()]
    assert len(set(boots)) == 3
    assert all(len(boot) <= 36 and boot.replace("-", "").isalnum() for boot in boots)


def test_a_new_vehicle_inherits_nothing(tmp_path: Path, pki: Pki) -> None:
    garage = build(tmp_path, pki)
    garage.keep_next_identity(b"-", None)
    garage.keep_rotation(PendingRotation("r1", "key", "csr"))
    garage.install(Software("2.0.0"))
    garage.remember_message("m1")
    again = build(tmp_path, pki)
    assert again.pending_rotation() is None
    assert len(again.credentials()) == 1
    assert again.software == Software("1.0.0")
    assert again.remember_message("m1")


def test_messages_are_remembered_across_restarts_but_not_for_ever(tmp_path: Path, pki: Pki) -> None:
    assert build(tmp_path, pki).remember_message("first")
    garage = Garage(tmp_path)
    assert not garage.remember_message("first")
    assert all(garage.remember_message(f"m{number}") for number in range(1000))
    assert garage.remember_message("first")


def test_there_is_no_vehicle_in_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Garage(tmp_path)


def test_private_keys_are_for_nobody_else(tmp_path: Path, pki: Pki) -> None:
    build(tmp_path, pki)
    assert (tmp_path / "identity.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("moments", [0, 1])
def test_a_file_is_old_or_new_but_never_a_part(tmp_path: Path, power: PowerSwitch, moments: int) -> None:
    file = tmp_path / "file"
    write_atomically(file, b"old")
    power.cut_after(moments)
    with pytest.raises(PowerCut):
        write_atomically(file, b"new and longer")
    assert file.read_bytes() == (b"old", b"new and longer")[moments]


def test_only_an_elliptic_curve_key_is_a_vehicles_key(pki: Pki) -> None:
    with pytest.raises(ValueError, match="PEM"):
        key_from_pem(pki.root.read_bytes()[:20])
