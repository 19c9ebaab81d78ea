"""Running a claim about a trajectory: the limit of the answers for more and more steps is held against the truth."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from afi_properties.convergence import (
    RESOLUTION,
    STEPS,
    Convergence,
    Limit,
    judge_answer,
    judge_limit,
    rounding_of,
)
from afi_properties.judgement import LIMIT
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Array, Problem
from afi_properties.trajectory import TrajectoryClaim, margins_of_trajectory, trajectory_of
from afi_reference.flow import FlowResult
from afi_verify.backends import load_backend
from afi_verify.errors import BrokenAnswerError
from afi_verify.examination import Kind
from afi_verify.handing import Subject, call, round_problem
from afi_verify.outcome import VERDICTS, acquit, result_of, weightiest
from afi_verify.planning import Check, Plan
from afi_verify.results import CheckResult, Counterexample

CASES_PER_ROUND = 2
FEWEST_CASES = 6

_KINDS = {
    Limit.OPEN: Kind.UNDECIDED,
    Limit.RIGHT: Kind.RIGHT,
    Limit.WRONG: Kind.WRONG,
    Limit.SLOW: Kind.INACCURATE,
    Limit.STAGNANT: Kind.INACCURATE,
}


@dataclasses.dataclass(frozen=True, eq=False)
class TrajectoryFinding:
    """What one problem showed.

    Errors are in the unit of all errors, of which 16 pass: here a sixteenth of the resolution.
    """

    problem: Problem
    kind: Kind
    message: str  # empty when right
    errors: Array  # (B,)
    margins: Mapping[str, Array]  # by wrong formula, (B,)

    @property
    def worst(self) -> float:
        """Largest error; 0 when there is none."""
        return float(np.nanmax(self.errors)) if not np.isnan(self.errors).all() else 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class _Known:
    """The truth of a claim on a problem."""

    truth: FlowResult
    scale: Array  # (B,)
    margins: Mapping[str, Array]


def look_at_trajectories(
    check: Check, plan: Plan, stop: Callable[[TrajectoryFinding], bool] = lambda _: False
) -> list[TrajectoryFinding]:
    """Examine case after case of a claim about trajectories; the first for which ``stop`` is true is the last.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
    adapter, claim = check.adapter, check.claim
    assert isinstance(claim, TrajectoryClaim)
    backend = load_backend(adapter.backend, adapter.dtype, adapter.device)
    subject = Subject(adapter, backend, adapter.functions[claim.role, claim.family])
    findings = []
    dimension = math.prod(adapter.event_shape) if adapter.event_shape else None
    # Who asks for atoms without their weights is told that these are uniform.
    weighted = subject.asks_for("weights") or not subject.asks_for("data", "means")
    count = FEWEST_CASES + CASES_PER_ROUND * (plan.profile.rounds - 1)
    for problem in _drawn(claim.cases, claim.family, count, plan.seed, dimension, weighted):
        findings.append(_examine(subject, claim, problem))
        # What is wrong or broken may be slow, too.
        if stop(findings[-1]) or findings[-1].kind in (Kind.WRONG, Kind.ERROR):
            break
    return findings


def conclude_trajectories(check: Check, findings: list[TrajectoryFinding]) -> CheckResult:
    """Return the result of a check that found ``findings``."""
    if all(finding.kind is Kind.RIGHT for finding in findings):
        return acquit(check, findings)
    decisive = weightiest(findings)
    same = sum(finding.kind is decisive.kind for finding in findings)
    example = _describe(decisive)
    message = f"{decisive.message} So in {same} of {len(findings)} cases."
    return result_of(check, VERDICTS[decisive.kind], message, findings, simplest=example, worst=example)


@functools.lru_cache(maxsize=8)
def _drawn(
    cases: Callable[..., Iterator[Problem]], family: str, count: int, seed: int, dimension: int | None, weighted: bool
) -> tuple[Problem, ...]:
    # Kept, because truths are known by the identity of their problem: the same numbers in every precision.
    return tuple(cases(family, count, seed, dimension, weighted=weighted))


