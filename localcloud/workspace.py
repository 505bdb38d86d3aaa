"""A local cloud for the length of one command: on free ports, in a folder of its own that is gone afterwards."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from localcloud.layout import Layout
from localcloud.services import LocalCloud, running


@asynccontextmanager
async def workspace(directory: Path, name: str, settings: Mapping[str, str] | None = None) -> AsyncIterator[LocalCloud]:
    """If the block fails its folder stays, with the logs of all services, and the error says where.

    Raises `StartFailed`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=directory)).resolve()
    try:
        async with running(Layout(folder).on_free_ports(), settings=settings) as cloud:
            yield cloud
    except BaseException as error:
        error.add_note(f"The logs are in {folder / 'logs'}")
        raise
    shutil.rmtree(folder)
