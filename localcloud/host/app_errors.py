"""Errors of the app, told so that their place in its own code can be found."""

import sysconfig
import traceback
from pathlib import Path

_FRAMES = 10
_NOT_THE_APP = (str(Path(__file__).parent), sysconfig.get_path("stdlib"), "<frozen ")


def described(error: BaseException) -> str:
    """The exception with its place in the app, and its cause; arguments stay out of the log."""
    cause = f", caused by {described(error.__cause__)}" if error.__cause__ else ""
    return f"{type(error).__name__}: {error}{_place(error)}{cause}"


def place_in_app(error: BaseException) -> str:
    """Where the error, or what caused it, came from in the app's own code; nothing if it came from none of it."""
    return _place(error) or (place_in_app(error.__cause__) if error.__cause__ else "")


def _place(error: BaseException) -> str:
    own = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not (frame.filename.startswith(_NOT_THE_APP) or "site-packages" in frame.filename)
    ]
    return f" ({' > '.join(own[-_FRAMES:])})" if own else ""
