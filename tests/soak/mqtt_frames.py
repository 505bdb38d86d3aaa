"""Damaged MQTT conversations over TLS against a hub, while a device that says nothing wrong is served."""

import asyncio
import random
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from localcloud.iothub.mqtt.decoding import FrameReader, decode
from localcloud.iothub.mqtt.packets import Connack, Puback
from tests.iothub.devices import Identity, issued_identity, raw_client
from tests.iothub.services import CONFIG, MQTT_PORT, Hub, event_hubs, running_hub, start_broker
from tests.soak import mqtt_talk
from tests.soak.damage import damaged, pieces
from tests.soak.figures import MIB, Report, cpu_s, mib, open_connections, rss_bytes
from tests.soak.rounds import Rounds

DEVICES = 32
PATIENCE_S = 20.0
LISTENING_S = 0.02  # for answers, before the device hangs up
WARM_UP = 2500  # damages, until the hub has once held as much as it does at a time
MAX_GROWTH_BYTES = 10 * MIB  # after that, however long it goes on
WORKING_SET_BYTES = 64 * MIB  # of a run that is too short to tell
ROUND = 400  # damages


@dataclass(frozen=True, slots=True)
class RegisteredDevice:
    """A registered device, with the TLS context of its certificate."""

    device_id: str
    identity: Identity
    tls: ssl.SSLContext

    @classmethod
    async def register(cls, hub: Hub, directory: Path, device_id: str) -> "RegisteredDevice":
        await hub.register(device_id)
        identity = issued_identity(directory, hub.pki, device_id)
        tls = ssl.create_default_context(cafile=hub.pki.root)
        tls.load_cert_chain(identity.certificate_file, identity.key_file)
        return cls(device_id, identity, tls)


class Fuzzing(Rounds):
    """Conversations of devices with a hub."""

    def __init__(self, hub: Hub, devices: Sequence[RegisteredDevice], seed: int, report: Report) -> None:
        super().__init__(report)
        self._hub = hub
        self._free = list(devices)
        self._seed = seed

    async def converse(self, number: int) -> None:
        device = self._free.pop(0)  # the one that has been away for longest
        await self._converse(number, device)
        self._free.append(device)

    async def _converse(self, number: int, device: RegisteredDevice) -> None:
        chance = random.Random(f"{self._seed}/{number}")
        talk = chance.choice(mqtt_talk.conversations(self._hub.address, device.device_id))
        stream, damages = damaged(talk, mqtt_talk.KINDS, chance, handshake_frames=mqtt_talk.HANDSHAKE_FRAMES)
        self.damages += damages
        try:
            async with asyncio.timeout(PATIENCE_S):
                if chance.random() < 0.05:
                    await self._talk_without_tls(stream, chance)
                else:
                    self._judge(number, await self._talk(device, stream, chance))
        except TimeoutError:
            self._report.failures.append(f"conversation {number} was not ended within {PATIENCE_S:g} s")

    async def _talk_without_tls(self, stream: bytes, chance: random.Random) -> None:
        """Bytes that are no TLS, or a handshake that ends in its middle: the hub must hang up."""
        reader, writer = await asyncio.open_connection(self._hub.address, MQTT_PORT)
        hello = bytes.fromhex("16030100c8010000c40303")
        writer.write(chance.choice((stream, hello + chance.randbytes(chance.randrange(300)))))
        with suppress(OSError):
            writer.write_eof()
            await reader.read(-1)
        writer.close()
        self.endings["no TLS"] += 1

    async def _talk(self, device: RegisteredDevice, stream: bytes, chance: random.Random) -> bytes:
        """What the hub says until one of the two ends the connection."""
        reader, writer = await asyncio.open_connection(self._hub.address, MQTT_PORT, ssl=device.tls)
        received = bytearray()

        async def listen() -> None:
            with suppress(OSError):
                while data := await reader.read(65536):
                    received.extend(data)

        listening = asyncio.create_task(listen())
        hangs_up_at = chance.randrange(len(stream)) if chance.random() < 0.15 else None
        said = 0
        with suppress(OSError):  # cut, as it deserves
            for piece in pieces(stream, chance, longest=5000):
                writer.write(piece)
                await asyncio.sleep(0)
                said += len(piece)
                if hangs_up_at is not None and said > hangs_up_at:
                    writer.transport.abort()
                    break
        ended, _ = await asyncio.wait([listening], timeout=LISTENING_S)
        self.endings["ended by the hub" if ended else "ended by the device"] += hangs_up_at is None
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        await listening
        return bytes(received)

    def _judge(self, number: int, answer: bytes) -> None:
        reader = FrameReader()
        reader.feed(answer)
        try:
            packets = [decode(*frame) for frame in reader.frames()]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            self._report.failures.append(f"conversation {number} was answered with what is no MQTT: {error!r}")
            return
        connacks = [index for index, packet in enumerate(packets) if isinstance(packet, Connack)]
        first = connacks[:1] in ([], [0])
        self._report.check(first, f"conversation {number} was answered with something before CONNACK")


