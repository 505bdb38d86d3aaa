"""A local cloud for the length of one command: on free ports, in a folder of its own that is gone afterwards."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from localcloud.layout import Layout, make_folder
from localcloud.services import LocalCloud, running, while_whole


@asynccontextmanager
async def workspace(directory: Path, name: str, settings: Mapping[str, str] | None = None) -> AsyncIterator[LocalCloud]:
    """If the block fails its folder stays, with the logs of all services, and the error says where.

    The block is cancelled if a service ends, because it would wait for that service for ever. Raises `StartFailed` and
    `ServiceEnded`.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=make_folder(directory))).resolve()
    try:
        async with running(LocalCloud(Layout(folder).on_free_ports(), settings=settings)) as cloud, while_whole(cloud):
            yield cloud
    except BaseException as error:
        error.add_note(f"The logs are in {folder / 'logs'}")
        raise
    shutil.rmtree(folder)
