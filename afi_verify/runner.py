"""Running the checks of adapters, one after the other, and putting together what was found."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import os
import platform
import re
import time
import warnings
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from afi_properties.problem import Array
from afi_verify.adapter import Adapter
from afi_verify.backends import load_backend
from afi_verify.checks import run_check
from afi_verify.conditions import fixed_conditions
from afi_verify.errors import UnusableError
from afi_verify.journal import Journal
from afi_verify.known_failures import without_stale
from afi_verify.limits import Limits, limits_of
from afi_verify.planning import Check, Plan, all_checks_that_run, make_plan, planned_checks, why_not
from afi_verify.profiles import DEFAULT_PROFILE
from afi_verify.results import AdapterResult, CheckResult, Problem, Results, Verdict, write_results
from afi_verify.stand_in import StandIn
from afi_verify.worker_handle import Worker

Event = tuple[Check, CheckResult | None, float, str]
"""A check, its result (``None``: it begins), the seconds that it took and what it printed, where that is known."""

Listener = Callable[[Check, CheckResult | None], None]
"""Told of each check before it runs (``None``) and after."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What :func:`verify` found."""

    results: Results

    @property
    def ok(self) -> bool:
        """Whether nothing failed: the exit status would be 0."""
        return self.results.exit_status == 0

    def write(self, folder: str | Path) -> Path:
        """Write ``results.json``, ``index.html`` and the replay scripts into ``folder``; return the page's path.

        Raises
        ------
        OSError
            If the folder or a file cannot be written.
        """
        from afi_verify.report import write_report

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_results(self.results, folder / "results.json")
        write_report(folder / "results.json", folder / "index.html")
        self._write_scripts(folder / "replay")
        return folder / "index.html"

    def _write_scripts(self, folder: Path) -> None:
        for old in folder.glob("*.py"):
            old.unlink()
        for check in self.results.checks:
            for kind, example in (("simplest", check.simplest), ("worst", check.worst)):
                if example is not None and example.script:
                    folder.mkdir(exist_ok=True)
                    name = _file_name(f"{check.id}-{kind}.py")
                    (folder / name).write_text(example.script, encoding="utf-8")


def _file_name(text: str) -> str:
    """Return a name that a file can have: of a long one the end, and what tells it from others with that end."""
    name = re.sub(r"[^\w.-]+", "-", text)
    if len(name.encode()) <= _LONGEST_FILE_NAME:
        return name
    return f"{zlib.crc32(text.encode()):08x}{name.encode()[-_LONGEST_FILE_NAME:].decode(errors='ignore')}"


_LONGEST_FILE_NAME = 180  # bytes; file systems take 255


def verify(
    *adapters: Adapter,
    profile: str = DEFAULT_PROFILE,
    seed: int = 0,
    strict: bool = False,
    scenarios: Sequence[str] = (),
    roles: Sequence[str] = (),
    data: Array | None = None,
    weights: Array | None = None,
    jobs: int = 1,
    today: datetime.date | None = None,
) -> Report:
    """Verify adapters and return what was found.

    Parameters
    ----------
    adapters
        What to verify.
    profile
        ``"quick"``, ``"ci"`` or ``"deep"``: how many cases are tried.
    seed
        Of the cases; the same seed gives the same cases.
    strict
        Whether ``inaccurate`` and ``vacuous`` count against :attr:`Report.ok`, too.
    scenarios
        Any of ``"dirac"``, ``"gaussian-mixture"``, ``"digits"``; all when empty, unless ``data`` are given.
    roles
        The roles to check; all when empty.
    data
        Atoms of your own, shape (N, d) or (N, *event_shape), to check on over the whole range of noise.
    weights
        Their weights, shape (N,), summing to 1; uniform when left out.
    jobs
        How many processes run checks; with 1, this one. The results are the same. Functions that cannot be sent to
        another process are verified in this one, with a warning that says why.
    today
        The day on which known failures are accepted or past their date; the clock's when left out.

    Raises
    ------
    UnusableError
        If a name is unknown, the data are unusable, there is no adapter, two adapters have the same name and
        dtype, or a backend is not installed.
    """
    if not adapters:
        raise UnusableError("There is nothing to verify: pass at least one Adapter.")
    plan = make_plan(
        profile=profile,
        seed=seed,
        scenarios=scenarios,
        roles=roles,
        data=data,
        weights=weights,
        today=today or datetime.date.today(),
    )
    return Report(run_plan(plan, adapters, strict=strict, jobs=jobs))


