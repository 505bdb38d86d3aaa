"""The vehicle's side of an update: what it reports and what is on its disk, whatever happens when."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from localcloud.fleet.garage import Garage
from localcloud.fleet.identity import new_key
from localcloud.fleet.link import MessageType, Twin
from localcloud.fleet.updates import UpdateOffer, Updater
from localcloud.pki import Pki, issue_device_certificate
from tests.fleet.depot import ARTIFACT, Depot, running_depot
from tests.fleet.power import PowerCut, PowerSwitch

WHOLE_WAY = ["downloading", "downloaded", "installing", "succeeded"]


class RecordingLink:
    """A `HubLink` that keeps what the vehicle says."""

    credential = None

    def __init__(self, power: PowerSwitch | None = None) -> None:
        self.reports: list[dict[str, Any]] = []
        self.reported: dict[str, Any] = {}
        self._power = power or PowerSwitch()

    async def send(self, message_type: MessageType, body: bytes) -> None:
        assert message_type == MessageType.OTA
        self._power.moment()
        self.reports.append(msgspec.json.decode(body))
        self._power.moment()

    async def report(self, properties: Mapping[str, Any]) -> None:
        self.reported.update(properties)

    @property
    def statuses(self) -> list[str]:
        return [report["status"] for report in self.reports]

    async def connect(self) -> None:
        raise NotImplementedError("not asked for here")

    async def reconnect(self) -> None:
        raise NotImplementedError("not asked for here")

    async def get_twin(self) -> Twin:
        raise NotImplementedError("not asked for here")

    async def close(self) -> None:
        raise NotImplementedError("not asked for here")


@pytest.fixture
async def depot() -> AsyncIterator[Depot]:
    async with running_depot() as depot:
        yield depot


@pytest.fixture
def garage(tmp_path: Path, pki: Pki) -> Garage:
    return new_garage(tmp_path / "car", pki)


def new_garage(directory: Path, pki: Pki) -> Garage:
    key, now = new_key(), datetime.now(UTC)
    certificate = issue_device_certificate(pki, "car-1", key.public_key(), not_before=now, not_after=now)
    return Garage.create(directory, "car-1", key, certificate, software_version="1.0.0")


def updater(
    garage: Garage, link: RecordingLink, objection: Callable[[UpdateOffer], str | None] = lambda _: None
) -> Updater:
    def clock() -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC)

    return Updater(garage, link, clock, objection=objection, retry_pauses_s=(0, 0), reported=lambda _: None)


def assert_installed(garage: Garage, version: str = "2.0.0") -> None:
    assert garage.software.version == version
    assert garage.software.sha256 is not None
    assert [file.name for file in garage.artifacts.iterdir()] == [garage.software.sha256]
    assert garage.artifact(garage.software.sha256).read_bytes() == ARTIFACT


def assert_untouched(garage: Garage) -> None:
    assert garage.software.version == "1.0.0"
    assert list(garage.artifacts.iterdir()) == []


async def test_an_update_is_downloaded_checked_installed_and_reported(garage: Garage, depot: Depot) -> None:
    link = RecordingLink()
    await updater(garage, link).react(depot.offer())
    assert link.statuses == WHOLE_WAY
    assert link.reports[0] == {
        "v": 1,
        "campaign_id": "spring",
        "version": "2.0.0",
        "status": "downloading",
        "at": 1_772_323_200_000,
        "reason": None,
    }
    assert link.reported == {"software": {"version": "2.0.0"}}
    assert_installed(garage)


async def test_a_version_that_runs_already_is_a_success_without_a_download(garage: Garage, depot: Depot) -> None:
    link = RecordingLink()
    await updater(garage, link).react(depot.offer("1.0.0"))
    assert link.statuses == ["succeeded"]
    assert link.reported == {"software": {"version": "1.0.0"}}
    assert depot.requests == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (ARTIFACT[:-1] + b"!", "SHA-256"),
        (ARTIFACT[:-1], "bytes"),
        (ARTIFACT * 8, "bytes"),
        (b"", "bytes"),
    ],
    ids=["corrupt", "short", "long", "empty"],
)
async def test_a_file_that_is_not_what_was_announced_fails_with_a_reason(
    garage: Garage, depot: Depot, content: bytes, reason: str
) -> None:
    depot.content = content
    link = RecordingLink()
    await updater(garage, link).react(depot.offer())
    assert link.statuses == ["downloading", "failed"]
    assert reason in link.reports[-1]["reason"]
    assert "sig=" not in link.reports[-1]["reason"]
    assert_untouched(garage)


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_expired_link_asks_for_another_and_goes_on_with_it(garage: Garage, depot: Depot, status: int) -> None:
    depot.faults = [status]
    link = RecordingLink()
    await updater(garage, link).react(depot.offer(link="old"))
    assert link.statuses == ["downloading", "link-expired"]
    await updater(garage, link).react(depot.offer(link="new"))
    assert link.statuses[2:] == WHOLE_WAY
    assert_installed(garage)


async def test_passing_trouble_on_the_way_is_bridged(garage: Garage, depot: Depot) -> None:
    depot.faults = [503, 429]
    link = RecordingLink()
    await updater(garage, link).react(depot.offer())
    assert link.statuses == WHOLE_WAY
    assert depot.requests == 3


async def test_lasting_trouble_on_the_way_fails_with_a_reason(garage: Garage, depot: Depot) -> None:
    depot.break_off = True
    link = RecordingLink()
    await updater(garage, link).react(depot.offer())
    assert link.statuses == ["downloading", "failed"]
    assert "broke off" in link.reports[-1]["reason"]
    assert depot.requests == 3
    assert_untouched(garage)


async def test_a_vehicle_may_refuse_and_says_why(garage: Garage, depot: Depot) -> None:
    link = RecordingLink()
    await updater(garage, link, lambda offer: f"not {offer.version} today").react(depot.offer())
    assert link.statuses == ["rejected"]
    assert link.reports[0]["reason"] == "not 2.0.0 today"
    assert depot.requests == 0


async def test_a_repeated_offer_repeats_the_outcome_and_not_the_attempt(garage: Garage, depot: Depot) -> None:
    depot.content = b"wrong"
    link = RecordingLink()
    await updater(garage, link).react(depot.offer())
    await updater(Garage(garage.directory), link).react(depot.offer())
    assert link.statuses == ["downloading", "failed", "failed"]
    assert link.reports[1] == link.reports[2]
    assert depot.requests == 1


async def test_another_campaign_may_succeed_where_one_failed(garage: Garage, depot: Depot) -> None:
    depot.content = b"wrong"
    link = RecordingLink()
    await updater(garage, link).react(depot.offer())
    depot.content = ARTIFACT
    await updater(garage, link).react(depot.offer(campaign="summer"))
    assert link.statuses[2:] == WHOLE_WAY
    assert_installed(garage)


async def test_the_file_of_the_version_before_is_removed(garage: Garage, depot: Depot) -> None:
    link = RecordingLink()
    await updater(garage, link).react(depot.offer())
    depot.content = b"smaller"
    digest = hashlib.sha256(b"smaller").hexdigest()
    await updater(garage, link).react(depot.offer("3.0.0", sha256=digest.upper(), size_bytes=7))
    assert garage.software.version == "3.0.0"
    assert [file.name for file in garage.artifacts.iterdir()] == [digest]


@pytest.mark.parametrize("change", [{"sha256": "../../etc/passwd"}, {"size_bytes": -1}, {"url": None}])
async def test_an_offer_that_makes_no_sense_is_not_begun(garage: Garage, depot: Depot, change: dict[str, Any]) -> None:
    link = RecordingLink()
    with pytest.raises(msgspec.ValidationError):
        await updater(garage, link).react(depot.offer(**change))
    assert link.reports == []


async def test_a_power_cut_at_any_moment_only_costs_time(
    tmp_path: Path, pki: Pki, depot: Depot, power: PowerSwitch
) -> None:
    """After it, the vehicle runs the old version or the new one, whole, and the update comes to its end."""
    moments = 0
    while True:
        directory = tmp_path / str(moments)
        garage = new_garage(directory, pki)
        power.cut_after(moments)
        link = RecordingLink(power)
        try:
            await updater(garage, link).react(depot.offer())
        except PowerCut:
            await updater(Garage(directory), link).react(depot.offer())
        if not power.was_cut:
            break
        assert_installed(Garage(directory))
        assert link.statuses[-1] == "succeeded"
        moments += 1
    assert moments == 12  # four reports, before and after; the artifact and the state, before and after


async def test_a_checked_download_is_not_fetched_again_after_a_restart(
    garage: Garage, depot: Depot, power: PowerSwitch
) -> None:
    power.cut_after(4)  # before the report that it is downloaded
    with pytest.raises(PowerCut):
        await updater(garage, RecordingLink(power)).react(depot.offer())
    link = RecordingLink()
    await updater(Garage(garage.directory), link).react(depot.offer())
    assert link.statuses == WHOLE_WAY
    assert depot.requests == 1
