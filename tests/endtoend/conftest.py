"""A whole local cloud, host included, with a witness who reads every domain event."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud.layout import Layout
from localcloud.services import LocalCloud, running
from tests.witness import with_witnesses

WITNESS = "witness"


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[LocalCloud]:
    """As `make up` has it, on free ports, with a subscription of the tests' own."""
    config = with_witnesses(tmp_path, WITNESS)
    async with running(Layout(tmp_path).on_free_ports(), config=config) as local_cloud:
        yield local_cloud
