"""A check: one claim against one function, over the drawn cases of a family or over real data."""

import dataclasses
import math
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from afi_properties.catalogue import CLAIMS
from afi_properties.claim import Claim
from afi_properties.digits import digits_problems
from afi_properties.judgement import LIMIT
from afi_properties.problem import Problem
from afi_properties.strategies import Demand
from afi_verify.adapter import Adapter
from afi_verify.backends import load_backend
from afi_verify.counterexamples import describe, fits_in_a_script
from afi_verify.drawing import draw_problems, shrink
from afi_verify.examination import Finding, Kind, examine
from afi_verify.handing import Subject
from afi_verify.profiles import Profile
from afi_verify.reduction import with_fewer_atoms
from afi_verify.results import CheckResult, FormulaMargin, Point, Verdict

LARGEST_MATRIX = 64
"""Largest dimension of an answer of shape (B, d, d)."""

SCENARIOS = ("dirac", "gaussian-mixture", "digits")


@dataclasses.dataclass(frozen=True)
class Check:
    """A claim to be held against an adapter, in one scenario."""

    adapter: Adapter
    claim: Claim
    scenario: str

    @property
    def id(self) -> str:
        """Unique and readable: adapter/dtype/role/claim/scenario."""
        return f"{self.adapter.name}/{self.adapter.dtype}/{self.claim.role}/{self.claim.label}/{self.scenario}"


def planned_checks(adapter: Adapter, scenarios: Iterable[str] = SCENARIOS) -> list[Check]:
    """Return every check that the catalogue plans for an adapter, whether or not it provides the role."""
    wanted = set(scenarios)
    checks = [
        Check(adapter, claim, scenario)
        for claim in CLAIMS
        for scenario in ((claim.family, "digits") if claim.family == "dirac" else (claim.family,))
    ]
    return [check for check in checks if check.scenario in wanted]


def run_check(check: Check, profile: Profile, seed: int) -> CheckResult:
    """Run one check.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
    reason = _why_not(check)
    if reason is not None:
        return _result(check, Verdict.NOT_PROVIDED, reason, [])
    adapter = check.adapter
    provided = adapter.functions[check.claim.role, check.claim.family]
    subject = Subject(adapter, load_backend(adapter.backend, adapter.dtype, adapter.device), provided)
    # Every check has draws of its own, the same for every adapter and dtype: they can be compared.
    own_seed = zlib.crc32(f"{seed}/{check.claim.role}/{check.claim.label}/{check.scenario}".encode())
    simplest: Finding | None = None
    if check.scenario == "digits":
        findings = [examine(subject, problem) for problem in digits_problems(seed)]
        weightiest = _weightiest(findings)
        if weightiest.kind is not Kind.RIGHT:
            simplest = with_fewer_atoms(subject, weightiest)
    else:
        demand = _demand(subject)
        findings = draw_problems(demand, lambda p: examine(subject, p), profile.cases, own_seed)
        weightiest = _weightiest(findings)
        if weightiest.kind is not Kind.RIGHT:
            kind = weightiest.kind
            simplest = shrink(demand, lambda p: examine(subject, p), kind, profile.cases, own_seed) or weightiest
    return _conclude(check, subject, findings, simplest)


def _why_not(check: Check) -> str | None:
    adapter, claim = check.adapter, check.claim
    if (claim.role, claim.family) not in adapter.functions:
        return f"The adapter provides no {claim.role} for {claim.family} data."
    dimension = math.prod(adapter.event_shape) if adapter.event_shape else None
    if check.scenario == "digits" and dimension not in (None, 64):
        return f"The digits have 64 numbers each; the adapter's event_shape {adapter.event_shape} has {dimension}."
    limited = claim.answer == "matrix" or claim.family == "gaussian-mixture"
    if limited and dimension is not None and dimension > LARGEST_MATRIX:
        return f"It needs matrices of {dimension} x {dimension}; they are checked up to {LARGEST_MATRIX}."
    return None


def _demand(subject: Subject) -> Demand:
    adapter, claim = subject.adapter, subject.provided.claim
    return Demand(
        family=claim.family,
        weights=subject.asks_for("weights"),
        variance_preserving=subject.asks_for("alpha_bar"),
        per_sample_noise=adapter.per_sample_noise,
        dimension=math.prod(adapter.event_shape) if adapter.event_shape else None,
        largest_dimension=LARGEST_MATRIX if claim.answer == "matrix" else 16384,
        eps_kinds=claim.eps_kinds,
    )


def _weightiest(findings: list[Finding]) -> Finding:
    return max(findings, key=lambda finding: (finding.kind, finding.worst))


_VERDICTS = {Kind.WRONG: Verdict.FAIL, Kind.ERROR: Verdict.ERROR, Kind.INACCURATE: Verdict.INACCURATE}


def _conclude(check: Check, subject: Subject, findings: list[Finding], simplest: Finding | None) -> CheckResult:
    weightiest = _weightiest(findings)
    margins = _margins(findings)
    evidence = sum(int((_nearest(finding) > 1).sum()) for finding in findings)
    if weightiest.kind is not Kind.RIGHT:
        same = sum(finding.kind is weightiest.kind for finding in findings)
        message = f"{weightiest.message} So in {same} of {len(findings)} cases."
        return _result(check, _VERDICTS[weightiest.kind], message, findings, margins, evidence, subject, simplest)
    blind = [margin.formula for margin in margins if not margin.telling]
    if not evidence or blind:
        against = f"; none tells the truth from: {', '.join(blind)}" if blind else ""
        message = f"No case could tell right from wrong in {check.adapter.dtype}{against}. A pass would mean nothing."
        return _result(check, Verdict.VACUOUS, message, findings, margins, evidence)
    return _result(check, Verdict.PASS, "", findings, margins, evidence)


def _nearest(finding: Finding) -> np.ndarray:  # type: ignore[type-arg]
    """Margin against the nearest wrong formula, per point."""
    return np.min(list(finding.margins.values()), axis=0)  # type: ignore[no-any-return]


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
    margins: tuple[FormulaMargin, ...] = (),
    evidence: int = 0,
    subject: Subject | None = None,
    simplest: Finding | None = None,
) -> CheckResult:
    points = tuple(_points(findings))
    errors = [point.error for point in points]
    worst = None
    if subject is not None:
        scriptable = [finding for finding in findings if fits_in_a_script(finding)]
        worst = _weightiest(scriptable or findings)
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
        evidence=evidence,
        limit=LIMIT,
        worst_error=max(errors, default=None),
        median_error=float(np.median(errors)) if errors else None,
        margins=margins,
        points=points,
        simplest=describe(subject, simplest) if subject is not None and simplest is not None else None,
        worst=describe(subject, worst) if subject is not None and worst is not None else None,
    )
