"""What limits an entity, and the properties that Azure has for it but a local broker does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from localcloud.broker.declarations.declared import count, duration
from localcloud.broker.delivery import MAX_MESSAGE_BYTES
from localcloud.errors import Misconfigured

# These change only how the service does its work: a broker in one process has nothing to do for them.
_WITHOUT_EFFECT: Final = frozenset({"EnableBatchedOperations", "EnableExpress", "SupportOrdering", "UserMetadata"})
_UNSUPPORTED: Final = frozenset({"AutoDeleteOnIdle", "EnablePartitioning"})
LIMITS: Final = (
    frozenset({"MaxSizeInMegabytes", "MaxMessageSizeInKilobytes", "Status"}) | _WITHOUT_EFFECT | _UNSUPPORTED
)
_MAX_SIZE_MB: Final = 256
_STATUSES: Final = {
    "Active": (False, False),
    "SendDisabled": (True, False),
    "ReceiveDisabled": (False, True),
    "Disabled": (True, True),
}
# .NET's longest duration, which means never; whatever is about as long means the same.
NEVER_S: Final = 10 * 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a queue, topic or subscription."""

    max_size_bytes: int = _MAX_SIZE_MB << 20
    max_message_bytes: int = MAX_MESSAGE_BYTES
    send_disabled: bool = False
    receive_disabled: bool = False


DEFAULT_LIMITS: Final = Limits()


def parse_limits(table: Mapping[str, Any], where: str, defaults: Limits) -> Limits:
    """Raises Misconfigured. A larger size than this broker's is what an entity in Azure may have: it is cut."""
    send_disabled, receive_disabled = defaults.send_disabled, defaults.receive_disabled
    if "Status" in table:
        if table["Status"] not in _STATUSES:
            raise Misconfigured(f"{where}.Status must be one of {', '.join(_STATUSES)}")
        send_disabled, receive_disabled = _STATUSES[table["Status"]]
    size_mb = count(table, "MaxSizeInMegabytes", where, defaults.max_size_bytes >> 20, 81_920)
    message_kb = count(table, "MaxMessageSizeInKilobytes", where, defaults.max_message_bytes >> 10, 102_400)
    return Limits(
        min(size_mb, _MAX_SIZE_MB) << 20,
        min(message_kb << 10, MAX_MESSAGE_BYTES),
        send_disabled,
        receive_disabled,
    )


def refuse_unsupported(table: Mapping[str, Any], where: str) -> None:
    """Raises Misconfigured for what an app would miss if it were passed over."""
    if table.get("EnablePartitioning", False) is not False:
        raise Misconfigured(f"{where}.EnablePartitioning: partitioned entities are not supported")
    if duration(table, "AutoDeleteOnIdle", where, NEVER_S) < NEVER_S:
        raise Misconfigured(f"{where}.AutoDeleteOnIdle: entities stay as they are declared and are never deleted")
