"""The limits of a tier: what is granted when, and what happens to a connection beyond them."""

import asyncio
from typing import Any

import pytest

from localcloud.iothub.configuration import Configuration
from localcloud.iothub.connection import Connection
from localcloud.iothub.endpoint import Backlog
from localcloud.iothub.hub import Hub
from localcloud.iothub.mqtt.encoding import encode
from localcloud.iothub.mqtt.packets import Connack, Connect
from localcloud.iothub.routing import Routing
from localcloud.iothub.shaping import Shaper
from localcloud.iothub.throttling import (
    Throttle,
    ThrottledError,
    Throttling,
    TokenBucket,
    parse_throttling,
)
from localcloud.iothub.tls import Peer
from localcloud.journal import MemoryJournal
from tests.iothub.devices import eventually


def test_a_burst_passes_at_once_and_what_follows_waits_its_turn() -> None:
    bucket = TokenBucket(rate_per_s=10, burst=3, queue=100)
    assert [bucket.take(5.0) for _ in range(6)] == [0, 0, 0, pytest.approx(0.1), pytest.approx(0.2), pytest.approx(0.3)]


def test_what_is_not_used_is_saved_up_to_the_burst() -> None:
    bucket = TokenBucket(rate_per_s=10, burst=3, queue=100)
    for _ in range(3):
        bucket.take(0.0)
    assert bucket.take(0.1) == pytest.approx(0.0)
    assert bucket.take(0.1) == pytest.approx(0.1)
    assert [bucket.take(1000.0) for _ in range(4)] == [0, 0, 0, pytest.approx(0.1)]


def test_a_full_queue_refuses_and_a_refusal_costs_nothing() -> None:
    bucket = TokenBucket(rate_per_s=10, burst=1, queue=2)
    assert [bucket.take(0.0) for _ in range(5)] == [0, pytest.approx(0.1), pytest.approx(0.2), None, None]
    assert bucket.take(0.1) == pytest.approx(0.2)


def test_an_amount_counts_as_that_many_operations() -> None:
    bucket = TokenBucket(rate_per_s=40, burst=10, queue=40)
    assert bucket.take(0.0, amount=30) == pytest.approx(0.5)
    assert bucket.take(0.0, amount=30) == pytest.approx(1.25)
    assert bucket.take(0.0) is None


def test_what_is_larger_than_burst_and_queue_passes_when_it_is_first() -> None:
    bucket = TokenBucket(rate_per_s=1, burst=1, queue=2)
    assert bucket.take(0.0, amount=100) == pytest.approx(99)
    assert bucket.take(90.0) is None


def test_no_tier_no_limits() -> None:
    assert parse_throttling({}) is None


@pytest.mark.parametrize(
    ("tier", "units", "throttle", "rate_per_s"),
    [
        ("S1", 1, Throttle.REGISTRY, 100 / 60),
        ("S1", 3, Throttle.REGISTRY, 300 / 60),
        ("S3", 1, Throttle.REGISTRY, 5000 / 60),
        # "two S1 units are 2*12 = 24, but you have at least 100 … with nine S1 units, you have 108"
        ("S1", 2, Throttle.SEND, 100),
        ("S1", 9, Throttle.SEND, 108),
        ("S1", 9, Throttle.CONNECT, 108),
        ("S2", 2, Throttle.SEND, 240),
        ("S3", 2, Throttle.CONNECT, 12000),
        ("F1", 1, Throttle.TWIN_READ, 100),
        ("S1", 20, Throttle.TWIN_READ, 100),
        ("S2", 11, Throttle.TWIN_READ, 110),
        ("S3", 1, Throttle.TWIN_READ, 500),
        ("S1", 1, Throttle.TWIN_UPDATE, 50),
        ("S2", 11, Throttle.TWIN_UPDATE, 55),
        ("S3", 2, Throttle.TWIN_UPDATE, 500),
        ("S1", 2, Throttle.QUERY, 40 / 60),
        ("S3", 1, Throttle.QUERY, 1000 / 60),
        # "up to 40 calls per second per unit before hitting the limit of 160 KB/sec/unit"
        ("S1", 1, Throttle.METHOD, 40),
        ("S2", 1, Throttle.METHOD, 120),
    ],
)
def test_the_limits_are_those_of_the_tier(tier: str, units: int, throttle: Throttle, rate_per_s: float) -> None:
    throttling = parse_throttling({"tier": tier, "units": units})
    assert throttling is not None
    assert throttling.rates_per_s[throttle] == pytest.approx(rate_per_s)


