"""Devices that send without measure, in a process of their own; it says the name of the first error they get.

The SDK may forget sends that were under way when the hub cut the connection, and its own shutdown then waits for them
for ever: this process can be ended all the same.

Usage: flooding_devices.py HOSTNAME ROOT (DEVICE_ID CERTIFICATE KEY)...
"""

import asyncio
import os
import sys
from pathlib import Path

from azure.iot.device import X509
from azure.iot.device.aio import IoTHubDeviceClient

from tests.iothub.devices import telemetry

SENDS = 40  # of each device; the SDK has 20 on the way at a time


async def first_error(hostname: str, root: str, devices: list[tuple[str, str, str]]) -> str:
    clients = [
        IoTHubDeviceClient.create_from_x509_certificate(
            X509(certificate, key),  # type: ignore[no-untyped-call] # not annotated
            hostname,
            device_id,
            server_verification_cert=root,
            connection_retry=False,
        )
        for device_id, certificate, key in devices
    ]
    await asyncio.gather(*(client.connect() for client in clients))
    sends = [asyncio.ensure_future(client.send_message(telemetry("x"))) for client in clients for _ in range(SENDS)]
    done, _ = await asyncio.wait(sends, return_when=asyncio.FIRST_EXCEPTION)
    return next((type(error).__name__ for send in done if (error := send.exception())), "no error")


async def main() -> None:
    hostname, root, *files = sys.argv[1:]
    devices = list(zip(files[::3], files[1::3], files[2::3], strict=True))
    sys.stdout.write(await first_error(hostname, Path(root).read_text(), devices))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
