"""The CPU time of another process."""

import ctypes
import os
import time


def cpu_s(pid: int) -> float:
    """What all threads of a running process have used until now, user and system, in seconds.

    Finer than the ticks of /proc. Raises `OSError` if there is no such process. Linux, like POSIX elsewhere that has
    `clock_getcpuclockid`; macOS has not.
    """
    clock_id = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock_id))
    if error:
        raise OSError(error, os.strerror(error))
    return time.clock_gettime(clock_id.value)
