"""Errors of the app, told so that their place in its own code can be found."""

import sysconfig
import traceback
from pathlib import Path

_FRAMES = 10
_NOT_THE_APP = (str(Path(__file__).parent), sysconfig.get_path("stdlib"), "<frozen ")


def described(error: BaseException) -> str:
    """The exception with its way through the app's own code, and its cause; arguments stay out of the log."""
    own = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not (frame.filename.startswith(_NOT_THE_APP) or "site-packages" in frame.filename)
    ]
    place = f" ({' > '.join(own[-_FRAMES:])})" if own else ""
    cause = f", caused by {described(error.__cause__)}" if error.__cause__ else ""
    return f"{type(error).__name__}: {error}{place}{cause}"
