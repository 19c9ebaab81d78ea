"""The table: every family, quantity, size and noise level; deterministic, in processes, and interruptible."""

import concurrent.futures
import dataclasses
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from afi_properties.judgement import LIMIT
from afi_verify.bench.accuracy import record
from afi_verify.bench.accuracy.densities import DENSITIES, check_estimates
from afi_verify.bench.accuracy.family import QUANTITIES, Size
from afi_verify.bench.accuracy.general_data import GENERAL
from afi_verify.bench.accuracy.measure import VARIANTS, measure, worst
from afi_verify.bench.accuracy.outcome import Outcome, Task
from afi_verify.bench.accuracy.point_masses import POINT_MASSES
from afi_verify.bench.accuracy.truths.balls import NotTightError

SCHEMA = "afi-verify/accuracy/1"
FAMILIES = {family.name: family for family in (*POINT_MASSES, *GENERAL)}

LEVELS = (-20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
FEWER_LEVELS = (-20.0, -10.0, 0.0, 10.0, 20.0)
QUICK_LEVELS = (-20.0, 0.0, 20.0)

LARGE = 4096
"""Numbers of a problem above which noise levels take turns with the variants of the data."""

QUICK = 48
"""Largest problem of a quick run, in the same numbers."""

Progress = Callable[[int, int, str], None]
"""Called with how many problems are done, how many there are, and the family of the last one."""


def run_accuracy(
    families: Sequence[str] = (),
    quantities: Sequence[str] = (),
    *,
    quick: bool = False,
    seed: int = 0,
    jobs: int = 2,
    progress: Progress | None = None,
    resume: Path | None = None,
) -> dict[str, Any]:
    """Measure the oracles and return the table, ready for JSON.

    Parameters
    ----------
    families
        Names, or parts of names, of families; all by default.
    quantities
        Names of methods of ``Distribution``; all by default.
    quick
        Only small problems at three noise levels.
    seed
        Of the data, the points and the roundings.
    jobs
        Processes; 1 works in this one.
    progress
        Told of each problem that is done.
    resume
        A file of finished problems, of the same version: those in it are taken from it, and others added
        as they finish.

    Returns
    -------
    dict
        ``"table"`` holds the worst multiple of each family and quantity and where it occurs, ``"curves"`` the worst at
        each noise level, ``"estimates"`` the largest ratio of true and estimated error of quadrature, ``"problems"``
        those that raised or whose truth stayed undecided.

    Raises
    ------
    ValueError
        If a name is not known, or the file to resume from is of another kind.
    OSError
        If that file cannot be read or written.
    """
    names = _chosen(families, (*FAMILIES, *DENSITIES), "family")
    wanted = _chosen(quantities, QUANTITIES, "quantity")
    tasks = [task for name in names for task in _tasks(name, quick, seed)]
    begin = time.monotonic()
    known = record.read(resume) if resume is not None else {}
    outcomes = [known[task] for task in tasks if task in known]
    for outcome in _outcomes([task for task in tasks if task not in known], jobs):
        outcomes.append(outcome)
        if resume is not None:
            record.append(resume, outcome)
        if progress is not None:
            progress(len(outcomes), len(tasks), outcome.task.family)
    document = summarise(outcomes, wanted)
    return {
        "schema": SCHEMA,
        "limit": LIMIT,
        "quick": quick,
        "seed": seed,
        "seconds": round(time.monotonic() - begin, 1),
        "quantities": list(wanted),
        "families": list(names),
        **document,
    }


def summarise(outcomes: Sequence[Outcome], quantities: Sequence[str]) -> dict[str, Any]:
    """Return the worst of everything that was measured."""
    found = [m for outcome in outcomes for m in outcome.measurements if m.quantity in quantities]
    estimates = [e for outcome in outcomes for e in outcome.estimates if e.quantity in quantities]
    curves = worst(found, "family", "quantity", "log_snr")
    return {
        "compared": len(found) + len(estimates),
        "table": [_record(m) for m in worst(found, "family", "quantity").values()],
        "by_dimension": [
            {"family": m.family, "dimension": m.dimension, "multiple": _finite(m.multiple)}
            for m in worst(found, "family", "dimension").values()
        ],
        "curves": [
            {"family": m.family, "quantity": m.quantity, "log_snr": m.log_snr, "multiple": _finite(m.multiple)}
            for m in sorted(curves.values(), key=lambda m: (m.family, m.quantity, m.log_snr))
        ],
        "estimates": [_record(e) for e in worst(estimates, "family", "quantity").values()],
        "estimate_curves": [
            {"family": e.family, "quantity": e.quantity, "log_snr": e.log_snr, "multiple": _finite(e.multiple)}
            for e in worst(estimates, "family", "quantity", "log_snr").values()
        ],
        "problems": [
            {
                "family": o.task.family,
                "size": o.task.size,
                "log_snr": o.task.log_snr,
                "variant": o.task.variant,
                "undecided": o.undecided,
                "error": o.error,
            }
            for o in outcomes
            if o.undecided or o.error
        ],
    }


def run_task(task: Task) -> Outcome:
    """Measure one problem; what goes wrong is an outcome, too."""
    try:
        if task.family in DENSITIES:
            return Outcome(task, estimates=tuple(check_estimates(task.family, task.log_snr, task.seed)))
        family = FAMILIES[task.family]
        found = measure(family, _size_of(task), task.log_snr, task.variant, task.seed)
        return Outcome(task, measurements=tuple(found))
    except NotTightError as error:
        return Outcome(task, undecided=str(error))
    except Exception as error:  # an oracle that raises where it should answer: reported, not fatal
        return Outcome(task, error=f"{type(error).__name__}: {error}")


def _outcomes(tasks: Sequence[Task], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(run_task, tasks)
        return
    # Large problems first: the last one should not run alone. Spawned, because BLAS has threads already.
    order = sorted(tasks, key=lambda task: -_work(task))
    pool = concurrent.futures.ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        for future in concurrent.futures.as_completed([pool.submit(run_task, task) for task in order]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _tasks(name: str, quick: bool, seed: int) -> list[Task]:
    if name in DENSITIES:
        return [Task(name, "", level, "", seed) for level in (QUICK_LEVELS if quick else LEVELS)]
    tasks = []
    for index, size in enumerate(FAMILIES[name].sizes):
        numbers = _numbers(size)
        if quick and numbers > QUICK:
            continue
        levels = QUICK_LEVELS if quick else FEWER_LEVELS if numbers > LARGE or size.dimension > 64 else LEVELS
        in_turn = quick or size.dimension > 16 or numbers > LARGE
        for turn, level in enumerate(levels):
            variants = [list(VARIANTS)[(turn + index) % len(VARIANTS)]] if in_turn else list(VARIANTS)
            tasks += [Task(name, str(size), level, variant, seed) for variant in variants]
    return tasks


def _numbers(size: Size) -> int:
    return size.dimension * size.components


def _size_of(task: Task) -> Size:
    return next(size for size in FAMILIES[task.family].sizes if str(size) == task.size)


def _work(task: Task) -> int:
    if task.family in DENSITIES:
        return QUICK
    size = _size_of(task)
    return _numbers(size) * (size.dimension if size.matrices else 1)


def _chosen(asked: Sequence[str], known: Sequence[str], what: str) -> tuple[str, ...]:
    for name in asked:
        if not any(name in other for other in known):
            raise ValueError(f"there is no {what} {name!r}; there are: {', '.join(known)}.")
    exact = {name for name in asked if name in known}
    return tuple(k for k in known if not asked or k in exact or any(a in k for a in asked if a not in exact))


def _record(one: Any) -> dict[str, Any]:
    return {key: _finite(value) for key, value in dataclasses.asdict(one).items()}


def _finite(value: Any) -> Any:
    """JSON has no infinity: null stands for an answer that is not a number."""
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
