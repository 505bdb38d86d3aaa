"""A whole local cloud, host included, with a witness who reads every domain event."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud.configuration import load
from localcloud.layout import Layout
from localcloud.services import LocalCloud, running
from tests.witness import with_witnesses

WITNESS = "witness"


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[LocalCloud]:
    """As `make up` has it, on free ports, with a subscription of the tests' own."""
    config = with_witnesses(tmp_path, WITNESS)
    async with running(LocalCloud(Layout(tmp_path).on_free_ports(), configuration=load([config]))) as local_cloud:
        yield local_cloud
