"""Telemetry messages for tests, made of rows (docs/vehicle-protocol.md, telemetry).

Imports nothing but the standard library: the interpreter of Microsoft's worker has no packages for tests.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any


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
