"""Children that a function forks and that return from it as if they were their parent."""

import mmap
import os
import time

CAME_BACK = 70
"""Exit status of such a child."""

_PATIENCE = 0.05

_returned = mmap.mmap(-1, 1)  # shared with children
_forks = 0


def _count() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_count)


def forks() -> int:
    """Return how many children this process has forked."""
    return _forks


def end_if_child_of(process: int) -> None:
    """End this process if it is another one than ``process``, and let that one know."""
    if os.getpid() != process:
        _returned[0] = 1
        os._exit(CAME_BACK)


def came_back(forks_before: int) -> bool:
    """Whether a child came back; where there are new ones, they get some time to do so. It is told once."""
    end = time.monotonic() + _PATIENCE
    while _forks > forks_before and not _returned[0] and time.monotonic() < end:
        time.sleep(0.001)
    found = bool(_returned[0])
    _returned[0] = 0
    return found
