"""Running the claim about training: the excess risk of the trained head, by a sequential test; see Prop. 6.

Training takes seconds, so there are few problems; a head that was trained is cheap to ask, so each is asked as often as
the decision takes. Where an implementation lets us say how long to train, one that is not good enough gets more time:
what is on its way to the optimum arrives, what trains for something else does not.
"""

import dataclasses
import math
import warnings
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from afi_properties.claim import Claim
from afi_properties.claims.trace_head import ACCEPTABLE, UNACCEPTABLE
from afi_properties.inputs import Inputs, make_inputs
from afi_properties.judgement import LIMIT
from afi_properties.problem import Array, Problem
from afi_properties.statistics import FALSE_ALARM, ExcessRiskTest, Outcome, mean_interval
from afi_properties.training import LEVELS, diffused_points, training_problems, with_points
from afi_verify.backends import load_backend
from afi_verify.errors import BrokenAnswerError
from afi_verify.examination import Kind
from afi_verify.excuses import Excuses
from afi_verify.handing import Handed, Subject, invoke, round_problem
from afi_verify.outcome import result_of
from afi_verify.planning import Check, Plan
from afi_verify.results import CheckResult, Counterexample, FormulaMargin, Verdict
from afi_verify.stochastic_checks import CHECKS_IN_A_RUN
from afi_verify.training_replay import shows, training_script

STEPS = (500, 3000)
"""Values of ``num_steps``, one after the other while a head is not good enough."""

ROWS = 64
"""Points at each level, between two looks at the test."""

MOST_ROWS = 6400
"""Points at each level; ``undecided`` if they do not suffice."""

READABLE_ROWS = 256
"""Points at each level at least."""

MOST_PROBLEMS = 12

FEW = 3
"""Atoms of the problems among which the simplest counterexample is looked for."""

_NEAR = 0.25
"""A head is explained by a mistake if it is so much nearer, in mean square, to that one's optimum than to the truth."""

_SAME = 2.0**-10
"""How much of the answers' spread two answers at the same point may differ by: networks round, too."""

_URGENCY = (Verdict.FAIL, Verdict.ERROR, Verdict.UNDECIDED, Verdict.PASS)

_OUTCOMES = {Outcome.RIGHT: Verdict.PASS, Outcome.OPEN: Verdict.UNDECIDED, Outcome.BIASED: Verdict.FAIL}


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingFinding:
    """What one problem showed.

    Errors are in the unit of all errors, of which 16 pass: here a sixteenth of the excess risk that is accepted. They
    are about all levels at once, and the same for each.
    """

    handed: Handed
    verdict: Verdict
    message: str
    relative: float = math.nan  # excess risk as a part of what can be explained
    excess_margins: Mapping[str, float] = dataclasses.field(default_factory=dict)  # of wrong ones over UNACCEPTABLE
    points: int = 0
    script: str = ""

    @property
    def problem(self) -> Problem:
        """The problem, before rounding."""
        return self.handed.problem

    @property
    def kind(self) -> Kind:
        """How it weighs."""
        return {Verdict.FAIL: Kind.WRONG, Verdict.ERROR: Kind.ERROR, Verdict.UNDECIDED: Kind.UNDECIDED}.get(
            self.verdict, Kind.RIGHT
        )

    @property
    def errors(self) -> Array:
        """Per level, (LEVELS,)."""
        return np.full(LEVELS, LIMIT * self.relative / ACCEPTABLE)

    @property
    def margins(self) -> Mapping[str, Array]:
        """Against wrong targets, per level."""
        return {name: np.full(LEVELS, margin) for name, margin in self.excess_margins.items()}

    @property
    def worst(self) -> float:
        """Largest error; 0 when there is none."""
        return 0.0 if math.isnan(self.relative) else float(self.errors.max())


