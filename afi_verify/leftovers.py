"""What a check leaves behind in its worker process that could reach the next one: then that one gets a fresh process.

None of it is held against anybody: a pool of threads that is kept is no mistake. But a thread that ends the process a
second later would be blamed on the check that runs by then.
"""

import contextlib
import faulthandler
import os
import sys
import threading
from typing import NamedTuple

_MANY_FILES = 50
_OURS = ("afi_", "numpy", "scipy", "hypothesis", "sklearn", "json", "pickle")


class Present(NamedTuple):
    """What there is in a process."""

    threads: int
    children: bool
    files: int
    modules: tuple[tuple[str, int], ...]  # those that checks need, and which objects they are
    path: tuple[str, ...]


def present() -> Present:
    """Return what there is in this process."""
    modules = tuple((name, id(module)) for name, module in sys.modules.copy().items() if name.startswith(_OURS))
    return Present(threading.active_count(), _has_children(), _files(), modules, tuple(sys.path))


def left_since(before: Present) -> bool:
    """Whether there is more than before that could do harm, or less of what checks need."""
    faulthandler.cancel_dump_traceback_later()  # it may be set to end the process
    now = present()
    return (
        now.threads > before.threads
        or now.children > before.children
        or now.files > before.files + _MANY_FILES
        or not set(before.modules) <= set(now.modules)
        or not set(before.path) <= set(now.path)
    )


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (ChildProcessError, AttributeError):  # none, or not to be told on this system
        return False
    return True


def _files() -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"))  # noqa: PTH208 - fast
    return 0
