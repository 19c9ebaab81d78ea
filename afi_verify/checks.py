"""Running a check: one claim against one function, over drawn cases or over real data."""

import dataclasses
import math
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.diagnosis import Explanation
from afi_properties.judgement import LIMIT
from afi_properties.problem import Array, Problem
from afi_properties.real_data import noised_problems
from afi_properties.strategies import Demand
from afi_properties.vacuity import summarise
from afi_verify.backends import load_backend
from afi_verify.counterexamples import describe, fits_in_a_script
from afi_verify.diagnosis import diagnose
from afi_verify.drawing import draw_problems, shrink
from afi_verify.examination import Finding, Kind, examine
from afi_verify.handing import Subject
from afi_verify.known_failures import KnownFailure, excusing, explain
from afi_verify.planning import DRAWN_SCENARIOS, Check, Plan, why_not
from afi_verify.reduction import with_fewer_atoms
from afi_verify.results import CheckResult, Counterexample, FormulaMargin, Point, Verdict

_VERDICTS = {Kind.WRONG: Verdict.FAIL, Kind.ERROR: Verdict.ERROR, Kind.INACCURATE: Verdict.INACCURATE}


def run_check(check: Check, plan: Plan) -> CheckResult:
    """Run one check.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
    reason = why_not(check, plan)
    if reason is not None:
        return _result(check, Verdict.NOT_PROVIDED, reason, [])
    return conclude(check, plan, look_for_faults(check, plan))


def look_for_faults(check: Check, plan: Plan, stop: Callable[[Finding], bool] = lambda _: False) -> list[Finding]:
    """Examine case after case of a check that can run; the first finding for which ``stop`` is true is the last.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
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


def conclude(check: Check, plan: Plan, findings: list[Finding]) -> CheckResult:
    """Return the result of a check that found ``findings``, with counterexamples made as simple as they get."""
    subject, adapter = _subject(check), check.adapter
    about_this = [failure for failure in adapter.known_failures if failure.names(check.id)]
    accepted = [failure for failure in about_this if plan.today <= failure.until]
    known = [finding for finding in findings if _excuses(finding, accepted)]
    new = [finding for finding in findings if finding not in known]
    if all(finding.kind is Kind.RIGHT for finding in findings):
        return _acquit(check, findings)
    if all(finding.kind is Kind.RIGHT for finding in new):
        blamed, accepted = known, []
    else:
        blamed = new
    weightiest = _weightiest(blamed)
    if check.scenario in DRAWN_SCENARIOS:

        def look(problem: Problem) -> Finding:
            finding = examine(subject, problem)
            return dataclasses.replace(finding, kind=Kind.RIGHT) if _excuses(finding, accepted) else finding

        simplest = shrink(_demand(subject), look, blamed, weightiest.kind, _seed(check, plan))
    else:
        simplest = with_fewer_atoms(subject, weightiest)
    result = _accuse(check, subject, findings, blamed, simplest)
    if blamed is known:
        reasons = {failure.reason: None for finding in known for failure in _excuses(finding, about_this)}
        return dataclasses.replace(result, known_failure="; ".join(reasons))
    why = [explain(about_this, plan.today, finding.errors, finding.problem.log_snr) for finding in blamed]
    said = max(why, key=len)
    if said:
        return dataclasses.replace(result, verdict=Verdict.FAIL, message=f"{result.message} {said}")
    return result


def _excuses(finding: Finding, accepted: list[KnownFailure]) -> list[KnownFailure]:
    """Return the known failures that excuse a finding; what broke is never excused."""
    if finding.kind not in (Kind.WRONG, Kind.INACCURATE):
        return []
    return excusing(accepted, finding.errors, finding.problem.log_snr)


def _subject(check: Check) -> Subject:
    adapter = check.adapter
    backend = load_backend(adapter.backend, adapter.dtype, adapter.device)
    return Subject(adapter, backend, adapter.functions[check.claim.role, check.claim.family])


def _seed(check: Check, plan: Plan) -> int:
    """Every check has draws of its own, the same for every adapter and dtype, so that they can be compared."""
    return zlib.crc32(f"{plan.seed}/{check.claim.role}/{check.claim.label}/{check.scenario}".encode())


