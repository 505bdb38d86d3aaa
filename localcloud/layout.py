"""Where the local cloud listens and keeps its files, and the connection strings that follow from it."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

LOOPBACK = "127.0.0.1"
SERVICE_KEY_NAME = "RootManageSharedAccessKey"
SERVICE_KEY = "bG9jYWwtY2xvdWQtc2VydmljZS1rZXk="  # the same on every machine: it opens nothing but loopback
STORAGE_ACCOUNT = "devstoreaccount1"
# Azurite's documented, public development key.
STORAGE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class StartFailed(Exception):  # noqa: N818
    """A service did not come up; the message says why as far as the service did."""


class ServiceEnded(Exception):  # noqa: N818
    """A service ended that was to stay; the message says which."""


def make_folder(path: Path) -> Path:
    """The folder, made if it is not there. Raises `StartFailed` if nothing can be written into it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        reason = None if os.access(path, os.W_OK | os.X_OK) else "it is read-only"
    except OSError as error:
        reason = error.strerror
    if reason:
        raise StartFailed(f"nothing can be kept in {path.absolute()}: {reason}")
    return path


@dataclass(frozen=True, slots=True)
class Layout:
    """One local cloud: its folder, its host name and its ports."""

    directory: Path
    hostname: str = "localhost"  # the name that clients use and that the server certificate carries
    address: str = LOOPBACK
    amqp_port: int = 5672
    mqtt_port: int = 8883
    hub_rest_port: int = 8443
    functions_port: int = 7071
    smtp_port: int = 2525
    blob_port: int = 10000
    queue_port: int = 10001
    table_port: int = 10002

    @property
    def amqp_connection(self) -> str:
        """Service Bus and Event Hubs alike: the broker serves both on one port."""
        return (
            f"Endpoint=sb://{self.hostname}:{self.amqp_port};SharedAccessKeyName={SERVICE_KEY_NAME};"
            f"SharedAccessKey={SERVICE_KEY};UseDevelopmentEmulator=true;"
        )

    @property
    def storage_connection(self) -> str:
        base = f"http://{self.address}"
        return (
            f"DefaultEndpointsProtocol=http;AccountName={STORAGE_ACCOUNT};AccountKey={STORAGE_KEY};"
            f"BlobEndpoint={base}:{self.blob_port}/{STORAGE_ACCOUNT};"
            f"QueueEndpoint={base}:{self.queue_port}/{STORAGE_ACCOUNT};"
            f"TableEndpoint={base}:{self.table_port}/{STORAGE_ACCOUNT};"
        )

    @property
    def iothub_service_connection(self) -> str:
        return (
            f"HostName={self.hostname}:{self.hub_rest_port};SharedAccessKeyName=iothubowner;"
            f"SharedAccessKey={SERVICE_KEY}"
        )

    @property
    def pki(self) -> Path:
        return self.directory / "pki"

    def places(self) -> dict[str, str]:
        """Everything that an app's settings may name, by the words of the configuration file."""
        return {
            "amqp": self.amqp_connection,
            "iothub": self.iothub_service_connection,
            "storage": self.storage_connection,
            "pki": str(self.pki),
            "hostname": self.hostname,
            "address": self.address,
            **{name: str(port) for name, port in self.ports()},
        }

    def ports(self) -> Iterator[tuple[str, int]]:
        """Every port by its field's name."""
        for field in fields(self):
            if field.name.endswith("_port"):
                yield field.name, getattr(self, field.name)

    def check_free(self, *names: str) -> None:
        """Raises `StartFailed` if another process listens on one of these ports, naming the option that moves it."""
        for name in names:
            port = getattr(self, name)
            try:
                socket.create_server((self.address, port)).close()
            except OSError as error:
                reason = os.strerror(error.errno or 0)
                remedy = f"python -m localcloud up --{name.replace('_', '-')} PORT"
                raise StartFailed(
                    f"port {port} on {self.address} is taken ({reason}); choose another with `{remedy}`"
                ) from error

    def on_free_ports(self) -> "Layout":
        """The same cloud on ports that nobody uses now, so that several can run side by side."""
        sockets = {name: socket.create_server((self.address, 0)) for name, _ in self.ports()}
        chosen = {name: opened.getsockname()[1] for name, opened in sockets.items()}
        for opened in sockets.values():
            opened.close()
        return replace(self, **chosen)
