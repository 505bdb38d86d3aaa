"""What `@azure/event-hubs` and its checkpoint store see of Event Hubs."""

from collections.abc import AsyncIterator

import pytest

from localcloud.services import LocalCloud
from tests.witnesses.conftest import Witnesses
from tests.witnesses.listing import Behaviour
from tests.witnesses.parameters import each_behaviour
from tests.witnesses.running import Run


async def _start(cloud: LocalCloud) -> None:
    await cloud.start_storage()
    await cloud.start_broker()


@pytest.fixture(scope="module")
async def run(witnesses: Witnesses) -> AsyncIterator[Run]:
    async with witnesses("event-hubs", _start) as run:
        yield run


@each_behaviour("event-hubs")
async def test_event_hubs(behaviour: Behaviour, run: Run) -> None:
    """Shown by the JavaScript that states it."""
    await run.require(behaviour)
