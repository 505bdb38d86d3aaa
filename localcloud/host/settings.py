"""App settings: the environment, and the `Values` of a local.settings.json below it."""

import json
import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from localcloud.errors import Misconfigured

STORAGE_SETTING = "AzureWebJobsStorage"
"""The connection string of the host's own storage, which storage triggers use too unless they name another."""

_REFERENCE = re.compile(r"%([^%]+)%")


def read_local_settings(path: Path) -> dict[str, str]:
    """The `Values` of a local.settings.json.

    Raises `Misconfigured` if the file is absent, is not JSON or was encrypted by Core Tools.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured(f"cannot read the settings file {path}: {error.strerror}") from error
    except ValueError as error:
        raise Misconfigured(f"the settings file {path} is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Values", {}), dict):
        raise Misconfigured(f'the settings file {path} holds no object named "Values"')
    if document.get("IsEncrypted"):
        raise Misconfigured(f"the settings file {path} is encrypted: run `func settings decrypt` first")
    return {name: str(value) for name, value in document.get("Values", {}).items()}


class AppSettings:
    """App settings by name, as bindings refer to them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @classmethod
    def load(cls, path: Path | None, environment: MutableMapping[str, str] = os.environ) -> "AppSettings":
        """The settings of this process. Values of the file go into the environment, which wins where both speak,
        because functions read their settings from there.
        """
        if path is not None:
            for name, value in read_local_settings(path).items():
                environment.setdefault(name, value)
        return cls(environment)

    def get(self, name: str) -> str | None:
        return self._values.get(name)

    def resolve(self, text: str) -> str:
        """`text` with each `%NAME%` replaced by that setting. Raises `Misconfigured` for one that is absent."""

        def value_of(reference: re.Match[str]) -> str:
            value = self._values.get(reference[1])
            if value is None:
                raise Misconfigured(f"the app setting {reference[1]} is absent, which %{reference[1]}% refers to")
            return value

        return _REFERENCE.sub(value_of, text)

    def connection(self, name: str) -> str:
        """The connection string that a binding's `connection` names, prefixed or plain as in the real host.

        Raises `Misconfigured` if it is absent, or an identity-based connection, which nothing local accepts.
        """
        resolved = self.resolve(name)
        value = self._values.get(f"AzureWebJobs{resolved}") or self._values.get(resolved)
        if value:
            return value
        if any(key.startswith(f"{resolved}__") for key in self._values):
            raise Misconfigured(f"the connection {resolved} is identity-based; a connection string is needed here")
        raise Misconfigured(f"the app setting {resolved} is absent, which a connection refers to")
