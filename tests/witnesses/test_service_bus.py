"""What `@azure/service-bus` sees of Service Bus."""

from collections.abc import AsyncIterator

import pytest

from tests.witnesses.conftest import Witnesses
from tests.witnesses.listing import Behaviour
from tests.witnesses.parameters import each_behaviour
from tests.witnesses.running import Run


@pytest.fixture(scope="module")
async def run(witnesses: Witnesses) -> AsyncIterator[Run]:
    async with witnesses("service-bus", lambda cloud: cloud.start_broker()) as run:
        yield run


@each_behaviour("service-bus")
async def test_service_bus(behaviour: Behaviour, run: Run) -> None:
    """Shown by the JavaScript that states it."""
    await run.require(behaviour)