@functools.lru_cache(maxsize=512)
def _known(claim_key: tuple[str, str], problem: Problem) -> _Known:
    claim = _claim_of(claim_key)
    trajectory = trajectory_of(problem)
    truth = claim.truth(trajectory)
    scale = claim.scale(trajectory, truth.value)
    return _Known(truth, scale, margins_of_trajectory(claim, trajectory, truth.value))


def _claim_of(key: tuple[str, str]) -> TrajectoryClaim:
    from afi_properties.catalogue import TRAJECTORY_CLAIMS

    return next(claim for claim in TRAJECTORY_CLAIMS if (claim.role, claim.family) == key)


def _examine(subject: Subject, claim: TrajectoryClaim, problem: Problem) -> TrajectoryFinding:
    known = _known((claim.role, claim.family), problem)
    unit = PRECISIONS[subject.dtype].unit_roundoff
    noise = rounding_of(known.scale, unit, STEPS[2]) + known.truth.error
    if not (4 * noise < RESOLUTION * known.scale).all():
        nothing = {name: np.zeros(problem.batch) for name in known.margins}
        return TrajectoryFinding(problem, Kind.RIGHT, "", np.full(problem.batch, np.nan), nothing)
    handed = round_problem(subject, problem)
    truth, error = known.truth.value, known.truth.error
    answers: list[Array] = []
    try:
        if not subject.asks_for("num_steps"):
            answers.append(call(subject, handed, subject.dtype))
            found = judge_answer(answers[0], truth, error, known.scale)
        for steps in STEPS if subject.asks_for("num_steps") else ():
            answers.append(call(subject, dataclasses.replace(handed, settings={"num_steps": steps}), subject.dtype))
            last = steps == STEPS[-1]
            found = judge_limit(answers, truth, error, known.scale, unit, last=last)
            if found.limit is not Limit.OPEN:
                break
    except BrokenAnswerError as broken:
        unknown = np.full(problem.batch, np.nan)
        return TrajectoryFinding(problem, Kind.ERROR, str(broken), unknown, known.margins)
    kind = _KINDS[found.limit]
    message = "" if kind is Kind.RIGHT else _message(found, answers, truth)
    return TrajectoryFinding(problem, kind, message, LIMIT * found.errors, known.margins)


def _message(found: Convergence, answers: list[Array], truth: Array) -> str:
    point = found.worst
    far = f"point {point} is {found.errors[point] * RESOLUTION:.3g} of the claim's scale from the truth"
    if truth.ndim == 1:
        far += f", {answers[-1][point]:.6g} for {truth[point]:.6g}"
    if len(answers) == 1:
        return f"With the steps that it chooses itself {far}; {RESOLUTION:g} are accepted."
    steps = STEPS[len(answers) - 1]
    if found.limit is Limit.WRONG:
        if not np.isfinite(answers[-1]).all():
            return f"With {steps} steps it returned a NaN or an infinity where the truth is finite."
        return f"It does not converge to the truth: with {steps} steps {far}, and no nearer than with {steps // 2}."
    if found.limit is Limit.STAGNANT:
        return f"It comes near the truth and then no nearer: with {steps} steps {far}, more than rounding explains."
    order = f"order {found.order:.2g}" if not math.isnan(found.order) else "no order"
    if found.limit is Limit.SLOW:
        return f"It converges, but with {order} as observed, slower than order 1: with {steps} steps {far}."
    return f"{steps} steps do not decide what it converges to ({order} as observed): {far}."


def _describe(finding: TrajectoryFinding) -> Counterexample:
    problem = finding.problem
    worst = finding.worst
    return Counterexample(
        case=repr(problem),
        batch=problem.batch,
        atoms=problem.atoms,
        dimension=problem.dimension,
        log_snr=float(problem.log_snr[0]),
        error=worst if math.isfinite(worst) else None,
        message=finding.message,
        script="",
    )
