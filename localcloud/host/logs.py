"""The host's log: one line on stderr for each record, with the name of the function that speaks."""

import logging
import sys
from contextvars import ContextVar

logger = logging.getLogger("localcloud.host")
current_function: ContextVar[str] = ContextVar("current_function", default="host")


class _OneLine(logging.Formatter):
    """Tracebacks and line breaks become part of the line, so that each line is one event."""

    def format(self, record: logging.LogRecord) -> str:
        record.function = current_function.get()
        return " | ".join(line.strip() for line in super().format(record).splitlines())


def configure_logging() -> None:
    """Sends all records from INFO on to stderr; SDKs speak only of errors, since they retry by themselves."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(function)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("azure").setLevel(logging.ERROR)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
