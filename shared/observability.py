"""Which trace the work at hand belongs to, so that one can be followed from a car to a person's mailbox.

W3C Trace Context: https://www.w3.org/TR/trace-context/#traceparent-header. Messages carry it as an attribute
(`shared.messaging.envelope`); whatever is sent while a message is handled goes on with that message's trace.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


@contextmanager
def following(traceparent: str | None) -> Iterator[None]:
    """Work in this block belongs to that trace; to one of its own if there is none or it is malformed."""
    known = traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
    token = _current.set(known or _compose(secrets.token_hex(16), "01"))
    try:
        yield
    finally:
        _current.reset(token)


def outgoing_traceparent() -> str:
    """The trace context for a message that is sent now: the current trace, a span of its own."""
    current = _current.get()
    if current is None:
        return _compose(secrets.token_hex(16), "01")
    _, trace_id, _, flags = current.split("-")
    return _compose(trace_id, flags)


def _compose(trace_id: str, flags: str) -> str:
    return f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"
