"""Installing software over the air: download, check, install, and a report of each step."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

from localcloud.clock import Clock, to_epoch_ms
from localcloud.fleet.downloads import DownloadError, LinkExpiredError, TransferError, download
from localcloud.fleet.garage import Garage, Software, UpdateOutcome
from localcloud.fleet.link import HubLink, MessageType

_log = logging.getLogger(__name__)


class UpdateOffer(msgspec.Struct, frozen=True):
    """The desired property `update`."""

    campaign_id: str
    version: str
    url: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$")]
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]
    title: str = ""


class Status(StrEnum):
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    INSTALLING = "installing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    LINK_EXPIRED = "link-expired"


_FINAL: Final = {Status.FAILED, Status.REJECTED, Status.LINK_EXPIRED}


class UpdateReport(msgspec.Struct, frozen=True):
    campaign_id: str
    version: str
    status: Status
    at: int  # epoch milliseconds
    reason: str | None = None
    v: int = 1


Objection = Callable[[UpdateOffer], str | None]
"""Why the vehicle does not take an update now, or None if it does: battery, place, the driver's no."""


class Updater:
    """Fulfils the cloud's wish for another software version."""

    def __init__(
        self,
        garage: Garage,
        link: HubLink,
        clock: Clock,
        *,
        objection: Objection,
        retry_pauses_s: Sequence[float],
        reported: Callable[[UpdateReport], None],
    ) -> None:
        self._garage = garage
        self._link = link
        self._clock = clock
        self._objection = objection
        self._retry_pauses_s = retry_pauses_s
        self._reported = reported

    async def react(self, desired: Mapping[str, Any]) -> None:
        """Raises `msgspec.ValidationError` for an offer that makes no sense, `HubUnreachableError`."""
        offer = msgspec.convert(desired, UpdateOffer)
        if self._garage.software.version == offer.version:
            await self._succeed(offer)
            return
        outcome = self._garage.update_outcome()
        if outcome is not None and outcome.offer == _identity(offer):
            await self._send(msgspec.json.decode(outcome.report, type=UpdateReport))
            return
        if (reason := self._objection(offer)) is not None:
            await self._report(offer, Status.REJECTED, reason)
            return
        try:
            await self._update(offer)
        except LinkExpiredError:
            await self._report(offer, Status.LINK_EXPIRED)
        except DownloadError as error:
            await self._report(offer, Status.FAILED, str(error))
        except OSError as error:
            await self._report(offer, Status.FAILED, f"the disk does not take it: {error.strerror}")

    async def report_version(self) -> None:
        """Tells the twin which software runs. Raises as a link's `report`."""
        await self._link.report({"software": {"version": self._garage.software.version}})

    async def _update(self, offer: UpdateOffer) -> None:
        await self._report(offer, Status.DOWNLOADING)
        await self._download(offer)
        await self._report(offer, Status.DOWNLOADED)
        await self._report(offer, Status.INSTALLING)
        self._garage.install(Software(offer.version, offer.sha256.lower()))
        await self._succeed(offer)

    async def _download(self, offer: UpdateOffer) -> None:
        target = self._garage.artifact(offer.sha256.lower())
        for pause_s in self._retry_pauses_s:
            try:
                return await download(offer.url, target, sha256=offer.sha256, size_bytes=offer.size_bytes)
            except TransferError as error:
                _log.info("%s: %s; once more in %g s", self._garage.vehicle_id, error, pause_s)
            await asyncio.sleep(pause_s)
        return await download(offer.url, target, sha256=offer.sha256, size_bytes=offer.size_bytes)

    async def _succeed(self, offer: UpdateOffer) -> None:
        await self.report_version()  # before the message: who reads that may look at the twin
        await self._report(offer, Status.SUCCEEDED)

    async def _report(self, offer: UpdateOffer, status: Status, reason: str | None = None) -> None:
        report = UpdateReport(offer.campaign_id, offer.version, status, to_epoch_ms(self._clock()), reason)
        if status in _FINAL:
            self._garage.keep_update_outcome(UpdateOutcome(_identity(offer), msgspec.Raw(msgspec.json.encode(report))))
        await self._send(report)

    async def _send(self, report: UpdateReport) -> None:
        await self._link.send(MessageType.OTA, msgspec.json.encode(report))
        self._reported(report)


def _identity(offer: UpdateOffer) -> str:
    """Changes with everything that makes another try worth while, above all a fresh link."""
    return msgspec.json.encode((offer.campaign_id, offer.version, offer.url, offer.sha256, offer.size_bytes)).decode()
