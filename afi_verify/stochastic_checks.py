"""Running a claim about random answers: a sequential test of their mean and variance, over seeds."""

import dataclasses
import math
import zlib

import numpy as np

from afi_properties.claim import Claim
from afi_properties.claims.trace_stochastic import SCATTER, hutchinson_variance
from afi_properties.estimates import estimate_problems
from afi_properties.inputs import make_inputs
from afi_properties.judgement import LIMIT, find_truth
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Array, Problem
from afi_properties.statistics import FALSE_ALARM, BiasTest, Outcome
from afi_verify.backends import load_backend
from afi_verify.errors import BrokenAnswerError
from afi_verify.handing import Handed, Subject, call, round_problem
from afi_verify.planning import Check, Plan
from afi_verify.results import CheckResult, Counterexample, Verdict

BIAS = 0.01
"""The bias that is to be detected, as a part of the trace."""

CHECKS_IN_A_RUN = 100
"""The false-alarm rate of a run is shared out among so many checks; what that costs is a logarithm."""

MOST_CALLS = 20_000
"""Of one problem; ``undecided`` if they do not suffice."""

USUAL_CALLS = 1_000
"""With so many calls a problem should be decided; the number of probes is chosen for it."""

FEW = 3
"""Atoms and dimensions of a simple counterexample."""

_PROBES = tuple(2**k for k in range(5, 13))
_SAME = 16  # answers; that many equal ones with different seeds are no coincidence
_ROUNDED = 256.0  # multiples of the attainable that separate an exact estimator's rounding from a fixed probe's error

_URGENCY = (Verdict.FAIL, Verdict.ERROR, Verdict.UNDECIDED, Verdict.VACUOUS, Verdict.PASS)


@dataclasses.dataclass(frozen=True)
class _Found:
    """What one problem showed."""

    problem: Problem
    verdict: Verdict
    message: str
    calls: int = 0
    scatter: float = math.nan  # variance over that of Hutchinson's estimator with Gaussian probes


