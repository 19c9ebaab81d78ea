"""A time limit for code in this very process, as far as there can be one.

An alarm raises an exception where the code is. What does not heed it, because it swallows every exception or is in C,
is ended together with the process, after saying where it was: a test run that fails is better than one that hangs.
"""

import contextlib
import faulthandler
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from afi_verify.capture import file_name

GRACE = 10.0
"""Seconds after which code that does not heed the alarm is ended together with the process."""

_AGAIN = 1.0
_CALLER = str(Path(__file__).with_name("handing.py"))


class TimeUpError(BaseException):
    """The time is up; not an Exception, so that fewer handlers take it for theirs."""


@contextlib.contextmanager
def time_limit(seconds: float, stderr: int | None = None) -> Iterator[None]:
    """Raise :class:`TimeUpError` where the code is after so many seconds, and again and again until it heeds it.

    ``stderr``: the file descriptor to which the last words of the process go. Where a shorter alarm of somebody else is
    set, that one is left alone. Off the main thread, and without alarms, only the process can be ended.
    """
    with contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
            stack.enter_context(_alarm(seconds))
        with contextlib.suppress(AttributeError, OSError, ValueError):  # there may be no such file
            file = stderr if stderr is not None else sys.__stderr__
            faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=file)  # type: ignore[arg-type]
            stack.callback(faulthandler.cancel_dump_traceback_later)
        yield


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    there, _ = signal.getitimer(signal.ITIMER_REAL)
    if 0 < there <= seconds:
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeUpError(f"It did not end within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if there:
            signal.setitimer(signal.ITIMER_REAL, max(there - (seconds - left), 0.001))


def place_of(error: BaseException) -> str:
    """Return where the code under test was, as the end of a sentence; empty if it was not there."""
    frames = traceback.extract_tb(error.__traceback__)
    calls = [number for number, frame in enumerate(frames) if frame.filename == _CALLER]
    theirs = frames[calls[-1] + 1 :] if calls else []
    ours = theirs and Path(theirs[0].filename).parent == Path(__file__).parent
    own = [] if ours else [frame for frame in theirs if frame.filename == theirs[0].filename]
    return f" ({file_name(own[-1].filename)}, line {own[-1].lineno})" if own else ""
