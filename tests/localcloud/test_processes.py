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
