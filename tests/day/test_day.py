"""The short form of `python -m tests.day`: the same code with fewer cars."""

from pathlib import Path

from tests.day.run import Options, run

SHORT = Options(
    cars=range(30), seed=4, at_once=6, sweep_every_s=1, close_after_s=2, lateness_s=3, close_by_command=True
)


async def test_every_drive_is_summarised_once_whatever_breaks_meanwhile(tmp_path: Path) -> None:
    """The host is killed twice and the broker once while the cars send."""
    report = await run(tmp_path, SHORT, print)
    assert not report.failures, "\n".join(report.lines())
    assert report.figures["kills"] == {"host": 2, "broker": 1}
