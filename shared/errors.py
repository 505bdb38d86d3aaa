"""Errors grouped by who must act. Everything that can go wrong in a job is one of these four."""


class Rejected(Exception):  # noqa: N818 - the four words are the house's vocabulary
    """The input is at fault: park it with this reason and go on. Trying again cannot help.

    `code` is stable and made for machines (`bad-json`, `foreign-vehicle`); `detail` is a sentence for people.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Conflict(Exception):  # noqa: N818
    """Someone else changed the state first: load it again and decide anew."""


class Unavailable(Exception):  # noqa: N818
    """Infrastructure does not answer or throttles: try again later.

    `retry_after_s` is what the service asked for, if it did.
    """

    def __init__(self, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Misconfigured(Exception):  # noqa: N818
    """A setting is absent or makes no sense: stop at the start and name it."""
