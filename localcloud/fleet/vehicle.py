"""The reference vehicle: what a telematics unit has to do, over whichever link."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import msgspec

from localcloud.clock import Clock, from_epoch_ms, to_epoch_ms, utc_now
from localcloud.fleet.certificates import CertificateRotation
from localcloud.fleet.disorder import Disorder, Disordered, scramble
from localcloud.fleet.garage import Garage
from localcloud.fleet.link import (
    Callbacks,
    HubLink,
    HubUnreachableError,
    LinkMaker,
    MessageType,
    MethodAnswer,
    patiently,
)
from localcloud.fleet.logbook import Drive, Logbook, ShownMessage
from localcloud.fleet.reactor import Reactor
from localcloud.fleet.telemetry import SAMPLES_PER_MESSAGE, Sample, TelemetryMessage, pack
from localcloud.fleet.twin import DesiredProperties
from localcloud.fleet.updates import Objection, Updater, UpdateReport

_UNKNOWN_METHOD: Final = 404
_BAD_PAYLOAD: Final = 400


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the vehicle waits before it tries again."""

    download_s: Sequence[float] = (1.0, 5.0, 30.0)
    twin_s: float = 2.0
    certificate_s: float = 1.0  # at first, then twice as long each time
    longest_certificate_s: float = 300.0


class _ShowMessage(msgspec.Struct, frozen=True):
    message_id: str
    category: str
    title: str
    body: str
    language: str


def no_objection(_: object) -> None:
    """A vehicle that takes every update."""


