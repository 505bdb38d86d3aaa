"""A message as the conditions of routes see it: its properties, its body, and the twin of the device behind it.

Source: "IoT Hub message routing query syntax".
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import msgspec

from localcloud.errors import Misconfigured
from localcloud.expressions import ExpressionError
from localcloud.iothub.events import Event
from localcloud.iothub.query import Dialect, parse_condition
from localcloud.iothub.query_functions import FUNCTIONS
from localcloud.iothub.query_values import UNDEFINED, Kind, Value, member, parse_path
from localcloud.iothub.twin import Twin

Condition = Callable[["MessageView"], bool | None]

# Of Python by those that the service takes.
_ENCODINGS: Final = {"utf-8": "utf-8-sig", "utf-16": "utf-16", "utf-32": "utf-32"}
_JSON: Final = "application/json"
# From the property that a device sets to its keyword in a query.
_SENT: Final = {
    "content_type": "contenttype",
    "content_encoding": "contentencoding",
    "message_id": "messageid",
    "correlation_id": "correlationid",
    "user_id": "userid",
}
# From the stamp of the hub to its keyword; it answers to its own name too.
_STAMPED: Final = {
    "iothub-connection-device-id": "connectiondeviceid",
    "iothub-connection-auth-generation-id": "connectiondevicegenerationid",
    "iothub-connection-auth-method": "connectionauthmethod",
    "iothub-enqueuedtime": "enqueuedtime",
}
_ROOT: Final = re.compile(r"[^.\[]+")
_SECTIONS: Final = {"desired", "reported"}


class MessageView:
    """What is not asked for is not computed: most routes look at application properties only."""

    def __init__(self, event: Event, twin: Twin | None) -> None:
        self._event = event
        self._twin = twin

    @cached_property
    def application(self) -> Mapping[str, str]:
        """By names in lower case: the service does not tell cases apart."""
        return {name.lower(): value for name, value in self._event.properties.application.items()}

    @cached_property
    def system(self) -> Mapping[str, str]:
        """By names in lower case, without the dollar sign."""
        properties, stamps = self._event.properties, self._event.stamps
        view = {_SENT[name]: value for name, value in properties.system.items() if name in _SENT}
        view |= properties.annotations
        for name, keyword in _STAMPED.items():
            if name in stamps:
                view[name] = view[keyword] = _text(stamps[name])
        return view

    @cached_property
    def body(self) -> Value:
        """The document in the body, undefined if the message does not say that there is one."""
        kind, _, parameter = self.system.get("contenttype", "").lower().partition(";")
        charset = parameter.strip().removeprefix("charset=")
        encoding = _ENCODINGS.get(self.system.get("contentencoding", charset).lower())
        if kind.strip() != _JSON or encoding is None:
            return UNDEFINED
        try:
            return msgspec.json.decode(self._event.body.decode(encoding))
        except (ValueError, RecursionError):  # no text of that encoding, or no JSON
            return UNDEFINED

    @cached_property
    def twin(self) -> Value:
        """Tags and properties, with all names in lower case."""
        if self._twin is None:
            return UNDEFINED
        sections = {"desired": self._twin.desired, "reported": self._twin.reported}
        properties = {name: section.for_service() for name, section in sections.items()}
        return _lower({"tags": self._twin.tags, "properties": properties})


def parse_query(text: str) -> Condition:
    """The condition of a route. Raises `Misconfigured` for what is not supported."""
    try:
        return parse_condition(text, _DIALECT)
    except ExpressionError as error:
        raise Misconfigured(f"routing query: {error}") from error


def _reference(name: str) -> tuple[Kind, Callable[[MessageView], Value]]:
    root = _ROOT.match(name)
    assert root is not None, "a name begins with a letter or with a dollar sign"
    match root[0].lower():
        case "$body":
            path = parse_path(name[root.end() :])
            # Of the body as a whole nothing can be asked.
            is_whole = not path or isinstance(path[0], int)
            return Kind.ANY, lambda message: UNDEFINED if is_whole else member(message.body, path)
        case "$twin":
            names = parse_path(name[root.end() :].lower())
            if not (names[:1] == ["tags"] or (names[:1] == ["properties"] and names[1:2] and names[1] in _SECTIONS)):
                raise ValueError("of a twin there are $twin.tags, $twin.properties.desired and .reported; this is")
            return Kind.ANY, lambda message: member(message.twin, names)
    if "[" in name:
        raise ValueError("only $body and $twin have something to index;")
    key = name.lower()
    if not key.startswith("$"):
        return Kind.TEXT, lambda message: message.application.get(key, UNDEFINED)
    # The hub looks among the system properties first; what is not there may be an application property.
    return Kind.TEXT, lambda message: message.system.get(key[1:], message.application.get(key, UNDEFINED))


_DIALECT: Final = Dialect(_reference, FUNCTIONS)


def _text(stamp: str | datetime) -> str:
    return stamp if isinstance(stamp, str) else stamp.isoformat().replace("+00:00", "Z")


def _lower(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.lower(): _lower(inner) for name, inner in value.items()}
    return [_lower(item) for item in value] if isinstance(value, list) else value
