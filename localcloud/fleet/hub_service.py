"""The factory's way into the hub's registry: the service REST API of Azure IoT Hub.

https://learn.microsoft.com/rest/api/iothub/service/devices
"""

import base64
import hashlib
import hmac
import ssl
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, quote_plus

import aiohttp
import msgspec

from localcloud.fleet.link import API_VERSION

_TOKEN_LIFETIME_S: Final = 3600


class HubServiceError(Exception):
    """The service API refused a request; `code` is its own name for the reason."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"the hub's service API answered {status} {code}")
        self.status = status
        self.code = code


class HubService:
    """A client for the length of an `async with`. Errors of the network are aiohttp's own."""

    def __init__(self, connection_string: str, ca_file: Path) -> None:
        parts = dict(part.split("=", 1) for part in connection_string.split(";") if part)
        self._host = parts["HostName"]
        self._policy = parts["SharedAccessKeyName"]
        self._key = base64.b64decode(parts["SharedAccessKey"])
        self._tls = ssl.create_default_context(cafile=ca_file)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._tls)
        self._http = aiohttp.ClientSession(f"https://{self._host}", connector=connector)
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self._http.close()

    async def register(self, device_id: str, thumbprint: str) -> dict[str, Any]:
        """Lets the device in with the certificate of this SHA-256 and no other, and returns its identity.

        A device that exists already keeps its twin. Raises `HubServiceError`.
        """
        path = f"/devices/{quote(device_id)}"
        authentication = {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": thumbprint}}
        identity = {"deviceId": device_id, "status": "enabled", "authentication": authentication}
        try:
            return await self.call("PUT", path, identity)
        except HubServiceError as error:
            if error.status != 409:
                raise
        return await self.call("PUT", path, identity, if_match="*")

    async def get_device(self, device_id: str) -> dict[str, Any]:
        """The identity. Raises `HubServiceError`."""
        return await self.call("GET", f"/devices/{quote(device_id)}")

    async def get_twin(self, device_id: str) -> dict[str, Any]:
        """Raises `HubServiceError`."""
        return await self.call("GET", f"/twins/{quote(device_id)}")

    async def call(self, method: str, path: str, body: Any = None, *, if_match: str | None = None) -> dict[str, Any]:
        """Any request of the API, and its decoded answer. Raises `HubServiceError`."""
        headers = {"Authorization": self._token(), "Content-Type": "application/json"}
        if if_match is not None:
            headers["If-Match"] = if_match
        async with self._http.request(
            method, path, params={"api-version": API_VERSION}, data=msgspec.json.encode(body), headers=headers
        ) as response:
            answer = await response.read()
            if response.status >= 300:
                raise HubServiceError(response.status, response.headers.get("iothub-errorcode", ""))
        decoded: dict[str, Any] = msgspec.json.decode(answer)
        return decoded

    def _token(self) -> str:
        """https://learn.microsoft.com/azure/iot-hub/authenticate-authorize-sas#sas-token-structure"""
        resource, expiry = quote_plus(self._host), int(time.time()) + _TOKEN_LIFETIME_S
        digest = hmac.new(self._key, f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
        signature = quote_plus(base64.b64encode(digest))
        return f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={self._policy}"
