"""App settings: the environment, and the values of a local.settings.json below it."""

import os
import re
from collections.abc import Mapping, MutableMapping

from localcloud.errors import Misconfigured
from localcloud.host.logs import logger
from localcloud.layout import STORAGE_ACCOUNT, STORAGE_KEY

STORAGE_SETTING = "AzureWebJobsStorage"
"""The connection string of the host's own storage, which storage triggers use too unless they name another."""

# .NET's word for Azurite at its own ports; the Python SDKs do not know it.
_DEVELOPMENT_STORAGE = "usedevelopmentstorage=true"
_AZURITE = (
    f"DefaultEndpointsProtocol=http;AccountName={STORAGE_ACCOUNT};AccountKey={STORAGE_KEY};"
    f"BlobEndpoint=http://127.0.0.1:10000/{STORAGE_ACCOUNT};QueueEndpoint=http://127.0.0.1:10001/{STORAGE_ACCOUNT};"
)
_REFERENCE = re.compile(r"%([^%]+)%")


class AppSettings:
    """App settings by name, as bindings refer to them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @classmethod
    def over(cls, values: Mapping[str, str], environment: MutableMapping[str, str] = os.environ) -> "AppSettings":
        """The settings of this process. `values` go into the environment, which wins where both speak (an empty one
        says nothing), because functions read their settings from there.
        """
        for name, value in values.items():
            if environment.get(name):
                logger.info("Skipping '%s' from local settings as it's already defined in the environment.", name)
            else:
                environment[name] = value
        return cls(environment)

    def get(self, name: str) -> str | None:
        return self._values.get(name)

    def is_disabled(self, function: str) -> bool:
        """Whether a setting turns the function off ("How to disable functions in Azure Functions")."""
        names = (f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs_{function}_Disabled")
        return any(self._values.get(name, "").lower() in ("1", "true") for name in names)

    def overrides(self, prefix: str) -> dict[str, str]:
        """What follows `prefix` in the names of settings, with its value."""
        return {name[len(prefix) :]: value for name, value in self._values.items() if name.startswith(prefix)}

    def resolve(self, text: str) -> str:
        """`text` with each `%NAME%` replaced by that setting. Raises `Misconfigured` for one that is absent."""

        def value_of(reference: re.Match[str]) -> str:
            value = self._values.get(reference[1])
            if value is None:
                raise Misconfigured(f"'{reference[0]}' does not resolve to a value: set the app setting {reference[1]}")
            return value

        return _REFERENCE.sub(value_of, text)

    def connection(self, name: str) -> str:
        """The connection string that a binding's `connection` names, prefixed or plain as in the real host.

        Raises `Misconfigured` if it is absent, or an identity-based connection, which nothing local accepts.
        """
        resolved = self.resolve(name)
        for prefix in ("ConnectionStrings:AzureWebJobs", "AzureWebJobs", "ConnectionStrings:", ""):
            if value := self._values.get(prefix + resolved):
                return _AZURITE if value.strip().rstrip(";").lower() == _DEVELOPMENT_STORAGE else value
        if any(key.startswith(f"{resolved}__") for key in self._values):
            raise Misconfigured(f"the connection {resolved} is identity-based; a connection string is needed here")
        raise Misconfigured(f"the app setting {resolved} is absent, which a connection refers to")
