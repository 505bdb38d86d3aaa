"""The light client against a server that does on command what a good hub seldom does."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.fleet.identity import Credential, certificate_to_pem, key_to_pem, new_key
from localcloud.fleet.link import HubEndpoint, HubRefusedError, HubUnreachableError
from localcloud.fleet.mqtt import MqttClient, Pace
from localcloud.iothub.mqtt.packets import Connect, Disconnect, Pingreq, Puback, Publish, Subscribe
from localcloud.pki import Pki, issue_device_certificate
from tests.fleet.script import Script
from tests.fleet.waiting import eventually


@pytest.fixture
async def script(pki: Pki) -> AsyncIterator[Script]:
    script = Script()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server, pki.server_key)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0, ssl=context)
    script.port = server.sockets[0].getsockname()[1]
    yield script
    server.close()
    script.drop()


@pytest.fixture
def credential(tmp_path: Path, pki: Pki) -> Credential:
    key, now = new_key(), datetime.now(UTC)
    certificate = issue_device_certificate(
        pki, "car-1", key.public_key(), not_before=now, not_after=now + timedelta(days=1)
    )
    file = tmp_path / "identity.pem"
    file.write_bytes(key_to_pem(key) + certificate_to_pem(certificate))
    return Credential.load(file)


Start = Callable[..., MqttClient]


@pytest.fixture
async def new_client(script: Script, pki: Pki, credential: Credential) -> AsyncIterator[Start]:
    """Makes clients of the script, which are closed in the end."""
    made: list[MqttClient] = []

    def start(*, hostname: str = "127.0.0.1", ca_file: Path | None = None, **options: Any) -> MqttClient:
        client = MqttClient(
            HubEndpoint(hostname, ca_file or pki.root, script.port),
            "car-1",
            "hub/car-1/?api-version=1",
            options.pop("credentials", lambda: [credential]),
            filters=("topic/#",),
            on_connected=lambda: None,
            on_message=options.pop("on_message", lambda _, __: None),
            random=Random(1),
            pace=Pace(connect_timeout_s=10, first_retry_s=0.01, longest_retry_s=0.05, **options),
        )
        made.append(client)
        return client

    yield start
    for client in made:
        await client.close()


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (1, HubRefusedError, "unacceptable protocol version"),
        (2, HubRefusedError, "client identifier rejected"),
        (3, HubUnreachableError, "server unavailable"),
        (4, HubRefusedError, "malformed user name"),
        (5, HubRefusedError, "not authorized"),
        (77, HubUnreachableError, "77"),
    ],
)
async def test_a_refusal_says_why(
    script: Script, new_client: Start, code: int, error: type[Exception], words: str
) -> None:
    script.return_codes = [code]
    with pytest.raises(error, match=words):
        await new_client().connect()


async def test_a_session_is_kept_and_the_client_names_itself(script: Script, new_client: Start) -> None:
    await new_client().connect()
    assert script.of(Connect) == [
        Connect("car-1", "hub/car-1/?api-version=1", None, 60, clean_session=False, will=None),
    ]


async def test_a_server_of_another_name_is_not_trusted(new_client: Start) -> None:
    """The certificate is for localhost and 127.0.0.1; this is another spelling of the latter."""
    with pytest.raises(HubUnreachableError, match="certificate"):
        await new_client(hostname="127.1").connect()


async def test_a_server_of_another_ca_is_not_trusted(pki: Pki, new_client: Start) -> None:
    with pytest.raises(HubUnreachableError, match="certificate"):
        await new_client(ca_file=pki.issuing).connect()


async def test_nobody_there_is_a_clear_error(script: Script, new_client: Start) -> None:
    script.port = 1
    with pytest.raises(HubUnreachableError, match=r"127\.0\.0\.1:1: "):
        await new_client().connect()


async def test_a_certificate_that_cannot_be_used_is_passed_over(
    script: Script, new_client: Start, credential: Credential, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_bytes(certificate_to_pem(credential.certificate))  # the key is missing
    client = new_client(credentials=lambda: [Credential.load(broken), credential])
    await client.connect()
    assert client.credential == credential
    assert script.connections == 1


async def test_the_next_certificate_is_tried_when_one_is_refused(
    script: Script, new_client: Start, credential: Credential
) -> None:
    other = Credential(credential.pem_file, credential.certificate)
    script.return_codes = [5]
    client = new_client(credentials=lambda: [other, credential])
    await client.connect()
    assert client.credential is credential


async def test_no_more_messages_are_under_way_than_allowed(script: Script, new_client: Start) -> None:
    client = new_client(in_flight=3)
    await client.connect()
    script.acknowledges = False
    publishing = [asyncio.create_task(client.publish("t", b"%d" % number)) for number in range(8)]
    await eventually(lambda: len(script.of(Publish)) == 3)
    await asyncio.sleep(0.05)
    assert [packet.payload for packet in script.of(Publish)] == [b"0", b"1", b"2"]
    script.acknowledges = True
    script.send(Puback(script.of(Publish)[1].packet_id))
    await eventually(lambda: len(script.of(Publish)) == 8 or len(script.of(Publish)) == 4)
    for packet in script.of(Publish)[:1] + script.of(Publish)[2:3]:
        script.send(Puback(packet.packet_id))
    await asyncio.gather(*publishing)
    assert [packet.payload for packet in script.of(Publish)] == [b"%d" % number for number in range(8)]


async def test_what_was_not_acknowledged_is_sent_again_after_a_reconnect(script: Script, new_client: Start) -> None:
    """With its packet identifier and marked as a duplicate [MQTT-4.4.0-1] [MQTT-3.3.1-1]; the rest is not."""
    client = new_client()
    await client.connect()
    await client.publish("t", b"first")
    script.acknowledges = False
    publishing = [asyncio.create_task(client.publish("t", payload)) for payload in (b"second", b"third")]
    await eventually(lambda: len(script.of(Publish)) == 3)
    before = script.of(Publish)[1:]
    script.acknowledges = True
    script.drop()
    await asyncio.gather(*publishing)
    again = script.of(Publish)[3:]
    assert script.connections == 2
    assert again == [packet._replace(duplicate=True) for packet in before]
    assert len(script.of(Subscribe)) == 2


async def test_what_is_published_without_a_connection_is_sent_with_the_next(script: Script, new_client: Start) -> None:
    client = new_client()
    await client.connect()
    script.return_codes = [3, 3]
    script.drop()
    await eventually(lambda: not script.return_codes)
    await client.publish("t", b"waited")
    [packet] = script.of(Publish)
    assert not packet.duplicate


async def test_a_refusal_later_on_is_not_the_end(script: Script, new_client: Start) -> None:
    client = new_client()
    await client.connect()
    script.return_codes = [5, 5, 3]
    script.drop()
    await client.publish("t", b"x")
    assert script.return_codes == []


async def test_reconnecting_says_goodbye_and_comes_back(script: Script, new_client: Start) -> None:
    client = new_client()
    await client.connect()
    await client.reconnect()
    assert script.connections == 2
    assert len(script.of(Disconnect)) == 1
    await client.publish("t", b"x")


async def test_an_idle_client_pings(script: Script, new_client: Start) -> None:
    await new_client(keep_alive_s=1).connect()
    await eventually(lambda: len(script.of(Pingreq)) >= 2)
    assert script.connections == 1


async def test_a_server_that_falls_silent_is_left(script: Script, new_client: Start) -> None:
    script.pongs = False
    await new_client(keep_alive_s=1).connect()
    await eventually(lambda: script.connections == 2)


async def test_a_refused_subscription_is_no_connection(script: Script, new_client: Start) -> None:
    script.suback = b"\x80"
    connecting = asyncio.create_task(new_client().connect())
    await eventually(lambda: script.connections == 2)
    assert not connecting.done()
    script.suback = b"\x01"
    await connecting


async def test_arriving_messages_are_acknowledged_and_handed_on(script: Script, new_client: Start) -> None:
    received: list[tuple[str, bytes]] = []
    await new_client(on_message=lambda topic, payload: received.append((topic, payload))).connect()
    script.send(Publish("topic/a", b"once", 0, 0, retain=False, duplicate=False))
    script.send(Publish("topic/b", b"surely", 1, 7, retain=False, duplicate=False))
    await eventually(lambda: script.of(Puback) == [Puback(7)])
    assert received == [("topic/a", b"once"), ("topic/b", b"surely")]


async def test_closing_releases_whoever_waits(script: Script, new_client: Start) -> None:
    client = new_client(in_flight=1)
    await client.connect()
    script.acknowledges = False
    publishing = [asyncio.create_task(client.publish("t", b"x")) for _ in range(3)]
    await eventually(lambda: len(script.of(Publish)) == 1)
    await client.close()
    results = await asyncio.gather(*publishing, return_exceptions=True)
    assert [type(result) for result in results] == [HubUnreachableError] * 3
    with pytest.raises(HubUnreachableError):
        await client.reconnect()


@given(st.integers(0, 10_000), st.integers())
def test_pauses_grow_with_jitter_up_to_a_limit(failures: int, seed: int) -> None:
    pace = Pace(first_retry_s=0.2, longest_retry_s=30)
    pause_s = pace.pause_s(failures, Random(seed))
    assert 0 <= pause_s <= min(30, 0.2 * 2 ** min(failures, 16))
    assert pause_s == pace.pause_s(failures, Random(seed))
