"""The local host against the library of Microsoft's Python worker: same apps, same payloads, same sight of them."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.host.bad_apps import BAD_APPS, write_bad_app
from tests.host.payloads import TRACE_PARENT
from tests.host.real_worker import Line, fire_locally, fire_with_the_worker

APP = Path(__file__).with_name("app")

# Installing the worker's packages for the first time takes a while.
pytestmark = pytest.mark.timeout(600)


async def _fire_both(worker_python: Path, app_roots: Sequence[Path]) -> tuple[list[Line], list[Line]]:
    return await asyncio.gather(fire_locally(app_roots, {}), fire_with_the_worker(worker_python, app_roots, {}))


async def test_functions_see_with_the_local_host_what_they_see_with_the_real_worker(worker_python: Path) -> None:
    """Bodies, metadata, IoT Hub properties, partition, application properties, timer and HTTP parameters, answers."""
    local, real = await _fire_both(worker_python, [APP])
    for line in (*local, *real):
        if "context" in line and line["context"]["trace_parent"] != TRACE_PARENT:
            del line["context"]["trace_parent"]  # nobody traced it before the host does
    assert not [line for line in real if "failed" in line]
    seen = {line["function"] for line in real if "function" in line}
    triggers = {"event_batch", "event_one", "event_text", "queue_message", "topic_message", "queue_batch", "tick"}
    assert seen == triggers | {"dropped_blob", "stored_message", "stored_parcel", "plain_text", "plain_bytes", "thing"}
    assert local == real


async def test_the_local_host_refuses_bad_apps_in_the_words_of_the_real_worker(
    worker_python: Path, tmp_path: Path
) -> None:
    app_roots = [write_bad_app(tmp_path, name) for name in BAD_APPS]
    local, real = await _fire_both(worker_python, app_roots)
    assert [line.get("refused") for line in real] == list(BAD_APPS)
    assert {line["refused"]: _words(line) for line in local} == {line["refused"]: _words(line) for line in real}


def _words(line: Line) -> str:
    """Without what differs between two processes: import paths and where packages lie."""
    words = line["error"].partition("Current sys.path:")[0]
    return re.sub(r" \(/[^)]*\)", "", words)
