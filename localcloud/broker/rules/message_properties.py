"""The properties of a message as rules see and change them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from localcloud.broker.message import APPLICATION_PROPERTIES, PARTITION_KEY, PROPERTIES, Message, RawMap, raw_map
from localcloud.broker.rules.sql_action import REMOVED, Changes
from localcloud.broker.rules.sql_expression import Properties
from localcloud.broker.wire.amqp_types import Described, Encoded, Malformed
from localcloud.broker.wire.decoder import decode, items, skip
from localcloud.broker.wire.encoder import NULL, described, encode, encode_list
from localcloud.broker.wire.performatives import text

# By their index in the section (OASIS AMQP 1.0, part 3, section 3.2.4); the service calls the subject a label too.
_INDEXES: Final = {
    "messageid": 0,
    "to": 2,
    "label": 3,
    "subject": 3,
    "replyto": 4,
    "correlationid": 5,
    "contenttype": 6,
    "sessionid": 10,
    "replytosessionid": 12,
}


def properties_of(message: Message) -> Properties:
    """What rules can know; of a message whose properties make no sense, nothing."""
    try:
        return Properties(_system_properties(message), _user_properties(message))
    except Malformed:
        return Properties({}, {})


def changed(message: Message, changes: Changes) -> Message:
    """The message with other properties; those of the application are the same whatever the case of their names."""
    replaced = {name.lower() for name in changes.user}
    try:
        pairs = [pair for key, pair in _application_properties(message).pairs() if _key(key) not in replaced]
    except Malformed:
        pairs = []
    pairs += [encode(name) + encode(value) for name, value in changes.user.items() if value is not REMOVED]
    section = RawMap(b"".join(pairs), 2 * len(pairs)).section(APPLICATION_PROPERTIES)
    message = replace(message, application_properties=section)
    return _with_system_properties(message, changes.system) if changes.system else message


def _with_system_properties(message: Message, changes: Mapping[str, str | None]) -> Message:
    fields = items(message.properties, skip(message.properties, 1))
    fields += [NULL] * (max(_INDEXES.values()) + 1 - len(fields))
    for name, value in changes.items():
        fields[_INDEXES[name]] = encode(value)
    return replace(
        message,
        properties=described(PROPERTIES, encode_list(fields)),
        message_id=changes.get("messageid", message.message_id),
        session_id=changes.get("sessionid", message.session_id),
    )


def _system_properties(message: Message) -> dict[str, Any]:
    fields = decode(message.properties, skip(message.properties, 1))[0]
    assert isinstance(fields, list)
    fields += [None] * (max(_INDEXES.values()) + 1 - len(fields))
    system = {name: fields[index] for name, index in _INDEXES.items()}
    system["partitionkey"] = message.annotations.get(PARTITION_KEY)
    return {name: value for name, value in system.items() if value is not None}


def _user_properties(message: Message) -> dict[str, Any]:
    pairs = _application_properties(message).pairs()
    return {_key(key): _usable(decode(pair, skip(pair, 0))[0]) for key, pair in pairs}


def _key(name: Any) -> str:
    return (text(name) or "").lower()


def _application_properties(message: Message) -> RawMap:
    if not message.application_properties:
        return RawMap()
    return raw_map(message.application_properties, skip(message.application_properties, 1))


def _usable(value: Any) -> Any:
    """Rules cannot look into what is not a simple value: there is a property, but nothing is known of it."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return None
    return None if isinstance(value, list | dict | Described | Encoded) else value