def run_stochastic_check(check: Check, plan: Plan) -> CheckResult:
    """Hold a stochastic estimate against its claim; see :class:`~afi_properties.statistics.BiasTest`.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
    adapter, claim = check.adapter, check.claim
    assert isinstance(claim, Claim)
    provided = adapter.functions[claim.role, claim.family]
    subject = Subject(adapter, load_backend(adapter.backend, adapter.dtype, adapter.device), provided)
    seed = zlib.crc32(f"{plan.seed}/{check.claim.role}/{check.claim.label}/{check.scenario}".encode())
    kinds = claim.eps_kinds if subject.asks_for("eps_fn") else ("exact",)
    dimension = math.prod(adapter.event_shape) if adapter.event_shape else None
    problems = list(estimate_problems(kinds, dimension, 1 + plan.profile.rounds, seed))
    false_alarm = FALSE_ALARM / CHECKS_IN_A_RUN / len(problems)
    found = []
    for number, problem in enumerate(problems):
        found.append(_examine(subject, problem, false_alarm, np.random.default_rng([seed, 7, number])))
        if found[-1].verdict in (Verdict.FAIL, Verdict.ERROR):
            break  # one is enough, and a broken function may be slow
    decisive = min(found, key=lambda one: _URGENCY.index(one.verdict))
    worst = simplest = None
    if decisive.verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.UNDECIDED):
        worst = _describe(decisive)
        simplest = (
            worst if decisive.verdict is Verdict.UNDECIDED else _simplest(subject, kinds, dimension, seed) or worst
        )
    return CheckResult(
        id=check.id,
        role=check.claim.role,
        claim=check.claim.label,
        scenario=check.scenario,
        statement=check.claim.statement,
        printed=check.claim.printed,
        verdict=decisive.verdict,
        message=_summary(found) if decisive.verdict is Verdict.PASS else decisive.message,
        cases=len(found),
        items=sum(one.problem.batch for one in found),
        evidence=sum(one.problem.batch for one in found if one.verdict in (Verdict.PASS, Verdict.FAIL)),
        limit=LIMIT,
        worst_error=None,
        median_error=None,
        simplest=simplest,
        worst=worst,
    )


def _simplest(subject: Subject, kinds: tuple[str, ...], dimension: int | None, seed: int) -> Counterexample | None:
    """Return a problem of few atoms in few dimensions that shows a fault already found, if few calls do."""
    for number, problem in enumerate(estimate_problems(kinds, dimension or FEW, 3, seed, num_atoms=FEW)):
        rng = np.random.default_rng([seed, 11, number])
        found = _examine(subject, problem, FALSE_ALARM / CHECKS_IN_A_RUN, rng, USUAL_CALLS)
        if found.verdict in (Verdict.FAIL, Verdict.ERROR):
            return _describe(found)
    return None


def _examine(
    subject: Subject, problem: Problem, false_alarm: float, rng: np.random.Generator, most_calls: int | None = None
) -> _Found:
    handed = round_problem(subject, problem)
    claim = subject.claim
    truth = find_truth(claim, handed.values, problem, handed.skew, PRECISIONS[subject.dtype])
    expected = np.asarray(truth.answer, dtype=np.float64)
    bias, allowance = BIAS * np.abs(expected), LIMIT * truth.attainable
    if not truth.representable.all() or not (4 * allowance < bias).all():
        message = f"A bias of {BIAS:.0%} is no more than {subject.dtype} may round by. A pass would mean nothing."
        return _Found(problem, Verdict.VACUOUS, message)
    variance = SCATTER * np.asarray(hutchinson_variance(make_inputs(handed.values, skew=handed.skew)), dtype=np.float64)

    def a_test(probes: int) -> BiasTest:
        return BiasTest(expected, allowance, bias, variance / probes, false_alarm)

    probes = 1
    if subject.asks_for("num_probes"):
        probes = next((m for m in _PROBES if a_test(m).budget <= USUAL_CALLS), _PROBES[-1])
    test = a_test(probes)
    rows: list[Array] = []
    try:
        found = _broken_seed(subject, handed, probes, rng, allowance)
        budget = min(test.budget, MOST_CALLS if most_calls is None else most_calls)
        while not found and test.outcome is Outcome.OPEN and test.count < budget:
            row = _ask(subject, handed, probes, _a_seed(rng))
            if not np.isfinite(row).all():
                found = "It returned a NaN or an infinity where the truth is finite."
                break
            rows.append(row)
            test.add(row[None])
            if len(rows) == _SAME and (np.array(rows) == row).all():
                # Nothing is random: there is nothing to wait for.
                if (np.abs(row - expected) <= _ROUNDED * truth.attainable).all():
                    return _Found(problem, Verdict.PASS, "", test.count, 0.0)
                found = (
                    f"It gave the same answer for {_SAME} seeds, and not the trace: let the probes depend on the seed."
                )
    except BrokenAnswerError as error:
        return _Found(problem, Verdict.ERROR, str(error), test.count)
    message = found or _message(test, probes)
    verdict = Verdict.FAIL if found else _VERDICTS[test.outcome]
    return _Found(problem, verdict, message, test.count, float(SCATTER * test.variance_ratio.max()))


_VERDICTS = {
    Outcome.OPEN: Verdict.UNDECIDED,
    Outcome.RIGHT: Verdict.PASS,
    Outcome.BIASED: Verdict.FAIL,
    Outcome.SCATTERED: Verdict.FAIL,
}


def _a_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _ask(subject: Subject, handed: Handed, probes: int, seed: int) -> Array:
    settings = {"num_probes": probes, "seed": seed}
    return call(subject, dataclasses.replace(handed, settings=settings), subject.dtype)


def _broken_seed(subject: Subject, handed: Handed, probes: int, rng: np.random.Generator, allowance: Array) -> str:
    """Say so if the same seed gives different answers."""
    if not subject.asks_for("seed"):
        return ""
    seed = _a_seed(rng)
    first, second = (_ask(subject, handed, probes, seed) for _ in range(2))
    if (np.abs(first - second) <= allowance).all() or not np.isfinite(first).all():
        return ""
    return f"It gave different answers for the same seed ({seed}), {first[0]:.9g} and {second[0]:.9g}: use the seed."


def _message(test: BiasTest, probes: int) -> str:
    worst = int(np.argmax(np.abs(test.mean_error) / test.bias))
    mean = test.truth[worst] + test.mean_error[worst]
    numbers = (
        f"Point {worst}: the mean of {test.count} estimates of {probes} probe{'s' * (probes > 1)} each is {mean:.6g}; "
        f"the trace is {test.truth[worst]:.6g} ({test.mean_error[worst] / test.truth[worst]:+.2%})."
    )
    if test.outcome is Outcome.BIASED:
        return f"It is biased. {numbers}"
    if test.outcome is Outcome.SCATTERED:
        ratio = SCATTER * float(test.variance_ratio.max())
        return (
            f"Its variance is {ratio:.3g} times that of Hutchinson's estimator with as many Gaussian probes; at most "
            f"{SCATTER:g} times are accepted. {numbers}"
        )
    if test.outcome is Outcome.OPEN:
        return f"The calls that were allowed do not decide whether it is biased by {BIAS:.0%}. {numbers}"
    return ""


def _summary(found: list[_Found]) -> str:
    calls = sum(one.calls for one in found)
    scatter = max((one.scatter for one in found if not math.isnan(one.scatter)), default=math.nan)
    return (
        f"{calls} estimates exclude a bias of {BIAS:.0%}; their variance is up to {scatter:.2g} times that of "
        "Hutchinson's estimator with as many Gaussian probes."
    )


def _describe(found: _Found) -> Counterexample:
    problem = found.problem
    return Counterexample(
        case=repr(problem),
        batch=problem.batch,
        atoms=problem.atoms,
        dimension=problem.dimension,
        log_snr=float(problem.log_snr[0]),
        error=None,
        message=found.message,
        script="",
    )
