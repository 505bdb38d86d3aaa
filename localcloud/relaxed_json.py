"""JSON as .NET reads it in its configuration files: with comments, and commas before a closing brace.

host.json, local.settings.json, and the Config.json of Microsoft's emulators, whose own samples have comments.
"""

import json
import re
from typing import Any

_COMMENT = r"//[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/"
# A string first, so that what looks like a comment within one stays.
_PART = re.compile(rf'"(?:\\.|[^"\\])*"|{_COMMENT}|,(?=(?:\s|{_COMMENT})*+[}}\]])', re.DOTALL)


def loads(text: str) -> Any:
    """Raises `ValueError` for what is no JSON even so; its line numbers are those of `text`."""
    return json.loads(_PART.sub(lambda found: found[0] if found[0].startswith('"') else _blank(found[0]), text))


def _blank(text: str) -> str:
    return re.sub(r"\S", " ", text)
