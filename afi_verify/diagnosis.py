"""What is wrong with a function, as far as its answers tell: formulas, behaviour from call to call, lost digits."""

from collections.abc import Callable, Sequence

import numpy as np

from afi_properties.diagnosis import Exhibit, Explanation, Fault, explain
from afi_properties.diagnosis.directions import find_direction
from afi_properties.diagnosis.regimes import MOSTLY, find_flag, find_threshold
from afi_properties.inputs import make_inputs
from afi_properties.judgement import LIMIT, errors_of, find_truth
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Array, Problem
from afi_verify.examination import Finding, Kind
from afi_verify.handing import Subject
from afi_verify.interventions import find_covariances, find_part
from afi_verify.probes import MOST_PROBED, find_behaviour, find_state, find_step
from afi_verify.roughness import changes_of_deviation

LOWER = ("float32", "bfloat16", "float16")

_NUDGED = 64
"""Unit roundoffs by which numbers are changed to see whether rounding is all that there is."""

WIDELY = 0.5
"""Share of the cases that a lower precision spoils at least: it is one at every noise level."""


def diagnose(subject: Subject, findings: Sequence[Finding]) -> Explanation | None:
    """Return what explains the findings of a check that are not right, or ``None``.

    Calls the function again a few times: on the same numbers, on single points, on atoms in another order.
    """
    findings = [f for f in findings if f.truth.representable.any()]
    bad = [f for f in findings if f.kind is not Kind.RIGHT]
    if not bad:
        return None
    if any("in place" in f.message for f in bad if f.kind is Kind.ERROR):
        return Explanation(Fault.ARGUMENT_CHANGED, "is computed in the arrays handed over, which it changes")
    wrong = [_wrong_points(f) for f in findings]
    exhibits = [_exhibit(subject, f) for f in findings]
    answered = sorted((f for f in bad if f.answer is not None), key=lambda f: _size(f.problem))
    merely_inaccurate = max(f.kind for f in bad) is Kind.INACCURATE
    widely = len(bad) > WIDELY * len(findings)
    searches: tuple[Callable[[], Explanation | None], ...] = (
        lambda: find_state(subject, answered),
        lambda: explain(exhibits) if answered else None,
        lambda: _low_precision(subject, answered) if merely_inaccurate and widely else None,
        lambda: _cancels(subject, answered) if merely_inaccurate else None,
        lambda: find_flag(exhibits, wrong),
        lambda: find_step(subject, answered),
        # A formula changes by as much as the truth where that is steep: by so many times the attainable.
        lambda: _cancels(subject, answered, least=8 * _NUDGED),
        lambda: find_behaviour(subject, answered),
        lambda: find_covariances(subject, answered),
        lambda: _low_precision(subject, answered) if widely else None,
        lambda: find_threshold(exhibits, wrong),
        lambda: find_part(subject, answered, mostly_wrong=len(bad) > MOSTLY * len(findings)),
        lambda: find_direction(exhibits) if answered else None,
    )
    for search in searches:
        with np.errstate(all="ignore"):  # answers may be anything: what overflows explains nothing
            found = search()
        if found is not None:
            return _in_alpha_bar(subject, found)
    return None


def _in_alpha_bar(subject: Subject, found: Explanation) -> Explanation:
    """Name the likelier fault of code that is given alpha^2."""
    if found.fault is Fault.POWER_OF_ALPHA and subject.asks_for("alpha_bar"):
        return Explanation(Fault.ALPHA_BAR, f"{found.sentence} (alpha_bar is α²)")
    return found


def _wrong_points(finding: Finding) -> Array:
    if finding.answer is None:
        return np.full(finding.problem.batch, finding.kind is Kind.ERROR)
    with np.errstate(invalid="ignore"):
        return np.asarray(finding.errors > LIMIT)


def _exhibit(subject: Subject, finding: Finding) -> Exhibit:
    truth, values = finding.truth, finding.handed.values
    inputs = make_inputs(values, skew=finding.handed.skew)  # float64: hundreds of formulas, compared to a thousandth
    answer = np.full(truth.answer.shape, np.nan) if finding.answer is None else finding.answer
    precision = PRECISIONS[subject.dtype]
    return Exhibit(subject.claim, finding.problem, inputs, answer.reshape(truth.answer.shape), truth, precision)


def _size(problem: Problem) -> int:
    return problem.batch * problem.atoms * problem.dimension


def _low_precision(subject: Subject, answered: Sequence[Finding]) -> Explanation | None:
    """Tell rounding from a formula: by how much the deviation itself changes when the point hardly does.

    The deviation of a wrong formula is as smooth as the formula; that of rounding is another one for each point.
    """
    tried = answered[: 3 * MOST_PROBED]
    for name in LOWER:
        unit = PRECISIONS[name].unit_roundoff
        if unit <= PRECISIONS[subject.dtype].unit_roundoff:
            continue
        known = np.concatenate([np.zeros(0), *(_errors_in(subject, finding, name) for finding in tried)])
        known = known[~np.isnan(known)]
        fits = known.size and (known <= LIMIT).all() and np.median(known) > 0.02
        # A formula can change much within so coarse a rounding; a sawtooth also does within a sixteenth of it.
        if fits and _is_rough(subject, tried, 8 * unit) and _is_rough(subject, tried, unit / 16, 0.02):
            return Explanation(Fault.LOW_PRECISION, f"is as good as {name} could be: it computes in {name} somewhere")
    return None


def _cancels(subject: Subject, answered: Sequence[Finding], least: float = LIMIT) -> Explanation | None:
    """Tell rounding that is blown up: the answer at hardly any other numbers is another one."""
    tried = answered[: 3 * MOST_PROBED]
    if not _is_rough(subject, tried, _NUDGED * PRECISIONS[subject.dtype].unit_roundoff, least=least):
        return None
    words = "is right but for rounding: digits cancel where large numbers are subtracted"
    return Explanation(Fault.CANCELLATION, words)


def _is_rough(
    subject: Subject, tried: Sequence[Finding], nudge: float, share: float = 0.3, least: float = LIMIT
) -> bool:
    rough = [r for r in (_roughness(subject, finding, nudge, least) for finding in tried) if r is not None]
    return bool(rough) and bool(np.median(rough) > share)


def _roughness(subject: Subject, finding: Finding, nudge: float, least: float) -> float | None:
    """Return the relative change of the deviation from the truth, for a relative change of all numbers by ``nudge``.

    Only of points whose error is more than ``least``.
    """
    assert finding.answer is not None
    deviation = np.asarray(finding.answer - finding.truth.answer)
    with np.errstate(invalid="ignore"):
        wrong = _wrong_points(finding) & finding.truth.representable & (finding.errors > least)
    changes = changes_of_deviation(subject, finding.handed, deviation, wrong, nudge) if wrong.any() else None
    changes = np.zeros(0) if changes is None else changes[np.isfinite(changes)]
    return float(np.median(changes)) if changes.size else None


def _errors_in(subject: Subject, finding: Finding, precision: str) -> Array:
    handed = finding.handed
    truth = find_truth(subject.claim, handed.values, handed.problem, handed.skew, PRECISIONS[precision])
    assert finding.answer is not None
    wrong = truth.representable & (finding.errors > LIMIT)
    return np.where(wrong, errors_of(finding.answer, truth), np.nan)
