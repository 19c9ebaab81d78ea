"""Running checks on worker processes: a thread per process hands it check after check and waits for the answer.

Pools of libraries break as a whole when a process dies. Here the death of a worker is the answer of the check it ran,
and the next check gets a new worker.
"""

import collections
import pickle
import queue
import threading
from collections.abc import Generator, Sequence
from typing import Any

from afi_verify.adapter import Adapter
from afi_verify.checks import broken_result
from afi_verify.errors import UnusableError
from afi_verify.jobs import group_of
from afi_verify.limits import Limits
from afi_verify.planning import Check, Plan
from afi_verify.report.reading import read_check
from afi_verify.results import CheckResult
from afi_verify.sending import pack
from afi_verify.worker_handle import DiedError, Worker


class NotSentError(Exception):
    """A check whose adapter cannot be sent to a worker; the reason is the message."""


Event = tuple[Check, CheckResult | NotSentError | None, float, str]
"""A check, its result (``None``: it begins), the seconds that it took and what it printed."""


def run_on_workers(
    plan: Plan, adapters: Sequence[Adapter], checks: Sequence[Check], jobs: int, limits: Limits
) -> Generator[Event, None, None]:
    """Run ``checks`` on ``jobs`` processes; yield each as it begins and as it ends, in the order of events.

    A check that exceeds the limits, or whose process dies, is an ``error`` that names the cause; the next one gets
    another process.

    Checks of one role and one precision run on one worker in the order given: they share the truths that are known,
    and a function that keeps state between calls sees the same calls whatever the number of workers.

    Raises
    ------
    UnusableError
        If a check found that an adapter cannot be used.
    RuntimeError
        If the harness itself failed in a worker; the message holds its traceback.
    """
    packed = pack_all(adapters)
    setup = pickle.dumps((plan, [parcel for parcel, _ in packed]))
    run = _Run(setup, [reason for _, reason in packed], adapters, limits)
    run.groups.extend(groups_of(checks))
    threads = [threading.Thread(target=run.work, daemon=True) for _ in range(min(jobs, len(run.groups)))]
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


def groups_of(checks: Sequence[Check]) -> list[list[Check]]:
    """Return the checks by what must run in one process, large groups first: what comes last is small."""
    groups: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        groups.setdefault(group_of(check), []).append(check)
    return sorted(groups.values(), key=len, reverse=True)


def pack_all(adapters: Sequence[Adapter]) -> list[tuple[bytes | None, str]]:
    """Return each adapter as bytes, or why it cannot be sent."""
    packed: list[tuple[bytes | None, str]] = []
    for adapter in adapters:
        try:
            packed.append((pack(adapter), ""))
        except UnusableError as error:
            packed.append((None, str(error)))
    return packed


class _Run:
    """What the threads share."""

    def __init__(self, setup: bytes, refusals: list[str], adapters: Sequence[Adapter], limits: Limits) -> None:
        self.groups: collections.deque[list[Check]] = collections.deque()
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._setup = setup
        self._refusals = refusals
        self._limits = limits
        self._positions = {adapter: position for position, adapter in enumerate(adapters)}
        self._workers: set[Worker] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def work(self) -> None:
        """Run group after group on a worker of this thread's own."""
        worker: Worker | None = None
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

    def _run(self, check: Check, worker: Worker | None) -> Worker | None:
        if self._stopped:
            return worker
        position = self._positions[check.adapter]
        output = ""
        try:
            worker = worker or self._start()
            reason = self._refusals[position] or worker.refusals[position]
            if reason:
                self.events.put((check, NotSentError(reason), 0.0, ""))
                return worker
            self.events.put((check, None, 0.0, ""))
            reply, output = worker.ask(position, check.id)
        except DiedError as death:
            self.events.put((check, broken_result(check, str(death)), 0.0, death.output))
            return None
        if "result" not in reply:
            raise UnusableError(reply["unusable"]) if reply["unusable"] else RuntimeError(reply["trace"])
        self.events.put((check, read_check(reply["result"]), reply["seconds"], output))
        if reply["harmed"]:  # what was put back may not be all that was changed
            worker.close()
            return None
        return worker

    def _start(self) -> Worker:
        with self._lock:
            if self._stopped:
                raise DiedError("The run was stopped.")
            worker = Worker(self._limits)
            self._workers.add(worker)
        worker.set_up(self._setup)
        return worker
