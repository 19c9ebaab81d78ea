"""The parent of a worker process: what the code under test does to its parent is done to it, and not to the run.

It waits for the worker, ends whatever that leaves behind, and ends as the worker did. The worker ends with it, and it
ends when the process that started it is gone: so a run that is killed leaves no check behind that would never end.
Imported before anything else, so that there is little of it in memory.
"""

import contextlib
import os
import signal
import sys
import time

KILLED = 137
"""Exit status where the worker got SIGKILL; a guardian that dies of that was killed itself."""

_SET_DEATH_SIGNAL, _ADOPT_ORPHANS = 1, 36  # of prctl
_PERIOD, _PATIENCE = 1.0, 2.0


def guard() -> None:
    """Let a guardian stay behind, and return in the worker."""
    if not hasattr(os, "fork"):
        return
    started_by = os.getppid()
    _control(_ADOPT_ORPHANS, 1)
    with contextlib.suppress(AttributeError):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    guardian, worker = os.getpid(), os.fork()
    if worker == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        _control(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != guardian:
            os._exit(KILLED)
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # whoever reads what the worker writes sees the end when that has ended
        os.dup2(nothing, stream)
    status = _wait(worker, started_by)
    _end_orphans()
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGKILL:
        os._exit(KILLED)
    if code >= 0:
        os._exit(code)
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    os._exit(KILLED)  # not reached


def _wait(worker: int, started_by: int) -> int:
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)  # also orphans that were adopted
        if ended == worker:
            return status
        if os.getppid() != started_by:
            os.kill(worker, signal.SIGKILL)
        if not ended:
            _until_a_child_ends()


def _until_a_child_ends() -> None:
    if hasattr(signal, "sigtimedwait"):
        signal.sigtimedwait([signal.SIGCHLD], _PERIOD)
    else:
        time.sleep(0.05)


def _end_orphans() -> None:
    """Kill those who were adopted, and whom they leave."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        for child in _children():
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                _until_a_child_ends()
        except ChildProcessError:
            return


def _children() -> list[int]:
    if sys.platform != "linux":
        return []
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:  # noqa: PTH123 - light imports
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _control(what: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).prctl(what, value, 0, 0, 0)
