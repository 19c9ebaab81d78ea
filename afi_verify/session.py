"""One call of ``afi-verify run``: load, verify, write; what is unusable does not stop the rest."""

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from afi_properties.problem import Array
from afi_verify.adapter import Adapter
from afi_verify.backends import load_backend
from afi_verify.console import Console
from afi_verify.errors import UnusableError
from afi_verify.jobs import at_most, usual_jobs
from afi_verify.journal import open_journal
from afi_verify.limits import Limits, limits_of
from afi_verify.loading import load_adapters
from afi_verify.planning import Plan, planned_checks
from afi_verify.results import Problem, Results, Verdict
from afi_verify.runner import Report, run_plan
from afi_verify.scouting import Found, scout
from afi_verify.worker_handle import Worker


def run_session(
    plan: Plan,
    files: Sequence[str],
    *,
    strict: bool,
    report: Path | None,
    console: Console,
    jobs: int | None = None,
    isolated: bool = True,
    timeout: float | None = None,
    memory: str | None = None,
    resume: bool = False,
    cluster: str | None = None,
) -> Results:
    """Verify the adapters in ``files`` (the shipped ones if there are none) and show what is found.

    Checks run on ``jobs`` worker processes, or on as many as :func:`~afi_verify.jobs.usual_jobs` says, each check for
    at most ``timeout`` seconds and with at most so much ``memory`` (``"2G"``); unless ``isolated``, in this process.
    With ``resume`` a run into the same ``report`` that did not end goes on. With ``cluster``, the address of a dask
    scheduler, checks run there.

    Raises
    ------
    UnusableError
        If the report cannot be written, or a limit is unusable. A file that is unusable is one of the results'
        ``problems`` instead.
    """
    if report is not None:
        require_writable(report)
    elif resume:
        raise UnusableError("--resume goes on with a run that was writing a report: give its folder, --report DIR.")
    at_once = min(at_most(), len(files)) or 1
    to_import = limits_of(plan.profile.name, at_once, timeout, memory)
    keep = at_once if isolated and cluster is None else 0  # of their processes, for the checks
    looked = scout(files, to_import, at_once, keep) if isolated else map(_look_here, files)
    limits: Limits | None
    with contextlib.ExitStack() as stack:
        seen = _collect(looked, console) if files else _Seen(_shipped())
        for worker in seen.ready.values():
            stack.callback(worker.close)
        adapters = seen.adapters
        planned = sum(len(planned_checks(adapter, plan)) for adapter in adapters)
        if cluster is not None:
            from afi_verify.cluster import slots

            jobs = slots(cluster)
            limits = limits_of(plan.profile.name, jobs, timeout, memory)
        elif isolated:
            jobs = usual_jobs(plan, adapters) if jobs is None else jobs
            limits = limits_of(plan.profile.name, jobs, timeout, memory)
        else:
            jobs, limits = 1, None
        journal = None
        if report is not None:
            journal = stack.enter_context(open_journal(report, plan, adapters, resume=resume))
        with console.progress(planned) as listener:
            results = run_plan(
                plan,
                adapters,
                strict=strict,
                problems=seen.problems,
                listener=listener,
                jobs=jobs,
                limits=limits,
                journal=journal,
                cluster=cluster,
                ready=seen.ready,
            )
        if adapters and all(check.verdict is Verdict.NOT_PROVIDED for check in results.checks):
            nothing = Problem("", "Nothing was verified: no adapter provides a role that was asked for, on such data.")
            console.problem(nothing.message)
            results = dataclasses.replace(results, problems=(*results.problems, nothing))
        results = dataclasses.replace(results, output=seen.printed | results.output)
        console.summary(results)
        if report is not None and journal is not None:
            _write(results, report)
            journal.finish()
            console.written(report / "index.html")
    return results


def _write(results: Results, report: Path) -> None:
    try:
        Report(results).write(report)
    except OSError as error:
        raise UnusableError(
            f"The report cannot be written to {report}: {error.strerror}. The results are kept: mend that, and run the "
            "same again with --resume."
        ) from None


def load_array(path: Path) -> Array:
    """Return the array in a ``.npy`` file.

    Raises
    ------
    UnusableError
        If it cannot be read; pickled objects are never loaded.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UnusableError(f"{path} is not a .npy file of numbers ({error}). Write one with numpy.save.") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise UnusableError(f"{path} does not hold an array of real numbers.")
    return array


def _shipped() -> list[Adapter]:
    from afi_verify.shipped import ADAPTERS

    return list(ADAPTERS)


def _look_here(file: str) -> Found:
    try:
        adapters = load_adapters(file)
        for adapter in adapters:
            load_backend(adapter.backend, adapter.dtype, adapter.device)
    except UnusableError as error:
        text = str(error)
        return Found(file, [], [], text if file in text else f"{file}: {text}")
    return Found(file, adapters, [])


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What the files hold."""

    adapters: list[Adapter]
    problems: list[Problem] = dataclasses.field(default_factory=list)
    printed: dict[str, str] = dataclasses.field(default_factory=dict)  # by those that are unusable
    ready: dict[str, Worker] = dataclasses.field(default_factory=dict)  # processes that have imported a file


def _collect(looked: Iterable[Found], console: Console) -> _Seen:
    """Return what the files hold, and which of them are unusable; say it."""
    seen = _Seen([])
    for found in looked:
        message = found.problem
        try:
            for adapter in found.adapters:
                _require_new(adapter, seen.adapters)
                seen.adapters.append(adapter)
        except UnusableError as error:
            message = str(error)
        if message:
            seen.problems.append(Problem(found.file, message))
            console.problem(message, found.output)
        if message and found.output:
            seen.printed[found.file] = found.output
        if found.worker is not None and found.file not in seen.ready:
            seen.ready[found.file] = found.worker
        elif found.worker is not None:
            found.worker.close()
        if found.settings:
            console.note(
                f"{found.file}: importing it changes {'; '.join(found.settings)}. Its own functions find it so, and "
                "nothing else does."
            )
    return seen


def _require_new(adapter: Adapter, adapters: Sequence[Adapter]) -> None:
    for other in adapters:
        if (other.name, other.dtype) == (adapter.name, adapter.dtype):
            raise UnusableError(
                f"{adapter.source}: another adapter, from {other.source}, is called {adapter.name!r} in "
                f"{adapter.dtype}, too; give one of them another name."
            )


def require_writable(folder: Path, option: str = "--report") -> None:
    """Make sure before the work, not after it, that a report can be written to ``folder``; make it if need be.

    Raises
    ------
    UnusableError
        If nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UnusableError(
            f"{option} {folder}: cannot write there ({error.strerror}). Choose another folder."
        ) from None