def limits(**rates_per_s: float) -> Throttling:
    unlimited = dict.fromkeys(Throttle, 1e9)
    return Throttling(unlimited | {Throttle[name]: rate for name, rate in rates_per_s.items()}, burst_s=0, queue_s=2)


async def test_operations_keep_their_order_while_they_wait() -> None:
    shaper = Shaper(limits(SEND=50))
    done: list[int] = []
    for number in range(10):
        if shaper.admits(Throttle.SEND, later=lambda number=number: done.append(number)):  # type: ignore[misc] # a default that binds
            done.append(number)
    assert done == [0]
    await shaper.admit(Throttle.SEND)
    assert done == list(range(10)), "who comes last is last"


async def test_limits_do_not_share_a_queue() -> None:
    shaper = Shaper(limits(SEND=1, QUERY=1))
    await shaper.admit(Throttle.SEND)
    assert not shaper.admits(Throttle.SEND, later=lambda: None)
    assert shaper.admits(Throttle.QUERY, later=lambda: None)


async def test_who_gives_up_waiting_leaves_the_queue_working() -> None:
    shaper = Shaper(limits(SEND=20))
    await shaper.admit(Throttle.SEND)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(shaper.admit(Throttle.SEND), 0.001)
    await asyncio.wait_for(shaper.admit(Throttle.SEND), 10)


async def test_an_operation_that_fails_keeps_nobody_behind_it_waiting() -> None:
    shaper = Shaper(limits(SEND=20))
    await shaper.admit(Throttle.SEND)
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail() -> None:
        raise OSError("the peer is gone")

    assert not shaper.admits(Throttle.SEND, later=fail)
    await asyncio.wait_for(shaper.admit(Throttle.SEND), 10)
    assert [type(failure) for failure in failures] == [OSError]


async def test_a_refusal_says_when_to_come_back() -> None:
    shaper = Shaper(limits(QUERY=0.5))
    while shaper.admits(Throttle.QUERY, later=lambda: None):
        pass  # the burst
    shaper.admits(Throttle.QUERY, later=lambda: None, amount=10)
    with pytest.raises(ThrottledError) as refused:
        shaper.admits(Throttle.QUERY, later=lambda: None)
    assert (refused.value.throttle, refused.value.retry_after_s) == (Throttle.QUERY, 2)


class FakeStream:
    """A connection that remembers what is written: no machine of ours opens 100 TLS connections in a second."""

    def __init__(self) -> None:
        self.peer = Peer()
        self.written = b""
        self.is_reading = True
        self.is_open = True

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_open = False

    abort = close

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True


def connecting(hub: Hub) -> tuple[FakeStream, Connection]:
    stream = FakeStream()
    connection = hub.connection(stream)
    connection.data_received(encode(Connect("car", "hub/car/?api-version=1", None, 60, clean_session=False, will=None)))
    return stream, connection


async def test_connections_beyond_the_limit_wait_and_then_are_told_that_the_server_is_unavailable() -> None:
    """Unlike a refusal of its credentials, the SDK tries again after that [MQTT-3.2.2-6]."""
    routing: Any = Routing((), None, {})
    hub = Hub("hub", Configuration(routing, limits(CONNECT=10)), {}, Backlog(1), MemoryJournal())
    first, *others = [connecting(hub) for _ in range(40)]
    unknown_device, unavailable = (encode(Connack(code, session_present=False)) for code in (5, 3))
    assert first[0].written == unknown_device, "it was its turn: what it is told is about itself"
    queued = [pair for pair in others if not pair[0].is_reading]
    refused = others[len(queued) :]
    assert 20 <= len(queued) < 40, "two seconds of ten, and what has passed meanwhile"
    assert all(stream.written == b"" for stream, _ in queued)
    assert all(stream.written == unavailable and not stream.is_open for stream, _ in refused)
    queued[1][1].closed()
    await eventually(lambda: bool(queued[2][0].written))
    assert queued[0][0].written == unknown_device
    assert queued[1][0].written == b"", "it did not wait until it was its turn"
    for _, connection in queued:
        connection.closed()
