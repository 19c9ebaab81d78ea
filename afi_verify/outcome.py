"""Putting what many problems showed together: a verdict, the evidence for it, and the numbers behind it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np

from afi_properties.diagnosis import Explanation
from afi_properties.judgement import LIMIT
from afi_properties.problem import Array, Problem
from afi_properties.vacuity import case_margin, summarise
from afi_verify.examination import Kind
from afi_verify.planning import Check
from afi_verify.results import CheckResult, Counterexample, FormulaMargin, Point, Verdict

VERDICTS = {
    Kind.WRONG: Verdict.FAIL,
    Kind.ERROR: Verdict.ERROR,
    Kind.UNDECIDED: Verdict.UNDECIDED,
    Kind.INACCURATE: Verdict.INACCURATE,
}


class Shown(Protocol):
    """What one problem showed, whether of a claim or of a relation; see :class:`afi_verify.examination.Finding`."""

    @property
    def problem(self) -> Problem:
        """The problem."""
        ...

    @property
    def kind(self) -> Kind:
        """How it weighs."""
        ...

    @property
    def message(self) -> str:
        """What was found; empty when right."""
        ...

    @property
    def errors(self) -> Array:
        """Per point, in multiples of the attainable."""
        ...

    @property
    def margins(self) -> Mapping[str, Array]:
        """By wrong formula, per point."""
        ...

    @property
    def worst(self) -> float:
        """Largest error."""
        ...


Finding = TypeVar("Finding", bound=Shown)


def weightiest(findings: Sequence[Finding]) -> Finding:
    """Return the finding that decides the verdict."""
    return max(findings, key=lambda finding: (finding.kind, finding.worst))


def acquit(check: Check, findings: Sequence[Shown]) -> CheckResult:
    """Conclude that nothing is wrong, or that nothing could have shown it."""
    blind = [margin.formula for margin in _margins(findings) if not margin.telling]
    if _evidence(findings) and not blind:
        return result_of(check, Verdict.PASS, "", findings)
    against = f": none tells the truth from “{'”, “'.join(blind)}”" if blind else ""
    message = f"The cases cannot tell right from wrong in {check.adapter.dtype}{against}. A pass would mean nothing."
    return result_of(check, Verdict.VACUOUS, message, findings)


def _nearest(finding: Shown) -> Array:
    """Margin against the nearest wrong formula, per point; 0 where the precision represents no point."""
    margins = list(finding.margins.values()) or [np.zeros(finding.problem.batch)]
    return np.asarray(np.min(margins, axis=0))


def _evidence(findings: Sequence[Shown]) -> int:
    return sum(int((_nearest(finding) > 1).sum()) for finding in findings)


def _margins(findings: Sequence[Shown]) -> tuple[FormulaMargin, ...]:
    collected: dict[str, list[float]] = {}
    for finding in findings:
        for formula, margin in finding.margins.items():
            collected.setdefault(formula, []).extend(margin.tolist())
    return tuple(
        FormulaMargin(formula, best=max(values), telling=sum(m > 1 for m in values), items=len(values))
        for formula, values in collected.items()
    )


def _points(findings: Sequence[Shown]) -> Iterator[Point]:
    for finding in findings:
        problem = finding.problem
        for log_snr, error, margin in zip(problem.log_snr, finding.errors, _nearest(finding), strict=True):
            if not math.isnan(error):
                yield Point(float(log_snr), float(error), float(margin), problem.dimension, problem.atoms)


def result_of(
    check: Check,
    verdict: Verdict,
    message: str,
    findings: Sequence[Shown],
    simplest: Counterexample | None = None,
    worst: Counterexample | None = None,
    explanation: Explanation | None = None,
) -> CheckResult:
    """Return the result of a check with the numbers of its findings."""
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
        margins_by_dimension=summarise(case_margin(f.problem.dimension, f.margins) for f in findings),
        points=points,
        simplest=simplest,
        worst=worst,
        diagnosis=explanation.sentence if explanation else "",
        fault=explanation.fault.value if explanation else "",
    )
