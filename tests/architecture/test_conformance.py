"""What the project says of its conformance suite, held against the suite."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_documented_behaviours_is_that_of_the_suite() -> None:
    """`python -m tests.conformance > docs/conformance.md` brings it up to date."""
    command = [sys.executable, "-m", "tests.conformance"]
    page = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=100).stdout
    assert (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8") == page
    assert len(re.findall(r"^\| .* \| \[.*\]\(https://.*\) \|$", page, re.MULTILINE)) >= 400
