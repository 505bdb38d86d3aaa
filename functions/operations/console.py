"""The console's page: what is parked, and why. Details quote what vehicles sent, so everything is escaped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",  # the address holds the function key
    "Cache-Control": "no-store",
}

_templates = SandboxedEnvironment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_page = _templates.from_string((Path(__file__).parent / "templates" / "console.html").read_text(encoding="utf-8"))


def render(parked: Sequence[Mapping[str, Any]], source: str | None, *, sources: Sequence[str]) -> str:
    """The page for these parked messages, newest first; `source` is the one that was asked for, if any."""
    counts = Counter(item["source"] for item in parked)
    return _page.render(parked=parked, counts=counts, source=source, sources=sources)
