"""Errors of the local cloud's services, grouped by who must act.

The app has the same four of its own: the host runs apps of any kind in its process, so nothing of the local cloud may
depend on a package of one of them.
"""


class Rejected(Exception):  # noqa: N818 - the words are the house's vocabulary
    """The request is at fault. `code` is the protocol's name for the reason, `detail` a sentence for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Conflict(Exception):  # noqa: N818
    """Someone else changed the state first."""


class Unavailable(Exception):  # noqa: N818
    """Another service does not answer: try again later."""


class Misconfigured(Exception):  # noqa: N818
    """A setting or an option makes no sense: stop at the start and name it."""