def broken_result(check: Check, message: str) -> CheckResult:
    """Return the result of a check that ended without findings."""
    return _result(check, Verdict.ERROR, message, [])


def _demand(subject: Subject) -> Demand:
    adapter, claim = subject.adapter, subject.provided.claim
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


def _weightiest(findings: list[Finding]) -> Finding:
    return max(findings, key=lambda finding: (finding.kind, finding.worst))


def _acquit(check: Check, findings: list[Finding]) -> CheckResult:
    """Conclude that nothing is wrong, or that nothing could have shown it."""
    blind = [margin.formula for margin in _margins(findings) if not margin.telling]
    if _evidence(findings) and not blind:
        return _result(check, Verdict.PASS, "", findings)
    against = f": none tells the truth from “{'”, “'.join(blind)}”" if blind else ""
    message = f"The cases cannot tell right from wrong in {check.adapter.dtype}{against}. A pass would mean nothing."
    return _result(check, Verdict.VACUOUS, message, findings)


def _accuse(
    check: Check, subject: Subject, findings: list[Finding], blamed: list[Finding], simplest: Finding
) -> CheckResult:
    weightiest = _weightiest(blamed)
    same = sum(finding.kind is weightiest.kind for finding in blamed)
    explanation = diagnose(subject, findings)
    message = f"{weightiest.message} So in {same} of {len(findings)} cases."
    if explanation is not None:
        message += f" Diagnosis: the answer {explanation.sentence}."
    scriptable = [f for f in blamed if fits_in_a_script(f) and f.kind is weightiest.kind]
    worst = _weightiest(scriptable) if scriptable else weightiest
    return _result(
        check,
        _VERDICTS[weightiest.kind],
        message,
        findings,
        simplest=describe(subject, simplest),
        worst=describe(subject, worst),
        explanation=explanation,
    )


def _nearest(finding: Finding) -> Array:
    """Margin against the nearest wrong formula, per point; 0 where the precision represents no point."""
    margins = list(finding.margins.values()) or [np.zeros(finding.problem.batch)]
    return np.asarray(np.min(margins, axis=0))


def _evidence(findings: list[Finding]) -> int:
    return sum(int((_nearest(finding) > 1).sum()) for finding in findings)


def _margins(findings: list[Finding]) -> tuple[FormulaMargin, ...]:
    collected: dict[str, list[float]] = {}
    for finding in findings:
        for formula, margin in finding.margins.items():
            collected.setdefault(formula, []).extend(margin.tolist())
    return tuple(
        FormulaMargin(formula, best=max(values), telling=sum(m > 1 for m in values), items=len(values))
        for formula, values in collected.items()
    )


def _points(findings: list[Finding]) -> Iterator[Point]:
    for finding in findings:
        problem = finding.problem
        for log_snr, error, margin in zip(problem.log_snr, finding.errors, _nearest(finding), strict=True):
            if not math.isnan(error):
                yield Point(float(log_snr), float(error), float(margin), problem.dimension, problem.atoms)


def _result(
    check: Check,
    verdict: Verdict,
    message: str,
    findings: list[Finding],
    simplest: Counterexample | None = None,
    worst: Counterexample | None = None,
    explanation: Explanation | None = None,
) -> CheckResult:
    points = tuple(_points(findings))
    errors = [point.error for point in points]
    return CheckResult(
        id=check.id,
        role=check.claim.role,
        claim=check.claim.label,
        scenario=check.scenario,
        statement=check.claim.statement,
        printed=check.claim.printed,
        verdict=verdict,
        message=message,
        cases=len(findings),
        items=sum(finding.problem.batch for finding in findings),
        evidence=_evidence(findings),
        limit=LIMIT,
        worst_error=max(errors, default=None),
        median_error=float(np.median(errors)) if errors else None,
        margins=_margins(findings),
        margins_by_dimension=summarise(finding.margin for finding in findings),
        points=points,
        simplest=simplest,
        worst=worst,
        diagnosis=explanation.sentence if explanation else "",
        fault=explanation.fault.value if explanation else "",
    )
