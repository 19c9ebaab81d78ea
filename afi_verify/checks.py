"""Running a check: one claim against one function, over drawn cases or over real data."""

import dataclasses
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, cast

from afi_properties.claim import Claim
from afi_properties.problem import Problem
from afi_properties.real_data import noised_problems
from afi_properties.relation import Relation
from afi_properties.strategies import Demand
from afi_properties.trajectory import TrajectoryClaim
from afi_verify.backends import load_backend
from afi_verify.counterexamples import describe, fits_in_a_script
from afi_verify.diagnosis import diagnose
from afi_verify.drawing import draw_problems, shrink
from afi_verify.examination import Finding, Kind, examine
from afi_verify.excuses import Excuses
from afi_verify.handing import Subject
from afi_verify.outcome import VERDICTS, acquit, result_of, weightiest
from afi_verify.planning import DRAWN_SCENARIOS, Check, Plan, why_not
from afi_verify.reduction import with_fewer_atoms
from afi_verify.relation_checks import conclude_relation, look_for_violations
from afi_verify.relation_examination import RelationFinding
from afi_verify.results import CheckResult, Verdict
from afi_verify.stochastic_checks import run_stochastic_check
from afi_verify.training_checks import run_training_check
from afi_verify.trajectory_checks import conclude_trajectories, look_at_trajectories
from afi_verify.trajectory_examination import TrajectoryFinding


def run_check(check: Check, plan: Plan) -> CheckResult:
    """Run one check.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
    reason = why_not(check, plan)
    if reason is not None:
        return result_of(check, Verdict.NOT_PROVIDED, reason, [])
    if isinstance(check.claim, Claim) and check.claim.random:
        run = run_training_check if check.claim.answer == "head" else run_stochastic_check
        return run(check, plan)
    return conclude(check, plan, look_for_faults(check, plan))


Findings: TypeAlias = list[Finding] | list[RelationFinding] | list[TrajectoryFinding]


def look_for_faults(check: Check, plan: Plan, stop: Callable[[Any], bool] = lambda _: False) -> Findings:
    """Examine case after case of a check that can run; the first finding for which ``stop`` is true is the last.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
    if isinstance(check.claim, Relation):
        return look_for_violations(check, plan, stop)
    if isinstance(check.claim, TrajectoryClaim):
        return look_at_trajectories(check, plan, stop)
    subject = _subject(check)
    if check.scenario in DRAWN_SCENARIOS:
        profile = plan.profile
        return draw_problems(_demand(subject), lambda p: examine(subject, p), profile, _seed(check, plan), stop)
    findings = []
    for problem in _real_problems(subject, check.scenario, plan):
        findings.append(examine(subject, problem))
        if stop(findings[-1]):
            break
    return findings


def conclude(check: Check, plan: Plan, findings: Findings) -> CheckResult:
    """Return the result of a check that found ``findings``, with counterexamples made as simple as they get."""
    if isinstance(check.claim, Relation):
        return conclude_relation(check, plan, cast("list[RelationFinding]", findings))
    if isinstance(check.claim, TrajectoryClaim):
        return conclude_trajectories(check, plan, cast("list[TrajectoryFinding]", findings))
    return _conclude(check, plan, cast("list[Finding]", findings))


def _conclude(check: Check, plan: Plan, findings: list[Finding]) -> CheckResult:
    subject, excuses = _subject(check), Excuses.of(check, plan)
    if all(finding.kind is Kind.RIGHT for finding in findings):
        return acquit(check, findings)
    blamed, known = excuses.blamed(findings)
    decisive = weightiest(blamed)
    if check.scenario in DRAWN_SCENARIOS:

        def look(problem: Problem) -> Finding:
            finding = examine(subject, problem)
            excused = not known and excuses.excuse(finding)
            return dataclasses.replace(finding, kind=Kind.RIGHT) if excused else finding

        simplest = shrink(_demand(subject), look, blamed, decisive.kind, _seed(check, plan))
    else:
        simplest = with_fewer_atoms(subject, decisive)
    return excuses.apply(_accuse(check, subject, findings, blamed, simplest), blamed, known)


def _subject(check: Check) -> Subject:
    adapter, claim = check.adapter, check.claim
    assert isinstance(claim, Claim)
    backend = load_backend(adapter.backend, adapter.dtype, adapter.device)
    return Subject(adapter, backend, adapter.functions[claim.role, claim.family])


def _seed(check: Check, plan: Plan) -> int:
    """Every check has draws of its own, the same for every adapter and dtype, so that they can be compared."""
    return zlib.crc32(f"{plan.seed}/{check.claim.role}/{check.claim.label}/{check.scenario}".encode())


def broken_result(check: Check, message: str) -> CheckResult:
    """Return the result of a check that ended without findings."""
    return result_of(check, Verdict.ERROR, message, [])


def _demand(subject: Subject) -> Demand:
    adapter, claim = subject.adapter, subject.claim
    return Demand(
        family=claim.family,
        weights=subject.asks_for("weights"),
        variance_preserving=subject.asks_for("alpha_bar"),
        per_sample_noise=adapter.per_sample_noise,
        dimension=math.prod(adapter.event_shape) if adapter.event_shape else None,
        largest_dimension=claim.largest_dimension,
        eps_kinds=claim.eps_kinds,
    )


def _real_problems(subject: Subject, scenario: str, plan: Plan) -> Iterator[Problem]:
    data = plan.atoms_of(scenario)
    weights = data.weights if subject.asks_for("weights") else None
    return noised_problems(scenario, data.atoms, weights, plan.seed)


def _accuse(
    check: Check, subject: Subject, findings: list[Finding], blamed: list[Finding], simplest: Finding
) -> CheckResult:
    decisive = weightiest(blamed)
    same = sum(finding.kind is decisive.kind for finding in blamed)
    explanation = diagnose(subject, findings)
    message = f"{decisive.message} So in {same} of {len(findings)} cases."
    if explanation is not None:
        message += f" Diagnosis: the answer {explanation.sentence}."
    scriptable = [f for f in blamed if fits_in_a_script(f) and f.kind is decisive.kind]
    worst = weightiest(scriptable) if scriptable else decisive
    return result_of(
        check,
        VERDICTS[decisive.kind],
        message,
        findings,
        simplest=describe(subject, simplest),
        worst=describe(subject, worst),
        explanation=explanation,
    )
