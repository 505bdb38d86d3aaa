"""The published contract of telemetry, to hold messages against."""

import json
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

_FILE = Path(__file__).parents[1] / "docs" / "schemas" / "telemetry-1.schema.json"

SCHEMA: Final[dict[str, Any]] = json.loads(_FILE.read_bytes())
CONTRACT: Final = Draft202012Validator(SCHEMA)
