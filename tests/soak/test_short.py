"""The short form of `python -m tests.soak`: the same code with smaller numbers."""

from pathlib import Path

import pytest

from tests.soak import amqp_frames, amqp_splits, connections, messages, mqtt_frames, mqtt_splits
from tests.soak.figures import Report


def held(report: Report) -> None:
    assert not report.failures, "\n".join(report.lines())


async def test_amqp_conversations_may_be_split_or_cut_anywhere(tmp_path: Path) -> None:
    """The same answers in two pieces as in one, and of one that is cut neither a session nor a link lives on."""
    held(await amqp_splits.run(tmp_path, step=97))


async def test_mqtt_conversations_may_be_split_or_cut_anywhere(tmp_path: Path) -> None:
    """The same answers in two pieces as in one, and of one that is cut no session lives on."""
    held(await mqtt_splits.run(tmp_path, step=97))


async def test_damaged_amqp_frames_harm_nobody_else(tmp_path: Path) -> None:
    """No crash, hang, traceback, open connection or stuck message, and a healthy client is served all the time."""
    held(await amqp_frames.run(tmp_path, 1000, seed=4711))


async def test_damaged_mqtt_packets_harm_nobody_else(tmp_path: Path) -> None:
    """No crash, hang, traceback or open connection, and a healthy device is served all the time."""
    held(await mqtt_frames.run(tmp_path, 400, seed=4711))


async def test_amqp_connections_leave_no_memory_behind(tmp_path: Path) -> None:
    held(await connections.run_amqp(tmp_path, 250))


async def test_mqtt_connections_leave_no_memory_behind(tmp_path: Path) -> None:
    held(await connections.run_mqtt(tmp_path, 150))


@pytest.mark.timeout(180)
async def test_no_message_is_lost_or_settled_twice_when_the_broker_is_killed(tmp_path: Path) -> None:
    """Four competing consumers, random abandons and one kill."""
    held(await messages.run(tmp_path, 5_000, kills=1, seed=4711))
