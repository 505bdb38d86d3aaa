"""A whole local cloud, host included, with a witness who reads every domain event."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud import replay
from localcloud.configuration import load
from localcloud.layout import Layout
from localcloud.services import LocalCloud, running
from tests.witness import with_witnesses

WITNESS = "witness"


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[LocalCloud]:
    """As `make up` has it, on free ports, with a subscription of the tests' own; old drives are believed."""
    config = with_witnesses(tmp_path, WITNESS)
    layout, configuration = Layout(tmp_path).on_free_ports(), load([config])
    async with running(LocalCloud(layout, configuration=configuration, settings=replay.SETTINGS)) as local_cloud:
        yield local_cloud
