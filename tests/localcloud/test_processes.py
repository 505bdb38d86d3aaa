"""Child processes of the local cloud."""

import sys
from pathlib import Path

import pytest

from localcloud.layout import StartFailed
from localcloud.processes import Child


@pytest.mark.parametrize(
    ("script", "words"), [("", ""), ("import sys; print('no luck', file=sys.stderr)", ": no luck")]
)
async def test_last_words_are_those_of_this_run(tmp_path: Path, script: str, words: str) -> None:
    """The log has those of earlier runs too, which would lead astray."""
    log = tmp_path / "service.log"
    log.write_text("what an earlier run said\n")
    child = await Child.start("service", [sys.executable, "-c", script], log=log)
    with pytest.raises(StartFailed) as failed:
        await child.until_ready()
    assert f"{failed.value}" == "service did not start (exit code 0)" + words
    assert log.read_text().startswith("what an earlier run said\n")


async def test_a_service_that_does_not_get_ready_is_told_with_its_reason(tmp_path: Path) -> None:
    """Not with what it logs when it is stopped for that."""
    script = "import sys, time; print('waiting for godot', file=sys.stderr, flush=True); time.sleep(60)"
    child = await Child.start("service", [sys.executable, "-c", script], log=tmp_path / "service.log")
    try:
        with pytest.raises(StartFailed, match=r"^service did not get ready within 5 s: waiting for godot; see .*log$"):
            await child.until_ready(5)
    finally:
        await child.kill()
