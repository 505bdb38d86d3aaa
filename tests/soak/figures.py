"""What a process costs, from /proc, and what a run reports."""

import gc
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

MIB = 1 << 20
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_OPEN_STATES = ("01", "08")  # established, or closed by the other side only
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Report:
    """The figures of a run and what went wrong in it."""

    name: str
    figures: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def check(self, holds: bool, failure: str) -> None:
        if not holds:
            self.failures.append(failure)

    def lines(self) -> list[str]:
        figures = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        verdict = "failed" if self.failures else "held"
        return [f"{self.name}: {verdict}. {figures}", *(f"  ! {failure}" for failure in self.failures)]


def rss_bytes(pid: int) -> int:
    """Resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def cpu_s(pid: int) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def open_connections(address: str, port: int) -> int:
    """How many connections to a server here it has not closed."""
    local = f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1] == local and row[3] in _OPEN_STATES for row in rows)


def mib(size_bytes: float) -> float:
    return round(size_bytes / MIB, 1)


def spread_mib(samples: Iterable[int]) -> str:
    """Smallest, median and largest of sizes."""
    sizes = list(samples)
    return f"{mib(min(sizes))}/{mib(median(sizes))}/{mib(max(sizes))} MiB"


def living(*kinds: type) -> int:
    """How many objects of these kinds there are in this process."""
    gc.collect()
    return sum(isinstance(one, kinds) for one in gc.get_objects())
