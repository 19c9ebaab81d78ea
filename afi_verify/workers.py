"""Running checks on worker processes: a thread per process hands it check after check and waits for the answer.

Pools of libraries break as a whole when a process dies. Here the death of a worker is the answer of the check it ran,
and the next check gets a new worker.
"""

import queue
import threading
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from afi_verify.adapter import Adapter
from afi_verify.jobs import group_of
from afi_verify.limits import Limits
from afi_verify.planning import Check, Plan
from afi_verify.results import CheckResult
from afi_verify.sending import pack_all
from afi_verify.series import NotSentError, Series, outcome_of
from afi_verify.worker_handle import DiedError, Worker

Event = tuple[Check, CheckResult | NotSentError | None, float, str]
"""A check, its result (``None``: it begins), the seconds that it took and what it printed."""


def run_on_workers(
    plan: Plan,
    adapters: Sequence[Adapter],
    checks: Sequence[Check],
    jobs: int,
    limits: Limits,
    ready: Mapping[str, Worker],
) -> Generator[Event, None, None]:
    """Run ``checks`` on ``jobs`` processes; yield each as it begins and as it ends, in the order of events.

    A check that exceeds the limits, or whose process dies, is an ``error`` that names the cause; the next one gets
    another process.

    Checks of one role and one precision run on one worker in the order given: they share the truths that are known,
    and a function that keeps state between calls sees the same calls whatever the number of workers.

    What importing an adapter's file does to a process stays in it: a worker imports one file only. Those that are
    ``ready`` have imported theirs.
    """
    run = _Run(plan, adapters, limits, ready)
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
    groups: dict[tuple[str, ...], list[Check]] = {}
    for check in checks:
        groups.setdefault(group_of(check), []).append(check)
    return sorted(groups.values(), key=len, reverse=True)


class _Run:
    """What the threads share."""

    def __init__(self, plan: Plan, adapters: Sequence[Adapter], limits: Limits, ready: Mapping[str, Worker]) -> None:
        self.groups: list[list[Check]] = []
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._plan, self._limits = plan, limits
        self._parcels = pack_all(adapters)
        self._positions = {adapter: position for position, adapter in enumerate(adapters)}
        self._ready = dict(ready)
        self._workers: set[Worker] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def work(self) -> None:
        """Run group after group on a worker of this thread's own."""
        series = Series(self._plan, self._parcels, self._limits, start=self._start)
        try:
            while group := self._next(series.source):
                for check in group:
                    if self._stopped:
                        return
                    self.events.put((check, None, 0.0, ""))
                    reply = series.run(self._positions[check.adapter], check.id)
                    self.events.put((check, *outcome_of(check, reply)))
        except Exception as error:
            self.events.put(error)
        finally:
            series.close()

    def stop(self) -> None:
        """End all workers at once; the threads then end by themselves."""
        with self._lock:
            self._stopped = True
            self.groups.clear()
            for worker in self._workers:
                worker.kill()

    def _next(self, source: str) -> list[Check]:
        """Return the next group, one of this file if there is one, so that few processes import many files."""
        with self._lock:
            of_file = (number for number, group in enumerate(self.groups) if group[0].adapter.source == source)
            return self.groups.pop(next(of_file, 0)) if self.groups else []

    def _start(self, source: str) -> Worker:
        with self._lock:
            if self._stopped:
                raise DiedError("The run was stopped.")
            worker = self._ready.pop(source, None) or Worker(self._limits)
            worker.limits = self._limits
            self._workers.add(worker)
        return worker
