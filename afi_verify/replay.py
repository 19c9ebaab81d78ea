"""``afi-verify replay``: one case again, by its id, and everything that is known of it."""

import contextlib
import math
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.claim import Claim
from afi_properties.judgement import LIMIT
from afi_properties.problem import Array, Problem
from afi_properties.strategies import problem_from_id
from afi_verify.adapter import Adapter
from afi_verify.backends import load_backend
from afi_verify.errors import UnusableError
from afi_verify.examination import Finding, Kind, examine
from afi_verify.handing import Subject
from afi_verify.limits import Limits
from afi_verify.loading import load_adapters
from afi_verify.scouting import look_into
from afi_verify.worker_handle import DiedError, Worker

SHIPPED = "shipped"
"""Stands for the implementations that come with afi-verify, where a file is asked for."""

_KINDS = {Kind.RIGHT: "right", Kind.INACCURATE: "inaccurate", Kind.ERROR: "error", Kind.WRONG: "wrong"}
_MOST_NUMBERS = 8
_MOST_FORMULAS = 5


def replay(
    file: str,
    what: str,
    case: str,
    data: Array | None = None,
    weights: Array | None = None,
    *,
    load: Callable[[str], list[Adapter]] = load_adapters,
) -> list[tuple[Subject, Finding]]:
    """Examine one case again.

    Parameters
    ----------
    file
        A Python file with adapters, or ``"shipped"``.
    what
        A role (``fisher_trace``), for all adapters that provide it, or the id of a check
        (``my-afi/float32/fisher_trace/prop-5/dirac``).
    case
        The id of a case.
    data, weights
        For a case on data of your own.
    load
        Imports the file.

    Returns
    -------
    list
        What each adapter's function did on it; never empty.

    Raises
    ------
    UnusableError
        If the file, the role or the case id is unusable, or they do not fit together.
    """
    adapters = _shipped() if file == SHIPPED else load(file)
    try:
        atoms = None if data is None else data.reshape(len(data), -1)
        problem = problem_from_id(case, atoms, weights)
    except ValueError as error:
        raise UnusableError(f"{error}") from None
    family = "gaussian-mixture" if "means" in problem.values else "dirac"
    found = []
    for adapter in adapters:
        for (role, provided_family), provided in adapter.functions.items():
            claim = provided.claim
            check = f"{adapter.name}/{adapter.dtype}/{role}/{claim.label}/{problem.scenario}"
            # No id names a trajectory.
            if isinstance(claim, Claim) and provided_family == family and what in (role, check):
                subject = Subject(adapter, load_backend(adapter.backend, adapter.dtype, adapter.device), provided)
                misfit = _misfit(subject, problem)
                if misfit:
                    raise UnusableError(f"case {case} {misfit}: the {role} of {adapter.name!r} is not checked on such.")
                found.append((subject, examine(subject, problem)))
    if not found:
        known = sorted({f"{role} ({family})" for adapter in adapters for role, family in adapter.functions})
        raise UnusableError(
            f"{file} has no function for {what!r} on {family} data, which case {case} is. It has: {', '.join(known)}."
        )
    return found


def told_by_worker(
    file: str, what: str, case: str, data: Array | None, weights: Array | None, limits: Limits
) -> tuple[list[str], bool]:
    """Do what :func:`replay` does in a worker process; return the lines that tell of it, and whether all is right.

    Raises
    ------
    UnusableError
        As :func:`replay` does, and if the process does not survive the import of the file.
    """
    with contextlib.closing(Worker(limits)) as worker:
        found = look_into(file, worker)
        if found.problem:
            raise UnusableError("\n".join([found.problem, *_printed(found.output)]))
        try:
            reply, output = worker.request("replay", file, what, case, data, weights)
        except DiedError as death:
            return [f"error: {death}", *_printed(death.output)], False
    if "unusable" in reply:
        raise UnusableError(reply["unusable"])
    return [*reply["lines"], *_printed(output)], bool(reply["right"])


def _printed(output: str) -> list[str]:
    return ["it printed:", *(f"  | {line}" for line in output.splitlines())] if output else []


def _misfit(subject: Subject, problem: Problem) -> str | None:
    """Return why a run would not hand the problem to the function, if it would not."""
    adapter, claim, values = subject.adapter, subject.claim, problem.values
    if adapter.event_shape and math.prod(adapter.event_shape) != problem.dimension:
        return f"has points of {problem.dimension} numbers, and its event_shape is {adapter.event_shape}"
    if problem.dimension > claim.largest_dimension:
        return f"has dimension {problem.dimension}, and it is checked up to {claim.largest_dimension}"
    if problem.eps_kind not in claim.eps_kinds:
        return f"has the {problem.eps_kind} epsilon"
    if not problem.shares_noise and not adapter.per_sample_noise:
        return "has a noise level per point"
    if np.ptp(values["weights"]) > 0 and not subject.asks_for("weights"):
        return "has weights, and it does not ask for them"
    if subject.asks_for("alpha_bar") and not np.allclose(values["alpha"] ** 2 + values["sigma"] ** 2, 1):
        return "is not variance preserving, and it asks for alpha_bar"
    return None


def _shipped() -> list[Adapter]:
    from afi_verify.shipped import ADAPTERS

    return ADAPTERS


def told(found: list[tuple[Subject, Finding]]) -> tuple[list[str], bool]:
    """Return what was found as lines of text, and whether all of it is right."""
    lines = [line for subject, finding in found for line in report_lines(subject, finding)]
    return lines, all(finding.kind is Kind.RIGHT for _, finding in found)


def report_lines(subject: Subject, finding: Finding) -> Iterator[str]:
    """Yield what was returned, expected and attainable, and the margins, as lines of text."""
    adapter, claim, problem = subject.adapter, subject.claim, finding.problem
    yield f"{_KINDS[finding.kind]}: {adapter.name} {adapter.dtype}, {claim.role} ({claim.label})"
    yield f"case {problem.id}"
    yield f"  {problem!r}"
    yield f"  must hold: {claim.statement}"
    if finding.message:
        yield f"  {finding.message}"
    for point in range(problem.batch):
        yield f"point {point}, log-SNR {problem.log_snr[point]:.4g}"
        if not finding.truth.representable[point]:
            yield f"  no evidence: {adapter.dtype} cannot represent its truth, or what any way to it needs"
            continue
        if finding.answer is not None:
            yield f"  returned   {_numbers(finding.answer[point])}"
        yield f"  expected   {_numbers(finding.truth.answer[point])}"
        yield f"  attainable {finding.truth.attainable[point]:.3g}"
        if finding.answer is not None:
            yield f"  error      {finding.errors[point]:.3g} times the attainable; the limit is {LIMIT:g}"
        margins = sorted((float(margin[point]), name) for name, margin in finding.margins.items())
        if margins:
            nearest = ", ".join(f"{name} {margin:.3g}" for margin, name in margins[:_MOST_FORMULAS])
            yield f"  margins    {nearest} (the nearest of {len(margins)} wrong formulas)"


def _numbers(values: Array) -> str:
    flat = np.asarray(values, dtype=np.float64).ravel()
    text = " ".join(f"{number:.17g}" for number in flat[:_MOST_NUMBERS])
    return text + (f" … ({flat.size} numbers)" if flat.size > _MOST_NUMBERS else "")
