"""Running checks on worker processes: a thread per process hands it check after check and waits for the answer.

Pools of libraries break as a whole when a process dies. Here the death of a worker is the answer of the check it ran,
and the next check gets a new worker.
"""

import collections
import contextlib
import json
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from typing import Any

from afi_verify.adapter import Adapter
from afi_verify.checks import broken_result
from afi_verify.errors import UnusableError
from afi_verify.jobs import group_of
from afi_verify.planning import Check, Plan
from afi_verify.report.reading import read_check
from afi_verify.results import CheckResult
from afi_verify.sending import pack
from afi_verify.worker import read_frame, write_frame


class NotSentError(Exception):
    """A check whose adapter cannot be sent to a worker; the reason is the message."""


Event = tuple[Check, CheckResult | NotSentError | None, float]
"""A check, its result (``None``: it begins) and the seconds that it took."""


def run_on_workers(
    plan: Plan, adapters: Sequence[Adapter], checks: Sequence[Check], jobs: int
) -> Generator[Event, None, None]:
    """Run ``checks`` on ``jobs`` processes; yield each as it begins and as it ends, in the order of events.

    Checks of one role and one precision run on one worker in the order given: they share the truths that are known,
    and a function that keeps state between calls sees the same calls whatever the number of workers.

    Raises
    ------
    UnusableError
        If a check found that an adapter cannot be used.
    RuntimeError
        If the harness itself failed in a worker; the message holds its traceback.
    """
    packed = [_pack(adapter) for adapter in adapters]
    run = _Run(pickle.dumps((plan, [parcel for parcel, _ in packed])), [reason for _, reason in packed], adapters)
    groups: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        groups.setdefault(group_of(check), []).append(check)
    # Large groups first: what comes last is small, and no worker has long to wait for another.
    run.groups.extend(sorted(groups.values(), key=len, reverse=True))
    threads = [threading.Thread(target=run.work, daemon=True) for _ in range(min(jobs, len(groups)))]
    for thread in threads:
        thread.start()
    try:
        remaining = len(checks)
        while remaining:
            event = run.events.get()
            if isinstance(event, Exception):
                raise event
            remaining -= event[1] is not None
            yield event
    finally:  # also when the caller is interrupted: no process outlives the run
        run.stop()
        for thread in threads:
            thread.join()


def _pack(adapter: Adapter) -> tuple[bytes | None, str]:
    try:
        return pack(adapter), ""
    except UnusableError as error:
        return None, str(error)


class _Run:
    """What the threads share."""

    def __init__(self, setup: bytes, refusals: list[str], adapters: Sequence[Adapter]) -> None:
        self.groups: collections.deque[list[Check]] = collections.deque()
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._setup = setup
        self._refusals = refusals
        self._positions = {adapter: position for position, adapter in enumerate(adapters)}
        self._workers: set[_Worker] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def work(self) -> None:
        """Run group after group on a worker of this thread's own."""
        worker: _Worker | None = None
        try:
            while not self._stopped:
                try:
                    group = self.groups.popleft()
                except IndexError:
                    break
                for check in group:
                    worker = self._run(check, worker)
        except Exception as error:
            self.events.put(error)
        finally:
            if worker is not None:
                worker.close()

    def stop(self) -> None:
        """End all workers at once; the threads then end by themselves."""
        self.groups.clear()
        with self._lock:
            self._stopped = True
            for worker in self._workers:
                worker.kill()

    def _run(self, check: Check, worker: "_Worker | None") -> "_Worker | None":
        if self._stopped:
            return worker
        position = self._positions[check.adapter]
        try:
            worker = worker or self._start()
            reason = self._refusals[position] or worker.refusals[position]
            if reason:
                self.events.put((check, NotSentError(reason), 0.0))
                return worker
            self.events.put((check, None, 0.0))
            reply = worker.ask((position, check.id))
        except _DiedError as death:
            self.events.put((check, broken_result(check, f"The process that ran it died: {death}."), 0.0))
            return None
        if "result" not in reply:
            raise UnusableError(reply["unusable"]) if reply["unusable"] else RuntimeError(reply["trace"])
        self.events.put((check, read_check(reply["result"]), reply["seconds"]))
        return worker

    def _start(self) -> "_Worker":
        with self._lock:
            if self._stopped:
                raise _DiedError("the run was stopped")
            worker = _Worker()
            self._workers.add(worker)
        worker.set_up(self._setup)
        return worker


class _DiedError(Exception):
    pass


class _Worker:
    """One worker process, seen from outside."""

    def __init__(self) -> None:
        start = f"import sys; sys.path[:] = {sys.path!r}; from afi_verify.worker import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # An interrupt from the terminal is the caller's: it ends the workers in an orderly way.
            start_new_session=True,
        )
        self.refusals: list[str | None] = []

    def set_up(self, setup: bytes) -> None:
        """Hand over plan and adapters."""
        self.refusals = self._exchange(setup)

    def ask(self, request: tuple[int, str]) -> dict[str, Any]:
        """Let it run a check."""
        reply: dict[str, Any] = self._exchange(json.dumps(request).encode())
        return reply

    def kill(self) -> None:
        """Kill it; whoever waits for its answer is told that it died."""
        self._process.kill()

    def close(self) -> None:
        """Kill it and release what belongs to it; only for the thread that asks it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what was to be sent cannot be sent any more
                stream.close()  # type: ignore[union-attr]

    def _exchange(self, payload: bytes) -> Any:
        try:
            write_frame(self._process.stdin, payload)  # type: ignore[arg-type]
            reply = read_frame(self._process.stdout)  # type: ignore[arg-type]
        except OSError:
            reply = None
        if reply is not None:
            with contextlib.suppress(ValueError):
                return json.loads(reply)
        self.close()
        raise _DiedError(_describe(self._process.returncode))


def _describe(status: int) -> str:
    if status < 0:
        try:
            return f"signal {signal.Signals(-status).name}"
        except ValueError:
            return f"signal {-status}"
    return f"exit status {status}"