def run_plan(
    plan: Plan,
    adapters: Sequence[Adapter],
    *,
    strict: bool = False,
    problems: Sequence[Problem] = (),
    listener: Listener | None = None,
    jobs: int = 1,
    limits: Limits | None = None,
    journal: Journal | None = None,
    cluster: str | None = None,
    ready: Mapping[str, Worker] = MappingProxyType({}),
) -> Results:
    """Run every check that ``plan`` makes of ``adapters``; ``problems`` are what was unusable before.

    With ``limits``, or more than one of ``jobs``, checks run on so many worker processes; the results are the same, but
    that a check whose process dies is an ``error``. Else they run in this process. What the ``journal`` knows does not
    run again; what is found is written into it. ``cluster``: the address of a dask scheduler, to run them there.
    ``ready``: worker processes that have imported a file, by file; whoever started them closes them.

    Raises
    ------
    UnusableError
        If two adapters have the same name and dtype, or a backend is not installed.
    """
    if jobs < 1:
        raise UnusableError(f"jobs must be at least 1; got {jobs}.")
    require_distinct(adapters)
    for adapter in adapters:
        if not isinstance(adapter, StandIn):  # what imports its file knows
            load_backend(adapter.backend, adapter.dtype, adapter.device)
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    output: dict[str, str] = {}
    planned = [planned_checks(adapter, plan) for adapter in adapters]
    results: dict[str, CheckResult] = {}
    # Claim by claim, not adapter by adapter: the truth of a case is computed once for all adapters.
    ordered = [check for same_claim in zip(*planned, strict=True) for check in same_claim]
    known = {} if journal is None else journal.known
    for check in ordered:
        if check.id in known:
            results[check.id], seconds[check.id], printed = known[check.id]
            if printed:
                output[check.id] = printed
            if listener is not None:
                listener(check, results[check.id])
    ordered = [check for check in ordered if check.id not in results]
    with contextlib.closing(_run(plan, adapters, ordered, jobs, limits, cluster, ready)) as events:
        for check, result, took, printed in events:
            if listener is not None:
                listener(check, result)
            if result is not None:
                results[check.id] = result
                if result.verdict is not Verdict.NOT_PROVIDED:
                    seconds[check.id] = took
                printed = "" if result.verdict is Verdict.PASS else printed
                if printed:
                    output[check.id] = printed
                if journal is not None and result.verdict is not Verdict.NOT_PROVIDED:
                    journal.add(result, took, printed)
    for adapter, checks in zip(adapters, planned, strict=True):
        if adapter.known_failures:
            in_full = all_checks_that_run(adapter, plan)
            found = {check.id: results[check.id] for check in checks}
            results |= without_stale(adapter.known_failures, found, in_full)
    outcomes = [
        AdapterResult(
            adapter.name,
            adapter.backend,
            adapter.dtype,
            adapter.device,
            adapter.source,
            tuple(results[check.id] for check in checks),
        )
        for adapter, checks in zip(adapters, planned, strict=True)
    ]
    seconds["total"] = time.perf_counter() - started
    return Results(
        version=importlib.metadata.version("afi-verify"),
        profile=plan.profile.name,
        seed=plan.seed,
        strict=strict,
        adapters=tuple(outcomes),
        problems=tuple(problems),
        environment=environment() | {"processes": str(jobs), "date": plan.today.isoformat()},
        seconds=seconds,
        output=output,
    )


def _run(
    plan: Plan,
    adapters: Sequence[Adapter],
    checks: Sequence[Check],
    jobs: int,
    limits: Limits | None,
    cluster: str | None,
    ready: Mapping[str, Worker],
) -> Generator[Event, None, None]:
    """Yield each check as it begins and as it ends."""
    if jobs == 1 and limits is None and cluster is None:
        for check in checks:
            yield from run_here(check, plan)
        return
    from afi_verify.elsewhere import is_configured, run_elsewhere
    from afi_verify.series import NotSentError
    from afi_verify.workers import run_on_workers

    for check in checks:
        if why_not(check, plan) is not None:
            yield from run_here(check, plan)
    runnable = [check for check in checks if why_not(check, plan) is None]
    limits = limits or limits_of(plan.profile.name, jobs)
    warned = set()
    if cluster is not None and runnable:
        from afi_verify.cluster import run_on_cluster

        running = run_on_cluster(plan, adapters, runnable, cluster, jobs, limits)
    elif is_configured():
        running = run_elsewhere(plan, adapters, runnable, jobs, limits, contextlib.nullcontext())
    else:
        running = run_on_workers(plan, adapters, runnable, jobs, limits, ready)
    with contextlib.closing(running) as events:
        for check, outcome, took, printed in events:
            if not isinstance(outcome, NotSentError):
                yield check, outcome, took, printed
                continue
            if check.adapter not in warned:
                warned.add(check.adapter)
                message = f"The adapter {check.adapter.name!r} is verified in this process: {outcome}."
                warnings.warn(message, stacklevel=2)
            yield from run_here(check, plan)


def run_here(check: Check, plan: Plan) -> Iterator[Event]:
    """Run one check in this process; yield that it begins, and its result.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
    yield check, None, 0.0, ""
    before = time.perf_counter()
    with fixed_conditions():
        result = run_check(check, plan)
    yield check, result, time.perf_counter() - before, ""


def environment() -> dict[str, str]:
    """Return what a number may depend on: versions and the kind of machine, nothing that names it."""
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
    }
    for package in ("afi-verify", "numpy", "scipy", "torch", "jax", "hypothesis", "scikit-learn"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def require_distinct(adapters: Sequence[Adapter]) -> None:
    """Make sure that no two adapters have the same name and precision.

    Raises
    ------
    UnusableError
        If two have.
    """
    seen: set[tuple[str, str]] = set()
    for adapter in adapters:
        key = (adapter.name, adapter.dtype)
        if key in seen:
            raise UnusableError(
                f"Two adapters are called {adapter.name!r} in {adapter.dtype}; give them different names."
            )
        seen.add(key)
