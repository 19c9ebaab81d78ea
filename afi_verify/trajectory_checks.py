"""Running a claim about a trajectory: the limit of the answers for more and more steps is held against the truth."""

import functools
import math
from collections.abc import Callable, Iterator

from afi_properties.problem import Problem
from afi_properties.trajectory import TrajectoryClaim
from afi_properties.trajectory_cases import simpler_trajectories, with_skew_epsilon
from afi_properties.transport_cases import simpler_transports, transport_problems
from afi_verify.backends import load_backend
from afi_verify.examination import Kind
from afi_verify.excuses import Excuses
from afi_verify.flow_diagnosis import diagnose_trajectory
from afi_verify.handing import Subject
from afi_verify.outcome import VERDICTS, acquit, result_of, weightiest
from afi_verify.planning import Check, Plan
from afi_verify.results import CheckResult, Counterexample
from afi_verify.trajectory_examination import TrajectoryFinding, claim_of, examine_trajectory, knows_epsilon_alone
from afi_verify.trajectory_replay import trajectory_script

CASES_PER_ROUND = 2
FEWEST_CASES = 6

_STEPS_OF_SIMPLER = 128
_MOST_SIMPLER = 12
"""Simpler problems that are tried: the truth of each costs a second in the worst case."""


def look_at_trajectories(
    check: Check, plan: Plan, stop: Callable[[TrajectoryFinding], bool] = lambda _: False
) -> list[TrajectoryFinding]:
    """Examine case after case of a claim about trajectories; the first for which ``stop`` is true is the last.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
    subject, excuses, findings = _subject(check), Excuses.of(check, plan), []
    for problem in _problems(subject, plan, FEWEST_CASES + CASES_PER_ROUND * (plan.profile.rounds - 1)):
        findings.append(examine_trajectory(subject, problem))
        # What is wrong or broken may be slow, too; but a failure that is known hides no other.
        decided = findings[-1].kind in (Kind.WRONG, Kind.ERROR) and not excuses.excuse(findings[-1])
        if stop(findings[-1]) or decided:
            break
    return findings


def conclude_trajectories(check: Check, plan: Plan, findings: list[TrajectoryFinding]) -> CheckResult:
    """Return the result of a check that found ``findings``, with a counterexample made as simple as it gets."""
    if all(finding.kind is Kind.RIGHT for finding in findings):
        return acquit(check, findings)
    subject, excuses = _subject(check), Excuses.of(check, plan)
    blamed, known = excuses.blamed(findings)
    decisive = weightiest(blamed)
    same = sum(finding.kind is decisive.kind for finding in blamed)
    simplest = _simplest(subject, decisive, lambda finding: known or not excuses.excuse(finding))
    explanation, message = None, f"{decisive.message} So in {same} of {len(findings)} cases."
    if decisive.kind is Kind.WRONG:
        explanation = diagnose_trajectory(subject, _problems_for_a_diagnosis(check, plan))
    if explanation is not None:
        message += f" Diagnosis: the answer {explanation.sentence}."
    result = result_of(
        check,
        VERDICTS[decisive.kind],
        message,
        findings,
        explanation=explanation,
        simplest=_describe(subject, simplest),
        worst=_describe(subject, decisive),
    )
    return excuses.apply(result, blamed, known)


def _subject(check: Check) -> Subject:
    adapter, claim = check.adapter, check.claim
    assert isinstance(claim, TrajectoryClaim)
    backend = load_backend(adapter.backend, adapter.dtype, adapter.device)
    return Subject(adapter, backend, adapter.functions[claim.role, claim.family])


def _problems(subject: Subject, plan: Plan, count: int) -> tuple[Problem, ...]:
    adapter, claim = subject.adapter, claim_of(subject)
    dimension = math.prod(adapter.event_shape) if adapter.event_shape else None
    # Who asks for atoms without their weights is told that these are uniform.
    weighted = subject.asks_for("weights") or not subject.asks_for("data", "means")
    skew = "skew" in claim.eps_kinds and knows_epsilon_alone(subject)
    return _drawn(claim.cases, claim.family, count, plan.seed, dimension, weighted, skew)


def _problems_for_a_diagnosis(check: Check, plan: Plan) -> tuple[Problem, ...]:
    """Return the first cases of the check; for answers that are yes or no, which say little, twice as many."""
    subject = _subject(check)
    return _problems(subject, plan, FEWEST_CASES * (2 if claim_of(subject).answer == "flags" else 1))


@functools.lru_cache(maxsize=8)
def _drawn(
    cases: Callable[..., Iterator[Problem]],
    family: str,
    count: int,
    seed: int,
    dimension: int | None,
    weighted: bool,
    skew: bool,
) -> tuple[Problem, ...]:
    # Kept, because truths are known by the identity of their problem: the same numbers in every precision.
    drawn = list(cases(family, count, seed, dimension, weighted=weighted))
    if skew and dimension != 1:
        # One more for every second of them, early: they tell what the others cannot.
        drawn[1:1] = [with_skew_epsilon(problem) for problem in drawn[1::2]]
    return tuple(drawn)


def _simplest(
    subject: Subject, found: TrajectoryFinding, counts: Callable[[TrajectoryFinding], bool]
) -> TrajectoryFinding:
    """Return the first of some simpler problems that shows the same; what is broken or slow is not asked again."""
    if found.kind is not Kind.WRONG or found.problem.id is None:
        return found
    simpler = simpler_transports if claim_of(subject).cases is transport_problems else simpler_trajectories
    size, tried = _size(found.problem), 0
    for problem in simpler(found.problem):
        if _size(problem) >= size:
            continue
        finding = examine_trajectory(subject, problem, _STEPS_OF_SIMPLER)
        if finding.kind is Kind.WRONG and counts(finding):
            return finding
        tried += 1
        if tried == _MOST_SIMPLER:
            break
    return found


def _size(problem: Problem) -> int:
    return problem.batch * problem.atoms * problem.dimension


def _describe(subject: Subject, finding: TrajectoryFinding) -> Counterexample:
    problem, worst = finding.problem, finding.worst
    return Counterexample(
        case=repr(problem),
        batch=problem.batch,
        atoms=problem.atoms,
        dimension=problem.dimension,
        log_snr=float(problem.log_snr[0]),
        error=worst if math.isfinite(worst) else None,
        message=finding.message,
        script=trajectory_script(subject, finding),
        id=problem.id or "",
    )
