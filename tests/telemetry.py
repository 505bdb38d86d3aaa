"""Telemetry messages for tests, made of rows, and the contract that they keep (docs/vehicle-protocol.md, telemetry)."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

_FILE = Path(__file__).parents[1] / "docs" / "schemas" / "telemetry-1.schema.json"

SCHEMA: Final[dict[str, Any]] = json.loads(_FILE.read_bytes())
CONTRACT: Final = Draft202012Validator(SCHEMA)


def packed(samples: Sequence[dict[str, Any]], boot: str, seq: int, **fields: Any) -> bytes:
    """The body of one message. A row is `{"t": epoch milliseconds, "lat": …}`; what it lacks is null in the column.

    A column without any value is left out, one that says the same in all rows has one value. Names are not checked;
    `fields` stand beside the columns or replace them.
    """
    times = [sample["t"] for sample in samples]
    names = dict.fromkeys(name for sample in samples for name in sample if name != "t")
    columns = {name: _column([sample.get(name) for sample in samples]) for name in names}
    columns["t"] = times[:1] + [after - before for before, after in pairwise(times)]
    told = {name: column for name, column in columns.items() if column != [None]}
    return json.dumps({"v": 1, "boot": boot, "seq": seq, **told, **fields}).encode()


def _column(values: list[Any]) -> list[Any]:
    return values[:1] if all(value == values[0] for value in values) else values
