"""What the demo shows: progress while it runs, a summary at its end."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from localcloud.demo.outcome import Outcome


class Screen:
    """A bar for each job, filled as the cloud gets on."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._bars: dict[str, TaskID] = {}

    def show(self, outcome: Outcome) -> None:
        """Brings the bars up to what was observed."""
        for name, done, of in (
            ("trips summarised", outcome.trips.summarised, outcome.trips.driven),
            ("updates installed", outcome.ota.succeeded, outcome.vehicles),
            ("certificates rotated", outcome.certificates.rotated, outcome.certificates.due),
            ("notifications delivered", outcome.notifications.delivered, outcome.notifications.due),
        ):
            if name not in self._bars:
                self._bars[name] = self.progress.add_task(name, total=of)
            self.progress.update(self._bars[name], completed=done, total=of)


def summarise(console: Console, outcome: Outcome) -> None:
    """The readable result."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    telemetry, trips, ota = outcome.telemetry, outcome.trips, outcome.ota
    certificates, notifications = outcome.certificates, outcome.notifications
    table.add_row(
        "telemetry",
        f"{telemetry.messages} messages with {telemetry.samples} samples from {outcome.vehicles} vehicles, "
        f"{telemetry.duplicated} sent twice, {telemetry.reordered} out of order",
    )
    table.add_row(
        "trips",
        f"{trips.summarised} of {trips.driven} summarised, distance at most {trips.distance_error_pct_max} % off",
    )
    table.add_row("updates", f"{ota.succeeded} of {ota.targeted} succeeded, {ota.failed} failed")
    table.add_row(
        "certificates",
        f"{certificates.rotated} of {certificates.due} due rotated, {certificates.locked_out} vehicles locked out",
    )
    table.add_row(
        "notifications",
        f"{notifications.delivered} of {notifications.due} delivered, {notifications.duplicates} duplicates",
    )
    table.add_row("set aside, lost", f"{outcome.parked} parked, {outcome.lost} lost")
    console.print(table)
    for complaint in outcome.complaints:
        console.print(f"[red]✗[/] {complaint}", highlight=False)
    verdict = "[green]✓ everything held" if outcome.ok else f"[red]✗ {len(outcome.complaints)} things did not hold"
    console.print(f"{verdict}[/] after {outcome.elapsed_s:.0f} s")
