"""The host's log: one line on stderr for each record, with the name of the function that speaks."""

import logging
import os
import sys
from contextvars import ContextVar

from localcloud.host.log_levels import LogLevels

logger = logging.getLogger("localcloud.host")
HOST = "host"
current_function: ContextVar[str] = ContextVar("current_function", default=HOST)


class _OneLine(logging.Formatter):
    """Tracebacks and line breaks become part of the line, so that each line is one event."""

    def format(self, record: logging.LogRecord) -> str:
        record.function = current_function.get()
        return " | ".join(line.strip() for line in super().format(record).splitlines())


class _Levels(logging.Filter):
    """Categories are those of the real host: `Function.{name}.User` for what a function logs itself,
    `Function.{name}` for what the host says of it, `Host` for the rest.
    """

    def __init__(self, levels: LogLevels) -> None:
        super().__init__()
        self._levels = levels

    def filter(self, record: logging.LogRecord) -> bool:
        function = current_function.get()
        if function == HOST:
            category = "Host"
        else:
            category = f"Function.{function}" if record.name == logger.name else f"Function.{function}.User"
        return record.levelno >= self._levels.least(category)


def configure_logging(levels: LogLevels | None = None) -> None:
    """Sends records to stderr as `levels` say; SDKs speak only of errors, since they retry by themselves.

    As in the worker, nothing below INFO is recorded unless `PYTHON_ENABLE_DEBUG_LOGGING` asks for it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(function)s: %(message)s"))
    handler.addFilter(_Levels(levels or LogLevels()))
    debugging = os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING", "").lower() in ("1", "true")
    logging.basicConfig(level=logging.DEBUG if debugging else logging.INFO, handlers=[handler], force=True)
    logging.getLogger("azure").setLevel(logging.ERROR)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