class Vehicle:
    """One vehicle with its garage and its link. Twin and methods are served in the background while it is connected."""

    def __init__(
        self,
        garage: Garage,
        make_link: LinkMaker,
        *,
        clock: Clock = utc_now,
        objection: Objection = no_objection,
        patience: Patience | None = None,
    ) -> None:
        patience = patience or Patience()
        self.log = Logbook()
        self._garage = garage
        self._clock = clock
        self._twin_retry_s = patience.twin_s
        self._position: tuple[float | None, float | None] = (None, None)
        self._link: HubLink = make_link(
            garage.vehicle_id, garage.credentials, Callbacks(self._connected, self._patched, self._called)
        )
        self._updater = Updater(
            garage,
            self._link,
            clock,
            objection=objection,
            retry_pauses_s=patience.download_s,
            reported=self._note_report,
        )
        rotation = CertificateRotation(
            garage,
            self._link,
            clock,
            first_retry_s=patience.certificate_s,
            longest_retry_s=patience.longest_certificate_s,
        )
        self._desired = DesiredProperties()
        self._reactors = {
            "update": Reactor("update", self._updater.react, patience.twin_s),
            "certificate": Reactor("certificate", rotation.react, patience.twin_s),
        }
        self._sync: asyncio.Task[None] | None = None
        self._synced = asyncio.Event()

    @property
    def vehicle_id(self) -> str:
        return self._garage.vehicle_id

    @property
    def software_version(self) -> str:
        return self._garage.software.version

    @property
    def certificate_serial(self) -> int | None:
        """Of the certificate that the hub accepted last; None before the first connection."""
        credential = self._link.credential
        return None if credential is None else credential.serial

    async def connect(self) -> None:
        """Returns when the vehicle is connected and knows the cloud's wishes.

        Raises `HubRefusedError` and `HubUnreachableError`. Later losses of the connection are mended by themselves.
        """
        await self._link.connect()
        await self._synced.wait()

    async def drive(
        self,
        samples: Iterable[Sample],
        *,
        disorder: Disorder | None = None,
        samples_per_message: int = SAMPLES_PER_MESSAGE,
        pause_s: float = 0.0,
    ) -> Drive:
        """Sends one power cycle's samples and returns when the hub has taken all of them.

        `pause_s` between two messages; 0 is as fast as the hub takes them. Raises `ValueError` if there are no
        samples, `HubUnreachableError` if the vehicle is closed before it is done.
        """
        boot = self._garage.next_boot()
        messages = list(pack(samples, boot, samples_per_message))
        if not messages:
            raise ValueError("a drive has at least one sample")
        sending = scramble(messages, disorder) if disorder else Disordered(messages, 0, 0)
        await self._send_all(sending.messages, pause_s)
        drive = _account(boot, messages, sending)
        self._position = _last_position(messages) or self._position
        self.log.drives.append(drive)
        return drive

    async def raise_alarm(self, kind: str = "theft", *, alarm_id: str | None = None) -> str:
        """Sends an alarm from where the last drive ended, and returns its id; pass that to repeat the alarm."""
        alarm_id = alarm_id or str(uuid4())
        lat, lon = self._position
        at = to_epoch_ms(self._clock())
        alarm = {"v": 1, "alarm_id": alarm_id, "kind": kind, "at": at, "lat": lat, "lon": lon}
        await self._link.send(MessageType.ALERT, msgspec.json.encode(alarm))
        self.log.alarms.append(alarm_id)
        return alarm_id

    async def settle(self) -> None:
        """Returns when the vehicle has done all that it knows the cloud to wish."""
        for reactor in self._reactors.values():
            await reactor.settle()

    async def close(self) -> None:
        """Switches the unit off. What the hub had not taken yet is lost, as in a car without power."""
        for reactor in self._reactors.values():
            await reactor.stop()
        if self._sync is not None:
            self._sync.cancel()
            await asyncio.wait({self._sync})
        await self._link.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self.close()

    # -- sending ----------------------------------------------------------------------------------------------------

    async def _send_all(self, messages: Sequence[TelemetryMessage], pause_s: float) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for message in messages:
                    group.create_task(self._link.send(MessageType.TELEMETRY, message.encode()))
                    if pause_s:
                        await asyncio.sleep(pause_s)
        except ExceptionGroup as failed:  # all for the same reason
            raise failed.exceptions[0] from None

    def _note_report(self, report: UpdateReport) -> None:
        self.log.ota_reports.append((report.campaign_id, report.version, report.status))

    # -- the twin ---------------------------------------------------------------------------------------------------

    def _connected(self) -> None:
        # Patches of the time without a connection are gone; the whole tells what they said.
        previous, self._sync = self._sync, asyncio.create_task(self._read_twin())
        if previous is not None:
            previous.cancel()

    def _patched(self, patch: Mapping[str, Any]) -> None:
        if not self._desired.apply(patch):
            self._connected()
            return
        for name, reactor in self._reactors.items():
            if name in patch:
                reactor.wish(self._desired[name], again=True)

    async def _read_twin(self) -> None:
        with suppress(HubUnreachableError):
            await patiently(self._follow_twin, self._twin_retry_s)
            self._synced.set()

    async def _follow_twin(self) -> None:
        twin = await self._link.get_twin()
        if (twin.reported.get("software") or {}).get("version") != self.software_version:
            await self._updater.report_version()
        self._desired.replace(twin.desired)
        for name, reactor in self._reactors.items():
            reactor.wish(self._desired[name])

    # -- direct methods ---------------------------------------------------------------------------------------------

    async def _called(self, method: str, payload: Any) -> MethodAnswer:
        if method != "showMessage":
            return MethodAnswer(_UNKNOWN_METHOD, {"error": f"there is no method {method}"})
        try:
            message = msgspec.convert(payload, _ShowMessage)
        except msgspec.ValidationError as error:
            return MethodAnswer(_BAD_PAYLOAD, {"error": str(error)})
        shown = self._garage.remember_message(message.message_id)
        if shown:
            self.log.shown.append(ShownMessage(**msgspec.structs.asdict(message)))
        else:
            self.log.repeated_messages += 1
        return MethodAnswer(200, {"shown": shown})


def _last_position(messages: Sequence[TelemetryMessage]) -> tuple[float, float] | None:
    for message in reversed(messages):
        for sample in reversed(message.samples):
            if sample.lat is not None and sample.lon is not None:
                return sample.lat, sample.lon
    return None


def _account(boot: str, messages: Sequence[TelemetryMessage], sent: Disordered[TelemetryMessage]) -> Drive:
    samples = [sample for message in messages for sample in message.samples]
    odometer_km = [sample.odo_km for sample in samples if sample.odo_km is not None]
    return Drive(
        boot=boot,
        started_at=from_epoch_ms(samples[0].t),
        ended_at=from_epoch_ms(samples[-1].t),
        distance_km=odometer_km[-1] - odometer_km[0] if odometer_km else None,
        samples=len(samples),
        messages=len(messages),
        duplicated=sent.duplicated,
        reordered=sent.reordered,
    )
