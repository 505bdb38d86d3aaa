"""What a benchmark prints."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A claim, what was measured, and the bare work that bounds it, measured in the same run.

    `goal` bounds the ratio: from below for throughput, from above (`at_most`) for times.
    """

    claim: str
    value: float
    unit: str
    limit: float
    goal: float
    at_most: bool = False

    @property
    def ratio(self) -> float:
        return self.value / self.limit

    @property
    def met(self) -> bool:
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal

    def as_json(self) -> dict[str, Any]:
        row = asdict(self)
        del row["at_most"]
        return {
            **row,
            "value": round(self.value, 3),
            "limit": round(self.limit, 3),
            "ratio": round(self.ratio, 3),
            "met": self.met,
        }

    def __str__(self) -> str:
        bound = "≤" if self.at_most else "≥"
        return (
            f"{self.claim}: {self.value:,.1f} {self.unit}, bare {self.limit:,.1f}, ratio {self.ratio:.2f} "
            f"(goal {bound} {self.goal}: {'met' if self.met else 'missed'})"
        )
