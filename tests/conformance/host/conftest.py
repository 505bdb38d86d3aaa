"""One host for an app that is not ours, in a folder outside the repository."""

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from localcloud.processes import Child
from localcloud.services import LocalCloud
from tests.host.conftest import Bench
from tests.host.observer import Observer

APP = Path(__file__).with_name("app")
CONFIG = Path(__file__).with_name("cloud.toml")
PAGE = "http://page.example"


@pytest.fixture(scope="session")
async def stage(local_services: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """The suite's storage, a broker of the app's own, and what its functions tell."""
    app = tmp_path_factory.mktemp("elsewhere") / "somebodys-app"
    shutil.copytree(APP, app)
    layout = replace(local_services.layout, amqp_port=local_services.layout.on_free_ports().amqp_port)
    settings = {
        "IsEncrypted": False,
        "Values": {
            "Bus": layout.amqp_connection,
            "Hubs": layout.amqp_connection,
            "Orders": "orders",
            "Yearly": "0 0 3 1 1 *",
            "AzureWebJobs.turned_off.Disabled": "true",
            "BOTH": "the file",
        },
        "Host": {"LocalHttpPort": layout.on_free_ports().functions_port, "CORS": PAGE, "CORSCredentials": True},
        "ConnectionStrings": {"Sql": "Server=nowhere"},
    }
    (app / "local.settings.json").write_text(json.dumps(settings))
    observer, transport, path = await Observer.listen()
    stage = Bench(layout, observer, path, app=app, config=CONFIG, app_settings={"BOTH": "the environment"})
    try:
        await stage.start_broker()
        yield stage
    finally:
        await stage.close()
        transport.close()
        shutil.rmtree(path.parent)


@pytest.fixture(scope="session")
async def host(stage: Bench) -> Child:
    """Runs all functions but those that another host runs with other settings."""
    disabled = {"AzureWebJobs.since.Disabled": "1", "AzureWebJobs_ahead_Disabled": "true"}
    return await stage.start_host("--port", "0", **disabled)


@pytest.fixture(scope="session")
async def browser(host: Child) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{host.ready['port']}") as session:
        yield session


@pytest.fixture
def function_key(host: Child) -> dict[str, str]:
    return {"x-functions-key": host.ready["key"]}


@pytest.fixture
def master_key(host: Child) -> dict[str, str]:
    return {"x-functions-key": host.ready["masterKey"]}