async def serve_healthy(hub: Hub, device: RegisteredDevice, stop: asyncio.Event, report: Report) -> None:
    """Telemetry that is acknowledged and twins that are answered, each within the bound."""
    trips, longest_s = 0, 0.0
    loop = asyncio.get_running_loop()
    async with raw_client(hub, device.device_id, device.identity) as client:
        await client.connect(clean_session=True)
        while not stop.is_set():
            started_s = loop.time()
            trips += 1
            packet_id = trips % 65_535 + 1
            client.telemetry(b"well", "type=telemetry", packet_id=packet_id)
            report.check(await client.receive(PATIENCE_S) == Puback(packet_id), "the healthy device got no PUBACK")
            longest_s = max(longest_s, loop.time() - started_s)
            await asyncio.sleep(0.01)
    report.figures |= {"healthy round trips": trips, "the longest": f"{longest_s * 1000:.0f} ms"}


async def run(directory: Path, frames: int, seed: int) -> Report:
    """Damages so many packets and reports."""
    report = Report("MQTT packets")
    broker = await start_broker(CONFIG, directory / "broker.log")
    try:
        async with running_hub(directory, event_hubs(broker.ports["port"]), CONFIG) as hub:
            await _run(hub, directory, frames, seed, report)
        log = hub.log
    finally:
        await broker.stop()
    for path in (log, directory / "broker.log"):
        report.check("Traceback" not in path.read_text(encoding="utf-8"), f"a traceback in {path}")
    return report


async def _run(hub: Hub, directory: Path, frames: int, seed: int, report: Report) -> None:
    names = ["healthy", *(f"fuzzed-{number}" for number in range(DEVICES))]
    healthy_device, *devices = [await RegisteredDevice.register(hub, directory, name) for name in names]
    pid = hub.service.pid
    stop = asyncio.Event()
    healthy = asyncio.create_task(serve_healthy(hub, healthy_device, stop, report))
    fuzzing = Fuzzing(hub, devices, seed, report)
    started_s, cpu_before_s = asyncio.get_running_loop().time(), cpu_s(pid)
    await fuzzing.say(min(frames // 4, WARM_UP))
    warm, is_warm = rss_bytes(pid), frames // 4 >= WARM_UP
    while fuzzing.damages < frames and not report.failures and not healthy.done():
        await fuzzing.say(min(ROUND, frames - fuzzing.damages))
    elapsed_s = asyncio.get_running_loop().time() - started_s
    stop.set()
    await healthy
    report.check(hub.service.exit_code is None, "the hub has ended")
    await asyncio.sleep(1)
    for device in devices:  # whose last will may be under way still
        _, identity = await hub.call("GET", f"/devices/{device.device_id}")
        report.check(identity["connectionState"] == "Disconnected", f"{device.device_id} still counts as connected")
    await asyncio.sleep(1)
    report.check(not open_connections(hub.address, MQTT_PORT), "connections that the hub has not closed")
    growth = rss_bytes(pid) - warm
    most = MAX_GROWTH_BYTES if is_warm else WORKING_SET_BYTES
    report.check(growth < most, f"the hub has grown by {mib(growth)} MiB")
    report.figures = {
        "damaged packets": fuzzing.damages,
        "conversations": fuzzing.conversations,
        "a second": round(fuzzing.conversations / elapsed_s),
        "hub's CPU": f"{cpu_s(pid) - cpu_before_s:.1f} s",
        "memory": f"{mib(warm)} MiB and {mib(growth)} more",
        **report.figures,
        "ends": dict(fuzzing.endings.most_common()),
    }
