"""What a vehicle really did, to be compared with what the cloud says it did."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Drive:
    """One power cycle, all of whose messages the hub has taken."""

    boot: str
    started_at: datetime  # by the stamp of its first sample
    ended_at: datetime  # by the stamp of its last sample
    distance_km: float | None  # by the odometer; None if that was not measured
    samples: int
    messages: int  # different ones
    duplicated: int  # copies beyond the first
    reordered: int  # messages sent after one that was meant to follow


@dataclass(frozen=True, slots=True)
class ShownMessage:
    message_id: str
    category: str
    language: str
    title: str
    body: str


@dataclass(slots=True)
class Logbook:
    drives: list[Drive] = field(default_factory=list)
    shown: list[ShownMessage] = field(default_factory=list)
    repeated_messages: int = 0  # in-car messages that came again and were not shown
    alarms: list[str] = field(default_factory=list)
    ota_reports: list[tuple[str, str, str]] = field(default_factory=list)  # campaign, version, status

    @property
    def messages(self) -> int:
        """Telemetry messages sent, without copies."""
        return sum(drive.messages for drive in self.drives)

    @property
    def samples(self) -> int:
        return sum(drive.samples for drive in self.drives)

    @property
    def duplicated(self) -> int:
        return sum(drive.duplicated for drive in self.drives)

    @property
    def reordered(self) -> int:
        return sum(drive.reordered for drive in self.drives)
