"""Runs `firing.py` with this interpreter and with that of Microsoft's worker library."""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_FIRING = Path(__file__).with_name("firing.py")
_ENVIRONMENT = ROOT / ".localcloud" / "worker-3.13"
_INTERPRETER = _ENVIRONMENT / "bin" / "python"

Line = dict[str, Any]


def make_environment() -> Path | None:
    """The interpreter of a virtual environment with the worker library and the app's requirements, made once.

    None if there is no Python 3.13, which azure-functions-runtime needs.
    """
    python = _python_3_13()
    if python is None:
        return None
    _ENVIRONMENT.parent.mkdir(exist_ok=True)
    with _ENVIRONMENT.with_name("worker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # areas of tests run side by side
        _install(python)
    return _INTERPRETER


def _install(python: str) -> None:
    requirements = ROOT / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = _ENVIRONMENT / "requirements.sha256"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    subprocess.run([python, "-m", "venv", "--clear", _ENVIRONMENT], check=True)
    install = [str(_INTERPRETER), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "azure-functions-runtime", "-r", str(requirements)], check=True)
    stamp.write_text(digest)


def _python_3_13() -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which("python3.13"), *map(str, sorted(pyenv.glob("3.13*/bin/python"), reverse=True))]
    for candidate in filter(None, candidates):
        # A pyenv shim is on the path even where no such version is chosen.
        asked = [candidate, "-c", "import sys; print(sys.version_info[:2])"]
        version = subprocess.run(asked, check=False, capture_output=True)
        if version.stdout.strip() == b"(3, 13)":
            return candidate
    return None


async def fire_locally(app_roots: Sequence[Path], settings: Mapping[str, str]) -> list[Line]:
    """What this project's host tells of these apps."""
    return await _fire(Path(sys.executable), "local", app_roots, settings)


async def fire_with_the_worker(python: Path, app_roots: Sequence[Path], settings: Mapping[str, str]) -> list[Line]:
    """What Microsoft's library tells of them; `python` is the interpreter that it is installed for."""
    return await _fire(python, "worker", app_roots, settings)


async def _fire(python: Path, way: str, app_roots: Sequence[Path], settings: Mapping[str, str]) -> list[Line]:
    environment = {key: value for key, value in os.environ.items() if key != "OBSERVED"} | dict(settings)
    process = await asyncio.create_subprocess_exec(
        python, _FIRING, way, *app_roots, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return [json.loads(line) for line in output.decode().splitlines()]
