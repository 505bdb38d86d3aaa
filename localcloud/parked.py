"""Lists what was set aside, and why."""

import json
import os

from rich.console import Console
from rich.table import Table

from localcloud.layout import Layout
from localcloud.services import app_settings
from shared import connections
from shared.messaging import parking


async def show(layout: Layout, *, source: str | None, as_json: bool) -> None:
    """Prints the parked messages of a running local cloud, newest first within each source."""
    for name, value in app_settings(layout).items():
        os.environ.setdefault(name, value)
    try:
        found = [item async for item in parking.parked(source)]
    finally:
        await connections.close()
    rows = [
        {
            "source": item.origin.source,
            "arrived_at": item.origin.arrived_at.isoformat(),
            "vehicle_id": item.origin.vehicle_id,
            "reason": item.code,
            "detail": item.detail,
            "position": item.origin.position,
            "blob": item.blob,
        }
        for item in found
    ]
    if as_json:
        print(json.dumps({"parked": rows}, indent=2))
        return
    if not rows:
        print("Nothing is parked.")
        return
    table = Table(title=f"{len(rows)} parked", title_justify="left")
    for column in ("source", "arrived_at", "vehicle_id", "reason", "detail"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(row[str(column.header)] or "") for column in table.columns))
    Console().print(table)
