"""What keeps a real worker from loading an app keeps the local host, with a message that says what to change."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.errors import Misconfigured
from localcloud.host.app import load_app
from localcloud.host.runtime import Host
from localcloud.host.settings import AppSettings
from localcloud.layout import Layout
from localcloud.processes import child_environment, python_module
from tests.host.bad_apps import write_bad_app

ROOT = Path(__file__).parents[2]
HEAD = "import azure.functions as func\napp = func.FunctionApp()\n"


@pytest.fixture(autouse=True)
def _own_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Loading an app changes the import path and leaves its module behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "function_app", raising=False)
    yield
    sys.modules.pop("function_app", None)


def test_a_refused_app_ends_the_host_with_one_line(tmp_path: Path) -> None:
    app_root = write_bad_app(tmp_path, "duplicate_name")
    command = python_module("localcloud.host", "--app-root", str(app_root), "--port", "0")
    ended = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "tick does not have a unique function name" in ended.stderr.splitlines()[-1]
    assert "0 functions loaded" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_app_root_comes_behind_installed_packages_as_in_the_worker_and_before_this_project(
    tmp_path: Path,
) -> None:
    (tmp_path / "function_app.py").write_text(HEAD)
    assert load_app(tmp_path) == []
    assert sys.path[-2:] == [str(tmp_path), str(ROOT)]
    assert load_app(ROOT)
    assert sys.path[-1] == str(ROOT)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("function_app.py", "there is no function_app.py in"), ("../app.py", "InvalidFileNameError: .*Invalid file name")],
)
def test_a_script_that_is_not_there_or_not_one_is_named(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        load_app(tmp_path, name)


def test_the_script_may_have_another_name(tmp_path: Path) -> None:
    (tmp_path / "main-app.py").write_text(HEAD)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    storage = Layout(tmp_path).storage_connection
    host = Host(tmp_path, AppSettings({"AzureWebJobsStorage": storage, "PYTHON_SCRIPT_FILE_NAME": "main-app.py"}))
    assert host.functions == []


def _host(tmp_path: Path, function: str, **settings: str) -> Host:
    (tmp_path / "function_app.py").write_text(HEAD + function)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    return Host(tmp_path, AppSettings({"AzureWebJobsStorage": Layout(tmp_path).storage_connection, **settings}))


EVENTS = '@app.event_hub_message_trigger(arg_name="e", event_hub_name="%Hub%", connection="C")\ndef f(e): ...'
QUEUE = '@app.service_bus_queue_trigger(arg_name="m", queue_name="q", connection="C", {more})\ndef f(m): ...'
TIMER = '@app.timer_trigger(arg_name="t", schedule="{schedule}")\n{retry}def f(t): ...'
ROUTE = '@app.route(route="{route}")\ndef f(req: func.HttpRequest) -> str: ...'
ERRANDS = '@app.queue_trigger(arg_name="m", queue_name="{queue}", connection="")\ndef f(m): ...'
BLOB = '@app.blob_trigger(arg_name="b", path="{path}", connection="", {more})\ndef f(b): ...'
OTHER = '@app.cosmos_db_trigger(arg_name="d", container_name="c", database_name="d", connection="C")\ndef f(d): ...'
RETRY = '@app.retry(strategy="fixed_delay", max_retry_count="{count}", delay_interval="{delay}")\n'


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (EVENTS, "the app setting C is absent"),
        (QUEUE.format(more=""), "the app setting C is absent"),
        (
            TIMER.format(schedule="%Every%", retry=""),
            "'%Every%' does not resolve to a value: set the app",
        ),
        (TIMER.format(schedule="0 0 25 * * *", retry=""), "'25' is not between 0 and 23 in the field hour"),
        (TIMER.format(schedule="0 0 0 * * *", retry=RETRY.format(count="-2", delay="00:00:01")), "must be -1 or more"),
        (TIMER.format(schedule="0 0 0 * * *", retry=RETRY.format(count="x", delay="00:00:01")), "invalid literal"),
        (
            TIMER.format(schedule="0 0 0 * * *", retry=RETRY.format(count="1", delay="1s")),
            "time data '1s' does not match",
        ),
        (
            ROUTE.format(route="admin/x"),
            "The 'f' function is in error: The specified route conflicts with one or more built in",
        ),
        (ROUTE.format(route="Runtime"), "conflicts with one or more built in routes"),
        (ROUTE.format(route="x/{id=7}"), "does not know this form of route"),
        (ROUTE.format(route="x/{id:colour}"), "does not know the route constraint colour"),
        (ERRANDS.format(queue="Bad_Name"), "'bad_name' is no name for a storage queue"),
        (ERRANDS.format(queue="%Absent%"), "'%Absent%' does not resolve to a value"),
        (BLOB.format(path="x/", more=""), "no path of the form container/blob"),
        (BLOB.format(path="{x}/y", more=""), "braces in its container"),
        (BLOB.format(path="x/{a}-{a}", more=""), "'a' in 'x/{a}-{a}' must be an identifier that occurs once"),
        (BLOB.format(path="x/{a", more=""), "the braces in 'x/{a' do not match"),
        (BLOB.format(path="x/y", more="source=func.BlobSource.EVENT_GRID"), "has no Event Grid"),
        (OTHER, "cosmosDBTrigger"),
    ],
)
def test_what_the_host_cannot_serve_is_named(tmp_path: Path, function: str, reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        _host(tmp_path, function)


def test_an_identity_based_connection_is_explained(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot load the f function: the connection C is identity-based"):
        _host(tmp_path, EVENTS, Hub="h", C__fullyQualifiedNamespace="ns.servicebus.windows.net")


async def test_an_error_at_import_is_told_with_its_place_in_the_app(tmp_path: Path) -> None:
    """Behind the words of the real worker, which has its traceback in a log."""
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "orders.py").write_text("import json\n\njson.loads('{')\n")
    (tmp_path / "function_app.py").write_text("import orders\n")
    host = await asyncio.create_subprocess_exec(
        *python_module("localcloud.host", "--app-root", str(tmp_path), "--port", "0"),
        env=child_environment(),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await host.communicate()
    assert host.returncode == 2
    assert said.decode().rstrip().endswith("(function_app.py:1 > orders.py:3)")
