"""Lists what was set aside, and why."""

import json
import os
import sys

from localcloud.configuration import load
from localcloud.layout import Layout
from shared import connections
from shared.errors import Unavailable
from shared.messaging import parking


async def show(layout: Layout, *, source: str | None, as_json: bool) -> int:
    """Prints the parked messages of a running local cloud, newest first within each source; returns the exit code."""
    os.environ.update(load().settings_for(layout))  # also where the environment names another cloud
    try:
        found = [item async for item in parking.parked(source)]
    except Unavailable as error:
        where = f"{layout.address}:{layout.table_port}"
        print(f"error: {error}: is the local cloud up (`make up`), with its tables on {where}?", file=sys.stderr)
        return 3
    finally:
        await connections.close()
    rows = [item.as_json() for item in found]
    if as_json:
        print(json.dumps({"parked": rows}, indent=2))
        return 0
    for row in rows:
        sender = f", from {row['vehicle_id']}" if row["vehicle_id"] else ""
        print(f"{str(row['arrived_at'])[:19]}  {row['source']}{sender}: {row['reason']}")
        print(f"    {row['detail']}")
    print(f"{len(rows)} parked" if rows else "Nothing is parked.")
    return 0
