"""A worker process seen from outside: asked, watched, stopped."""

import contextlib
import json
import os
import pickle
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from afi_verify.capture import Capture, without_dump
from afi_verify.guardian import KILLED
from afi_verify.limits import Limits, in_words
from afi_verify.worker import CUT_OFF, read_frame, write_frame

_TO_START = 300.0
"""Seconds in which a worker must be ready, before it does anything for anybody."""

_PERIOD = 0.1
_LAST_WORDS = 1.0

_ABOUT = {
    "SIGKILL": "; the system may have been out of memory",
    "SIGSEGV": ", a segmentation fault",
    "SIGABRT": ", an abort",
}


class DiedError(Exception):
    """A worker that ended, or was stopped; the message says why, in a sentence."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class Worker:
    """One worker process."""

    def __init__(self, limits: Limits, folder: str | None = None) -> None:
        start = f"import sys; sys.path[:] = {sys.path!r}; from afi_verify.guardian import guard; guard()"
        start += "; from afi_verify.worker import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # An interrupt from the terminal is the caller's: it ends the workers in an orderly way.
            start_new_session=True,
            cwd=folder,
        )
        self._closed = False
        self._pid = 0  # of the worker itself; the process that we started is its guardian
        self.limits = limits
        self._printed = Capture(self._process.stderr)  # type: ignore[arg-type]
        self._cause = ""

    def request(self, operation: str, *arguments: Any) -> tuple[Any, str]:
        """Let it do one of the things that :mod:`afi_verify.worker` can do; return its reply, and what was printed.

        Raises
        ------
        DiedError
            If it does not survive that, or exceeds the limits.
        """
        mark = f"\n{secrets.token_hex(16)}\n".encode()
        reply = self._exchange(pickle.dumps((mark, operation, *arguments)), self._seconds_for(operation))
        return reply, self._printed.take(mark)

    def _seconds_for(self, operation: str) -> float:
        return self.limits.seconds if operation in ("check", "replay") else self.limits.seconds_to_import

    def kill(self) -> None:
        """Kill it and its children; whoever waits for its answer is told that it died."""
        if self._closed:  # its number may be another process's by now
            return
        children = _children(self._process.pid)
        if hasattr(os, "killpg"):
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        for child in children:
            with contextlib.suppress(Exception):  # gone meanwhile
                child.kill()

    def close(self) -> None:
        """Kill it and release what belongs to it; only for the thread that asks it."""
        self.kill()
        self._process.wait()
        self._closed = True
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError, ValueError):  # what was to be sent cannot be sent any more
                stream.close()  # type: ignore[union-attr]

    def _exchange(self, payload: bytes, seconds: float) -> Any:
        if not self._pid:
            with self._watched(_TO_START), contextlib.suppress(OSError, ValueError):
                self._pid = int(read_frame(self._process.stdout) or b"")  # type: ignore[arg-type]
        with self._watched(seconds):
            try:
                write_frame(self._process.stdin, payload)  # type: ignore[arg-type]
                reply = read_frame(self._process.stdout)  # type: ignore[arg-type]
            except (OSError, ValueError):
                reply = None
        if reply is not None:
            with contextlib.suppress(ValueError, RecursionError):
                return json.loads(reply)
        try:
            self._process.wait(_LAST_WORDS)  # it may still be on its way to its end
        except subprocess.TimeoutExpired:
            self._cause = self._cause or "The process that ran it closed the way for its answer"
        self.kill()
        self._process.wait()
        output, place = without_dump(self._printed.take(b"\0" * 64))
        cause = self._cause or f"The process that ran it died: {_describe(self._process.returncode)}"
        self.close()
        raise DiedError(f"{cause}{f' ({place})' if place else ''}.", output)

    @contextlib.contextmanager
    def _watched(self, seconds: float) -> Iterator[None]:
        done = threading.Event()
        watch = threading.Thread(target=self._watch, args=(done, seconds), daemon=True)
        watch.start()
        try:
            yield
        finally:
            done.set()
            watch.join()

    def _watch(self, done: threading.Event, seconds: float) -> None:
        end, rounds = time.monotonic() + seconds, 0
        while not done.wait(_PERIOD):
            rounds += 1
            if self._process.poll() is not None:
                self.kill()  # children may keep the pipe open, at whose end somebody waits
                return
            if time.monotonic() > end:
                least = ", but for an import at least that" if seconds > self.limits.seconds else ""
                option = f"{self.limits.option}timeout{least}"
                self._stop(f"It did not end within {seconds:g} s ({option}), and was stopped")
                return
            used = _memory(self._pid or self._process.pid, children=rounds % 10 == 0)
            if used > self.limits.memory:
                limit = in_words(self.limits.memory)
                self._stop(f"It used more than {limit} of memory ({self.limits.option}max-memory), and was stopped")
                return

    def _stop(self, cause: str) -> None:
        self._cause = cause
        with contextlib.suppress(OSError):
            for number in (signal.SIGABRT, signal.SIGCONT):  # the fault handler says where it is
                os.kill(self._pid or self._process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS)
        self.kill()


def _children(pid: int) -> list[Any]:
    import psutil

    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def _memory(pid: int, *, children: bool) -> int:
    import psutil

    total = 0
    processes = _children(pid) if children else []
    with contextlib.suppress(psutil.Error):
        processes.append(psutil.Process(pid))
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def _describe(status: int) -> str:
    if hasattr(os, "fork") and status == -signal.SIGKILL:  # else it was told by the guardian
        return "its parent process was killed, or its process group"
    status = -signal.SIGKILL if status == KILLED else status
    if status >= 0:
        return f"exit status {status}" + (", as it had closed the way for its answer" if status == CUT_OFF else "")
    try:
        name = signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
    return f"signal {name}{_ABOUT.get(name, '')}"
