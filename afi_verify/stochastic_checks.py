"""Running a claim about random answers: a sequential test of their mean and variance, over seeds."""

import dataclasses
import math
import zlib
from collections.abc import Mapping

import numpy as np

from afi_properties.claim import Claim
from afi_properties.claims.trace_stochastic import SCATTER, hutchinson_variance
from afi_properties.estimates import estimate_problems, is_simple, simpler_estimates
from afi_properties.inputs import make_inputs
from afi_properties.judgement import LIMIT, find_truth
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Array, Problem
from afi_properties.statistics import FALSE_ALARM, BiasTest, Outcome
from afi_verify.backends import load_backend
from afi_verify.errors import BrokenAnswerError
from afi_verify.estimate_replay import estimate_script, gross_fault
from afi_verify.examination import Kind
from afi_verify.excuses import Excuses
from afi_verify.handing import Handed, Subject, call_with, round_problem
from afi_verify.outcome import result_of
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

_PROBES = tuple(2**k for k in range(5, 13))
_SAME = 16  # answers; that many equal ones with different seeds are no coincidence
_ROUNDED = 256.0  # multiples of the attainable that separate an exact estimator's rounding from a fixed probe's error

_URGENCY = (Verdict.FAIL, Verdict.ERROR, Verdict.UNDECIDED, Verdict.VACUOUS, Verdict.PASS)


@dataclasses.dataclass(frozen=True, eq=False)
class EstimateFinding:
    """What one problem showed.

    Errors are in the unit of all errors, of which 16 pass: here a sixteenth of the bias that is to be detected, or of
    the largest variance that is accepted.
    """

    handed: Handed
    verdict: Verdict
    message: str
    errors: Array  # (B,)
    calls: int = 0
    scatter: float = math.nan  # variance over that of Hutchinson's estimator with Gaussian probes

    @property
    def problem(self) -> Problem:
        """The problem, before rounding."""
        return self.handed.problem

    @property
    def kind(self) -> Kind:
        """How it weighs."""
        return _KINDS.get(self.verdict, Kind.RIGHT)

    @property
    def margins(self) -> Mapping[str, Array]:
        """None: there are no wrong formulas."""
        return {}

    @property
    def worst(self) -> float:
        """Largest error; 0 when there is none."""
        return float(np.nanmax(self.errors)) if not np.isnan(self.errors).all() else 0.0


_KINDS = {Verdict.FAIL: Kind.WRONG, Verdict.ERROR: Kind.ERROR, Verdict.UNDECIDED: Kind.UNDECIDED}


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
    false_alarm, excuses = FALSE_ALARM / CHECKS_IN_A_RUN / len(problems), Excuses.of(check, plan)
    found = []
    for problem in problems:
        found.append(examine_estimates(subject, problem, false_alarm))
        if found[-1].verdict in (Verdict.FAIL, Verdict.ERROR) and not excuses.excuse(found[-1]):
            break  # one is enough, and a broken function may be slow
    blamed, known = excuses.blamed(found)
    decisive = min(blamed, key=lambda one: _URGENCY.index(one.verdict))
    simplest = worst = None
    if decisive.verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.UNDECIDED):
        worst = _describe(decisive, "")
        simplest = _simplest(subject, decisive) or worst
    passed = decisive.verdict is Verdict.PASS
    result = result_of(check, decisive.verdict, _summary(found) if passed else decisive.message, found)
    result = dataclasses.replace(
        result,
        evidence=sum(one.problem.batch for one in found if one.verdict in (Verdict.PASS, Verdict.FAIL)),
        worst_error=None,  # by chance
        median_error=None,
        simplest=simplest,
        worst=worst,
    )
    return excuses.apply(result, blamed, known)


