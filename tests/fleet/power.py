"""Cutting a vehicle's power at chosen moments."""

import os


class PowerCut(BaseException):
    """Nothing catches this by accident."""


class PowerSwitch:
    """Counts the moments at which a power cut makes a difference, and cuts at one of them.

    These are the moments at which something becomes durable (a file's content before it gets its name, a directory
    after a name was given or taken) and those before and after a message leaves the vehicle.
    """

    def __init__(self) -> None:
        self._fsync = os.fsync
        self._left: int | None = None
        self.was_cut = False

    def cut_after(self, moments: int) -> None:
        self._left, self.was_cut = moments, False

    def moment(self) -> None:
        if self._left is None:
            return
        if self._left == 0:
            self._left, self.was_cut = None, True
            raise PowerCut
        self._left -= 1

    def fsync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        self.moment()
