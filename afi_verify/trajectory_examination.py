"""One function, one trajectory: its answers for more and more steps converge to the truth, or not."""

import dataclasses
import functools
import math
from collections.abc import Mapping

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
from afi_verify.errors import BrokenAnswerError
from afi_verify.examination import Kind
from afi_verify.handing import Handed, Subject, call, call_with, round_problem

_KINDS = {
    Limit.OPEN: Kind.UNDECIDED,
    Limit.RIGHT: Kind.RIGHT,
    Limit.WRONG: Kind.WRONG,
    Limit.SLOW: Kind.INACCURATE,
    Limit.STAGNANT: Kind.INACCURATE,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """The truth of a claim on a problem."""

    truth: FlowResult
    scale: Array  # (B,)
    margins: Mapping[str, Array]


@dataclasses.dataclass(frozen=True, eq=False)
class TrajectoryFinding:
    """What one problem showed.

    Errors are in the unit of all errors, of which 16 pass: here a sixteenth of the resolution.
    """

    handed: Handed
    known: Known
    kind: Kind
    message: str  # empty when right
    errors: Array  # (B,)
    margins: Mapping[str, Array]  # by wrong formula, (B,)
    answers: tuple[Array, ...] = ()  # (B, ...) each, one for each number of steps that was asked for

    @property
    def problem(self) -> Problem:
        """The problem, before rounding."""
        return self.handed.problem

    @property
    def worst(self) -> float:
        """Largest error; 0 when there is none."""
        return float(np.nanmax(self.errors)) if not np.isnan(self.errors).all() else 0.0

    @property
    def worst_point(self) -> int:
        """Index of the point with the largest error."""
        return int(np.nanargmax(self.errors)) if not np.isnan(self.errors).all() else 0


def claim_of(subject: Subject) -> TrajectoryClaim:
    """Return the claim that a function is held against."""
    claim = subject.provided.claim
    assert isinstance(claim, TrajectoryClaim)
    return claim


def knows_epsilon_alone(subject: Subject) -> bool:
    """Whether a function knows of the data nothing but ``eps_fn``."""
    return subject.asks_for("eps_fn") and not subject.asks_for("data", "weights", "head_fn")


def examine_trajectory(subject: Subject, problem: Problem, most_steps: int = STEPS[-1]) -> TrajectoryFinding:
    """Call the function under test for more and more steps, and hold what it converges to against the truth."""
    known, handed = known_of(subject, problem), round_problem(subject, problem)
    unit = PRECISIONS[subject.dtype].unit_roundoff
    noise = rounding_of(known.scale, unit, STEPS[2]) + known.truth.error
    if not (4 * noise < RESOLUTION * known.scale).all():
        nothing = {name: np.zeros(problem.batch) for name in known.margins}
        return TrajectoryFinding(handed, known, Kind.RIGHT, "", np.full(problem.batch, np.nan), nothing)
    truth, error = known.truth.value, known.truth.error
    answers: list[Array] = []
    try:
        if not subject.asks_for("num_steps"):
            answers.append(call(subject, handed, subject.dtype))
            found = judge_answer(answers[0], truth, error, known.scale)
        for steps in [s for s in STEPS if s <= most_steps] if subject.asks_for("num_steps") else ():
            answers.append(call_with(subject, handed, num_steps=steps))
            last = steps == STEPS[-1]
            found = judge_limit(answers, truth, error, known.scale, unit, last=last)
            if found.limit is not Limit.OPEN:
                break
    except BrokenAnswerError as broken:
        unknown = np.full(problem.batch, np.nan)
        return TrajectoryFinding(handed, known, Kind.ERROR, str(broken), unknown, known.margins)
    kind = _KINDS[found.limit]
    message = "" if kind is Kind.RIGHT else _message(found, answers, truth)
    return TrajectoryFinding(handed, known, kind, message, LIMIT * found.errors, known.margins, tuple(answers))


def known_of(subject: Subject, problem: Problem) -> Known:
    """Return the truth of a function's claim on a problem, computed once."""
    claim = claim_of(subject)
    return _known((claim.role, claim.family), problem)


@functools.lru_cache(maxsize=512)
def _known(claim_key: tuple[str, str], problem: Problem) -> Known:
    from afi_properties.catalogue import TRAJECTORY_CLAIMS

    claim = next(claim for claim in TRAJECTORY_CLAIMS if (claim.role, claim.family) == claim_key)
    trajectory = trajectory_of(problem)
    truth = claim.truth(trajectory)
    scale = claim.scale(trajectory, truth.value)
    return Known(truth, scale, margins_of_trajectory(claim, trajectory, truth.value))


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