def examine_estimates(
    subject: Subject, problem: Problem, false_alarm: float = FALSE_ALARM / CHECKS_IN_A_RUN
) -> EstimateFinding:
    """Ask for estimates until a test decides; which seeds are asked for follows from the problem.

    On few atoms some hundred are asked for, and only gross faults looked for.
    """
    if is_simple(problem):
        return _examine_small(subject, problem)
    rng = np.random.default_rng([problem.seed, 7])
    handed = round_problem(subject, problem)
    truth = find_truth(subject.claim, handed.values, problem, handed.skew, PRECISIONS[subject.dtype])
    expected = np.asarray(truth.answer, dtype=np.float64)
    bias, allowance = BIAS * np.abs(expected), LIMIT * truth.attainable
    unknown = np.full(problem.batch, np.nan)
    if not truth.representable.all() or not (4 * allowance < bias).all():
        message = f"A bias of {BIAS:.0%} is no more than {subject.dtype} may round by. A pass would mean nothing."
        return EstimateFinding(handed, Verdict.VACUOUS, message, unknown)
    variance = _accepted_variance(handed)

    def a_test(probes: int) -> BiasTest:
        return BiasTest(expected, allowance, bias, variance / probes, false_alarm)

    def errors(deviation: Array) -> Array:
        return np.asarray(LIMIT * np.nan_to_num(np.abs(deviation) / bias, nan=np.inf))

    probes = 1
    if subject.asks_for("num_probes"):
        probes = next((m for m in _PROBES if a_test(m).budget <= USUAL_CALLS), _PROBES[-1])
    test = a_test(probes)
    rows: list[Array] = []
    try:
        found, deviation = _broken_seed(subject, handed, probes, rng, allowance), unknown
        if found:
            first, second = found
            message = f"It gave different answers for the same seed, {first[0]:.9g} and {second[0]:.9g}: use the seed."
            return EstimateFinding(handed, Verdict.FAIL, message, errors(first - second))
        budget = min(test.budget, MOST_CALLS)
        while test.outcome is Outcome.OPEN and test.count < budget:
            row = _ask(subject, handed, probes, _a_seed(rng))
            if not np.isfinite(row).all():
                message = "It returned a NaN or an infinity where the truth is finite."
                return EstimateFinding(handed, Verdict.FAIL, message, errors(row - expected), test.count)
            rows.append(row)
            test.add(row[None])
            if len(rows) == _SAME and (np.array(rows) == row).all():
                # Nothing is random: there is nothing to wait for.
                deviation = row - expected
                # As many roundings as there are probes to add.
                if (np.abs(deviation) <= max(_ROUNDED, probes) * truth.attainable).all():
                    return EstimateFinding(handed, Verdict.PASS, "", errors(deviation), test.count, 0.0)
                message = (
                    f"It gave the same answer for {_SAME} seeds, and not the trace: let the probes depend on the seed."
                )
                return EstimateFinding(handed, Verdict.FAIL, message, errors(deviation), test.count)
    except BrokenAnswerError as error:
        return EstimateFinding(handed, Verdict.ERROR, str(error), unknown, test.count)
    scattered = LIMIT * np.asarray(test.variance_ratio)
    found_errors = np.maximum(errors(test.mean_error), scattered if test.outcome is Outcome.SCATTERED else 0)
    verdict, scatter = _VERDICTS[test.outcome], float(SCATTER * test.variance_ratio.max())
    return EstimateFinding(handed, verdict, _message(test, probes), found_errors, test.count, scatter)


def _accepted_variance(handed: Handed) -> Array:
    """Return the largest variance that is accepted of one probe, (B,)."""
    inputs = make_inputs(handed.values, skew=handed.skew)
    return SCATTER * np.asarray(hutchinson_variance(inputs), dtype=np.float64)


_VERDICTS = {
    Outcome.OPEN: Verdict.UNDECIDED,
    Outcome.RIGHT: Verdict.PASS,
    Outcome.BIASED: Verdict.FAIL,
    Outcome.SCATTERED: Verdict.FAIL,
}


def _a_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _ask(subject: Subject, handed: Handed, probes: int, seed: int) -> Array:
    return call_with(subject, handed, num_probes=probes, seed=seed)


def _broken_seed(
    subject: Subject, handed: Handed, probes: int, rng: np.random.Generator, allowance: Array
) -> tuple[Array, Array] | None:
    """Return two different answers for one seed, if there are."""
    if not subject.asks_for("seed"):
        return None
    seed = _a_seed(rng)
    first, second = (_ask(subject, handed, probes, seed) for _ in range(2))
    return None if (np.abs(first - second) <= allowance).all() or not np.isfinite(first).all() else (first, second)


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


def _summary(found: list[EstimateFinding]) -> str:
    calls = sum(one.calls for one in found)
    scatter = max((one.scatter for one in found if not math.isnan(one.scatter)), default=math.nan)
    return (
        f"{calls} estimates exclude a bias of {BIAS:.0%}; their variance is up to {scatter:.2g} times that of "
        "Hutchinson's estimator with as many Gaussian probes."
    )


def _simplest(subject: Subject, found: EstimateFinding) -> Counterexample | None:
    """Return a small problem on which a few hundred answers show the fault, with the script that asks for them."""
    if found.verdict is Verdict.UNDECIDED:
        return None
    event = subject.adapter.event_shape
    for problem in simpler_estimates(found.problem, math.prod(event) if event else None):
        finding = _examine_small(subject, problem)
        if finding.verdict is Verdict.FAIL:
            return _describe(finding, estimate_script(subject, finding.handed, _accepted_variance(finding.handed)))
        if finding.verdict is Verdict.ERROR:
            return _describe(finding, "")
    return None


def _examine_small(subject: Subject, problem: Problem) -> EstimateFinding:
    handed, unknown = round_problem(subject, problem), np.full(problem.batch, np.nan)
    try:
        fault = gross_fault(subject, handed, _accepted_variance(handed))
    except BrokenAnswerError as error:
        return EstimateFinding(handed, Verdict.ERROR, str(error), unknown)
    if not fault:
        return EstimateFinding(handed, Verdict.PASS, "", unknown)
    return EstimateFinding(handed, Verdict.FAIL, f"It gave {fault}.", unknown)


def _describe(found: EstimateFinding, script: str) -> Counterexample:
    problem = found.problem
    return Counterexample(
        case=repr(problem),
        batch=problem.batch,
        atoms=problem.atoms,
        dimension=problem.dimension,
        log_snr=float(problem.log_snr[0]),
        error=None,
        message=found.message,
        script=script,
        id=problem.id or "",
    )
