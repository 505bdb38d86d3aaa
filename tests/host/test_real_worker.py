"""The local host against the library of Microsoft's Python worker: same apps, same payloads, same sight of them."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from localcloud.layout import Layout
from localcloud.services import app_settings
from tests.host.bad_apps import BAD_APPS, write_bad_app
from tests.host.payloads import TRACE_PARENT

ROOT = Path(__file__).parents[2]
APP = Path(__file__).with_name("app")
FIRING = Path(__file__).with_name("firing.py")
WORKER = ROOT / ".localcloud" / "worker-3.13"

# Installing the worker's packages for the first time takes a while.
pytestmark = pytest.mark.timeout(600)


def _python_3_13() -> str | None:
    """An interpreter that the worker library can be installed for."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which("python3.13"), *map(str, sorted(pyenv.glob("3.13*/bin/python"), reverse=True))]
    for candidate in filter(None, candidates):
        # A pyenv shim is on the path even where no such version is chosen.
        asked = [candidate, "-c", "import sys; print(sys.version_info[:2])"]
        version = subprocess.run(asked, check=False, capture_output=True)
        if version.stdout.strip() == b"(3, 13)":
            return candidate
    return None


@pytest.fixture(scope="session")
def worker_python() -> str:
    """The interpreter of a virtual environment with the worker library and the app's requirements, made once."""
    python = _python_3_13()
    if python is None:
        pytest.skip("no Python 3.13 here, which azure-functions-runtime needs (python3.13 or pyenv)")
    requirements = ROOT / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = WORKER / "requirements.sha256"
    interpreter = WORKER / "bin" / "python"
    if not stamp.is_file() or stamp.read_text() != digest:
        subprocess.run([python, "-m", "venv", "--clear", WORKER], check=True)
        install = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "azure-functions-runtime", "-r", str(requirements)], check=True)
        stamp.write_text(digest)
    return str(interpreter)


async def _fire(python: str, way: str, app_roots: list[Path], settings: dict[str, str]) -> list[dict[str, Any]]:
    environment = {key: value for key, value in os.environ.items() if key != "OBSERVED"} | settings
    process = await asyncio.create_subprocess_exec(
        python, FIRING, way, *app_roots, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return [json.loads(line) for line in output.decode().splitlines()]


async def _fire_both(
    worker_python: str, app_roots: list[Path], settings: dict[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return await asyncio.gather(
        _fire(sys.executable, "local", app_roots, settings), _fire(worker_python, "worker", app_roots, settings)
    )


async def test_functions_see_with_the_local_host_what_they_see_with_the_real_worker(worker_python: str) -> None:
    """Bodies, metadata, IoT Hub properties, partition, application properties, timer and HTTP parameters, answers."""
    local, real = await _fire_both(worker_python, [APP], {})
    for line in (*local, *real):
        if "context" in line and line["context"]["trace_parent"] != TRACE_PARENT:
            del line["context"]["trace_parent"]  # nobody traced it before the host does
    assert not [line for line in real if "failed" in line]
    seen = {line["function"] for line in real if "function" in line}
    triggers = {"event_batch", "event_one", "event_text", "queue_message", "topic_message", "queue_batch", "tick"}
    assert seen == triggers | {"thing"}
    assert local == real


async def test_the_local_host_refuses_the_apps_that_the_real_worker_refuses(worker_python: str, tmp_path: Path) -> None:
    app_roots = [write_bad_app(tmp_path, name) for name in BAD_APPS]
    local, real = await _fire_both(worker_python, app_roots, {})
    assert [line.get("refused") for line in real] == list(BAD_APPS)
    assert [line.get("refused") for line in local] == list(BAD_APPS)


@pytest.mark.skipif(not (ROOT / "function_app.py").is_file(), reason="the repository has no function_app.py yet")
async def test_the_real_worker_indexes_the_deployed_app(worker_python: str, tmp_path: Path) -> None:
    local, real = await _fire_both(worker_python, [ROOT], app_settings(Layout(tmp_path)))
    assert real[0].get("indexed"), real
    assert local == real
