"""Running checks on any backend of joblib: a job per group of checks, which runs them as a local run would.

A job starts a worker process of ours on the machine where it lands. So limits, captured output and the causes of deaths
are the same as locally, and a crash takes no process of the backend with it: a pool of loky would break as a whole.
Results come job by job. A local run has threads of its own instead (:mod:`afi_verify.workers`), and results check by
check: each is on disk before the next one counts.
"""

import contextlib
import os
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import joblib
from joblib.parallel import get_active_backend

from afi_verify.adapter import Adapter
from afi_verify.limits import Limits
from afi_verify.planning import Check, Plan
from afi_verify.sending import Parcels, pack_all
from afi_verify.series import NotSentError, Reply, Series, outcome_of
from afi_verify.workers import Event, groups_of

Item = tuple[int, str]
"""The position of an adapter, and the id of a check."""


def is_configured() -> bool:
    """Whether the caller has chosen a backend, with ``joblib.parallel_config(backend=...)``."""
    backend, _ = get_active_backend(prefer="threads")
    return not isinstance(backend, joblib.parallel.ThreadingBackend)


def run_elsewhere(
    plan: Plan,
    adapters: Sequence[Adapter],
    checks: Sequence[Check],
    jobs: int,
    limits: Limits,
    configured: AbstractContextManager[Any],
) -> Generator[Event, None, None]:
    """Run ``checks`` on the backend of joblib that is configured; yield each when its group has ended.

    The files of the adapters must be at the same paths wherever jobs land.
    """
    parcels, groups = pack_all(adapters), groups_of(checks)
    positions = {adapter: position for position, adapter in enumerate(adapters)}
    run = joblib.delayed(_run_group)
    work = [
        run(number, plan, parcels, [(positions[check.adapter], check.id) for check in group], limits, str(Path.cwd()))
        for number, group in enumerate(groups)
    ]
    with configured:
        backend, _ = get_active_backend()
        way = "generator_unordered" if backend.supports_return_generator else "list"
        parallel = joblib.Parallel(n_jobs=jobs, return_as=way, batch_size=1)
    answers = parallel(work)
    with contextlib.closing(answers) if way != "list" else contextlib.nullcontext():
        for number, replies in answers:
            for check, reply in zip(groups[number], replies, strict=True):
                outcome = outcome_of(check, reply)
                if not isinstance(outcome[0], NotSentError):
                    yield check, None, 0.0, ""
                yield check, *outcome


def _run_group(
    number: int, plan: Plan, parcels: Parcels, items: Sequence[Item], limits: Limits, folder: str
) -> tuple[int, list[Reply]]:
    """Run checks one after the other on a worker process of ours, on this machine; return its replies."""
    series = Series(plan, parcels, limits, folder if os.path.isdir(folder) else None)  # noqa: PTH112
    with contextlib.closing(series):
        return number, [series.run(position, check_id) for position, check_id in items]


def on_dask(client: Any) -> AbstractContextManager[Any]:
    """Within the context joblib's backend is the dask cluster of a client."""
    return joblib.parallel_config("dask", client=client, pure=False)
