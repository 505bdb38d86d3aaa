"""The broker and the hub as processes, and a client of the hub's service API."""

import asyncio
import os
import random
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from localcloud.layout import LOOPBACK, SERVICE_KEY, Layout
from localcloud.pki import Pki, ensure_pki
from shared.identity.sas import service_token

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("cloud.toml")
MQTT_PORT = 8883  # the SDK knows no other


def own_address() -> str:
    """A loopback address for one hub, because every hub needs port 8883 and several test runs may be under way."""
    return f"127.11.{random.randrange(1, 255)}.{random.randrange(1, 255)}"


class Service:
    """A process of the local cloud that has said it is ready."""

    def __init__(self, process: asyncio.subprocess.Process, ports: dict[str, int]) -> None:
        self._process = process
        self.ports = ports

    @classmethod
    async def start(cls, module: str, *arguments: str, log: Path) -> "Service":
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", module, *arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("ready "), f"{module} did not start: see {log}"
        return cls(process, msgspec.json.decode(line.removeprefix("ready ")))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None as long as it runs."""
        return self._process.returncode

    async def stop(self) -> int:
        if self._process.returncode is None:
            self._process.terminate()
        return await self._process.wait()

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()


async def start_broker(config: Path, log: Path, port: int = 0, *more: str) -> Service:
    arguments = ("--address", LOOPBACK, "--port", str(port), "--config", str(config), *more)
    return await Service.start("localcloud.broker", *arguments, log=log)


def event_hubs(broker_port: int) -> str:
    return Layout(Path(), hostname=LOOPBACK, amqp_port=broker_port).amqp_connection


@dataclass(slots=True)
class Hub:
    """A running hub and the way to its service API."""

    service: Service
    address: str
    pki: Pki
    log: Path
    _http: aiohttp.ClientSession

    @property
    def rest_port(self) -> int:
        return self.service.ports["rest_port"]

    async def call(
        self, method: str, path: str, body: Any = None, *, if_match: str | None = None, token: str | None = None
    ) -> tuple[int, Any]:
        """Status and decoded body of a request to the service API."""
        status, _, answer = await self.exchange(
            method, path, body, {} if if_match is None else {"If-Match": if_match}, token
        )
        return status, answer

    async def exchange(
        self,
        method: str,
        path: str,
        body: Any = None,
        more_headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> tuple[int, Mapping[str, str], Any]:
        """The same with the headers of the answer."""
        headers = {"Authorization": token or self.token(f"{self.address}:{self.rest_port}"), **(more_headers or {})}
        data = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        async with self._http.request(
            method, path, params={"api-version": "2021-04-12"}, data=data, headers=headers
        ) as response:
            text = await response.read()
            return response.status, response.headers, msgspec.json.decode(text) if text else None

    def token(self, resource: str, policy: str = "iothubowner", key: str = SERVICE_KEY, lifetime_s: int = 60) -> str:
        return service_token(resource, policy, key, datetime.now(UTC) + timedelta(seconds=lifetime_s))

    async def register(self, device_id: str, **authentication: Any) -> dict[str, Any]:
        """A new device; without arguments one that proves itself by a certificate of the local CA."""
        body = {"deviceId": device_id, "authentication": authentication or {"type": "certificateAuthority"}}
        status, identity = await self.call("PUT", f"/devices/{device_id}", body)
        assert status == 200, identity
        found: dict[str, Any] = identity
        return found


def refusal(answer: tuple[int, Any]) -> tuple[int, str]:
    """Status and error code of a refusal."""
    return answer[0], answer[1]["Message"].removeprefix("ErrorCode:").partition(";")[0]


@asynccontextmanager
async def running_hub(
    directory: Path, event_hubs_connection: str, config: Path, *, address: str | None = None, data: Path | None = None
) -> AsyncIterator[Hub]:
    """A hub, at an address of its own unless it shall come back to one; what it keeps lies in `data`."""
    address, log = address or own_address(), directory / "hub.log"
    pki = ensure_pki(directory / "pki", [address])
    service = await Service.start(
        "localcloud.iothub",
        *("--address", address, "--hostname", address, "--mqtt-port", str(MQTT_PORT), "--rest-port", "0"),
        *("--pki", str(pki.directory), "--event-hubs", event_hubs_connection, "--config", str(config)),
        *(("--data", str(data)) if data else ()),
        log=log,
    )
    tls = ssl.create_default_context(cafile=pki.root)
    base = f"https://{address}:{service.ports['rest_port']}"
    try:
        async with aiohttp.ClientSession(base, connector=aiohttp.TCPConnector(ssl=tls)) as http:
            yield Hub(service, address, pki, log, http)
    finally:
        await service.stop()