def run_training_check(check: Check, plan: Plan) -> CheckResult:
    """Let the function under test train, and hold the head against the optimum.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
    adapter, claim = check.adapter, check.claim
    assert isinstance(claim, Claim)
    provided = adapter.functions[claim.role, claim.family]
    subject = Subject(adapter, load_backend(adapter.backend, adapter.dtype, adapter.device), provided)
    seed = zlib.crc32(f"{plan.seed}/{claim.role}/{claim.label}/{check.scenario}".encode())
    dimension = math.prod(adapter.event_shape) if adapter.event_shape else None
    count = min(2 + plan.profile.rounds, MOST_PROBLEMS)
    excuses, found = Excuses.of(check, plan), []
    for problem in training_problems(subject.asks_for("weights"), dimension, count, seed):
        found.append(examine_training(subject, problem, FALSE_ALARM / CHECKS_IN_A_RUN / count))
        if found[-1].verdict is not Verdict.PASS and not excuses.excuse(found[-1]):
            break  # one is enough, and training may be slow
    blamed, known = excuses.blamed(found)
    decisive = min(blamed, key=lambda one: _URGENCY.index(one.verdict))
    passed = decisive.verdict is Verdict.PASS
    result = result_of(check, decisive.verdict, _summary(found) if passed else decisive.message, [])
    worst = simplest = None if passed else _describe(decisive)
    if decisive.verdict in (Verdict.FAIL, Verdict.ERROR):
        simplest = _simplest(subject, dimension, seed) or worst
    margins = _margins(found)
    untold = [margin.formula for margin in margins if not margin.telling]
    if passed and untold:
        result = dataclasses.replace(result, message=f"{result.message} Could not have been told: {', '.join(untold)}.")
    result = dataclasses.replace(
        result,
        cases=len(found),
        items=sum(one.points for one in found),
        evidence=sum(one.points for one in found if one.verdict in (Verdict.PASS, Verdict.FAIL)),
        margins=margins,
        simplest=simplest,
        worst=worst,
    )
    return excuses.apply(result, blamed, known)


def _simplest(subject: Subject, dimension: int | None, seed: int) -> Counterexample | None:
    """Return a problem of few atoms that shows a fault already found, if one does."""
    for problem in training_problems(subject.asks_for("weights"), dimension, 4, seed, num_atoms=FEW):
        found = examine_training(subject, problem)
        if found.verdict in (Verdict.FAIL, Verdict.ERROR):
            return _describe(found)
    return None


@dataclasses.dataclass(frozen=True, eq=False)
class KnownRisk:
    """What is known of a problem before anybody trains, at some points."""

    explainable: float
    at: Inputs
    right: Array
    mistakes: dict[str, Array]  # the optima of the wrong targets, by name, where they differ
    margins: dict[str, float]  # excess of these over UNACCEPTABLE


def mistakes_of(claim: Claim, inputs: Inputs, rng: np.random.Generator) -> KnownRisk:
    """Return how far the optima of the wrong targets are from the right one."""
    # Each level has a mean of its own: a head that knows the time answers that.
    explainable = float(claim.truth(_points(inputs, 8 * ROWS, rng)).reshape(LEVELS, -1).var(axis=1).mean())
    at = _points(inputs, ROWS, rng)
    right = claim.truth(at)
    wrong = {name: formula(at, right) for name, formula in claim.wrong.items()}
    mistakes = {name: answer for name, answer in wrong.items() if answer is not None}
    scale = explainable * UNACCEPTABLE
    margins = {name: float(((answer - right) ** 2).mean()) / scale for name, answer in mistakes.items()}
    return KnownRisk(explainable, at, right, mistakes, margins)


def examine_training(
    subject: Subject, problem: Problem, false_alarm: float = FALSE_ALARM / CHECKS_IN_A_RUN / MOST_PROBLEMS
) -> TrainingFinding:
    """Let the function train on one problem, and judge the head; seed and points follow from the problem."""
    rng = np.random.default_rng([problem.seed, 10])
    handed = round_problem(subject, problem)
    inputs = make_inputs(handed.values)
    known = mistakes_of(subject.claim, inputs, rng)
    at, right, explainable, margins = known.at, known.right, known.explainable, known.margins
    asked = subject.asks_for("num_steps")
    try:
        for steps in STEPS if asked else STEPS[:1]:
            seed = int(rng.integers(2**31))
            head = _train(subject, handed, steps, seed)
            broken = _broken_head(head, inputs, rng)
            if broken:
                script = training_script(subject, handed, at, right, explainable, steps=steps, seed=seed)
                return TrainingFinding(handed, Verdict.FAIL, broken, math.inf, margins, script=script)
            test = ExcessRiskTest(ACCEPTABLE, UNACCEPTABLE, false_alarm / len(STEPS))
            losses, outcome = _judge(head, inputs, subject, explainable, test, rng)
            if outcome is Outcome.RIGHT:
                break
        verdict, relative = _OUTCOMES[outcome], float(losses.mean())
        message = script = ""
        if verdict is not Verdict.PASS:
            answer = head(at.x)
            message = _message(outcome, losses, steps if asked else 0) + _likeness(answer, known)
            if shows((answer - right) ** 2, explainable):
                script = training_script(subject, handed, at, right, explainable, steps=steps, seed=seed)
    except BrokenAnswerError as error:
        return TrainingFinding(handed, Verdict.ERROR, str(error), excess_margins=margins)
    return TrainingFinding(handed, verdict, message, relative, margins, LEVELS * len(losses), script)


_Head = Callable[[Array], Array]
"""The trained head at points (LEVELS m, d), m for each level in their order."""


def _train(subject: Subject, handed: Handed, steps: int, seed: int) -> _Head:
    backend, problem = subject.backend, handed.problem
    settings = {"num_steps": steps, "seed": seed}
    head = invoke(subject, dataclasses.replace(handed, settings=settings), subject.dtype)
    if not callable(head):
        kind = type(head)
        raise BrokenAnswerError(f"It returned a {kind.__module__}.{kind.__qualname__}; expected a function head(x, t).")
    event = subject.event_shape(problem)

    def ask(x: Array, t: float) -> Array:
        points = backend.array(x.reshape(len(x), *event), subject.dtype)
        time: Any = backend.array(np.full(len(x), t), subject.dtype) if subject.adapter.per_sample_noise else t
        try:
            with backend.context(subject.dtype), warnings.catch_warnings(action="ignore"):
                answer = head(points, time)
        except Exception as error:  # whatever the code under test raises is a finding, not our crash
            raise BrokenAnswerError(f"The head raised {type(error).__name__}: {error}") from error
        if not backend.is_array(answer) or tuple(answer.shape) != (len(x),):
            shape = tuple(answer.shape) if backend.is_array(answer) else type(answer).__name__
            raise BrokenAnswerError(f"head(x, t) returned {shape}; expected a {backend.name} array of ({len(x)},).")
        return backend.to_numpy(answer)

    def everywhere(x: Array) -> Array:
        levels = zip(np.split(x, LEVELS), handed.values["t"], strict=True)
        return np.concatenate([ask(part, float(t)) for part, t in levels])

    return everywhere


def _broken_head(head: _Head, inputs: Inputs, rng: np.random.Generator) -> str:
    """Say so if an answer is not finite, changes from call to call, or depends on the other points of the batch."""
    points = _points(inputs, 8, rng).x
    first, again = head(points), head(points)
    if not np.isfinite(first).all():
        return "The head returned a NaN or an infinity."
    slack = _SAME * (np.ptp(first) + np.abs(first).mean())
    if np.abs(first - again).max() > slack:
        return "The head gave different answers for the same points: is dropout still on (eval())?"
    halves = points.reshape(LEVELS, 2, 4, -1)
    alone = [head(halves[:, k].reshape(LEVELS * 4, -1)).reshape(LEVELS, 4) for k in (0, 1)]
    if np.abs(first.reshape(LEVELS, 8) - np.concatenate(alone, axis=1)).max() > slack:
        return "The head's answers depend on the other points of the batch: is batch normalisation in training mode?"
    return ""


def _judge(
    head: _Head, inputs: Inputs, subject: Subject, explainable: float, test: ExcessRiskTest, rng: np.random.Generator
) -> tuple[Array, Outcome]:
    """Ask the head until the test decides; return one relative excess for each set of points, one per level."""
    rows: list[Array] = []
    outcome = Outcome.OPEN
    # Where it is decided at once some more are asked for, so that the interval is worth reading.
    while len(rows) * ROWS < (MOST_ROWS if outcome is Outcome.OPEN else READABLE_ROWS):
        at = _points(inputs, ROWS, rng)
        answer = head(at.x)
        if not np.isfinite(answer).all():
            raise BrokenAnswerError("The head returned a NaN or an infinity.")
        losses = (answer - subject.claim.truth(at)) ** 2 / explainable
        rows.append(losses.reshape(LEVELS, ROWS).mean(axis=0))
        if outcome is Outcome.OPEN:
            outcome = test.add(rows[-1])
    return np.concatenate(rows), outcome


def _points(inputs: Inputs, count: int, rng: np.random.Generator) -> Inputs:
    alpha, sigma = (np.repeat(noise, count) for noise in (inputs.alpha, inputs.sigma))
    return with_points(inputs, diffused_points(inputs.law, alpha, sigma, rng))


def _message(outcome: Outcome, losses: Array, steps: int) -> str:
    mean, (low, high) = float(losses.mean()), mean_interval(losses)
    numbers = (
        f"The head's excess risk is {mean:.3g} of what can be explained (95 % confidence: {low:.3g} to {high:.3g}); at "
        f"most {ACCEPTABLE:g} is expected. The optimum has 0, a constant 1."
    )
    if outcome is Outcome.OPEN:
        return f"The points that were allowed do not decide. {numbers}"
    return numbers + (f" So after {steps} steps." if steps else " Train longer, if it trains for the right target.")


def _likeness(answer: Array, known: KnownRisk) -> str:
    distance = float(((answer - known.right) ** 2).mean())
    name, nearest = min(
        ((name, float(((answer - mistake) ** 2).mean())) for name, mistake in known.mistakes.items()),
        key=lambda one: one[1],
    )
    if nearest > _NEAR * distance:
        return ""
    return f" It is near the optimum of a mistake ({name}): {1 - nearest / distance:.0%} of its error is that one's."


def _margins(found: list[TrainingFinding]) -> tuple[FormulaMargin, ...]:
    names = dict.fromkeys(name for one in found for name in one.excess_margins)
    values = {name: [one.excess_margins[name] for one in found if name in one.excess_margins] for name in names}
    return tuple(
        FormulaMargin(name, max(margins), sum(margin > 1 for margin in margins), len(margins))
        for name, margins in values.items()
    )


def _summary(found: list[TrainingFinding]) -> str:
    worst = max(one.relative for one in found)
    return (
        f"The heads' excess risk is up to {worst:.2g} of what can be explained; a test excludes {UNACCEPTABLE:g} "
        f"({len(found)} heads)."
    )


def _describe(found: TrainingFinding) -> Counterexample:
    problem = found.problem
    return Counterexample(
        case=repr(problem),
        batch=problem.batch,
        atoms=problem.atoms,
        dimension=problem.dimension,
        log_snr=float(problem.log_snr[0]),
        error=None,
        message=found.message,
        script=found.script,
        id=problem.id or "",
    )
