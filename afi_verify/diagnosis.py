"""What is wrong with a function, as far as its answers tell: formulas, behaviour from call to call, lost digits."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from afi_properties.diagnosis import Exhibit, Explanation, Fault, explain
from afi_properties.diagnosis.regimes import find_flag, find_threshold
from afi_properties.inputs import make_inputs
from afi_properties.judgement import LIMIT, errors_of, find_truth
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Array, Problem
from afi_verify.errors import BrokenAnswerError
from afi_verify.examination import Finding, Kind, examine
from afi_verify.handing import Subject, call

MOST_PROBED = 4
"""Findings that the function is called on again: behaviour shows on any, or needs a formula anyway."""

LOWER = ("float32", "bfloat16", "float16")


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
    searches: tuple[Callable[[], Explanation | None], ...] = (
        lambda: _state(subject, answered, findings),
        lambda: explain(exhibits) if answered else None,
        lambda: _lower_precision(subject, answered),
        lambda: find_flag(exhibits, wrong),
        lambda: _behaviour(subject, answered),
        lambda: find_threshold(exhibits, wrong),
        lambda: _lost_digits(bad),
    )
    for search in searches:
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
    inputs = make_inputs(values, skew=finding.handed.skew).in_dtype(truth.answer.dtype)
    answer = np.full(truth.answer.shape, np.nan) if finding.answer is None else finding.answer
    precision = PRECISIONS[subject.dtype]
    return Exhibit(
        subject.provided.claim, finding.problem, inputs, answer.reshape(truth.answer.shape), truth, precision
    )


def _size(problem: Problem) -> int:
    return problem.batch * problem.atoms * problem.dimension


def _state(subject: Subject, answered: Sequence[Finding], findings: Sequence[Finding]) -> Explanation | None:
    """Ask the same question again, with another one in between."""
    others = sorted((f for f in findings if f.answer is not None), key=lambda f: _size(f.problem))
    for finding in answered[:MOST_PROBED]:
        assert finding.answer is not None
        in_between = next((f for f in others if f.problem is not finding.problem), finding)
        answers = [finding.answer]
        for asked in (finding, in_between, finding):
            answer = _call(subject, asked)
            if answer is None:
                break
            if asked is finding:
                answers.append(answer)
        if any(not np.array_equal(answers[0], again, equal_nan=True) for again in answers[1:]):
            return Explanation(Fault.STATE, "is another one when the same question is asked again")
    return None


def _behaviour(subject: Subject, answered: Sequence[Finding]) -> Explanation | None:
    """Ask for single points, for contiguous arrays, for atoms in another order."""
    probes: tuple[tuple[Fault, str, Callable[[Finding], Problem | None]], ...] = (
        (Fault.STRIDES, "is right for contiguous arrays", _contiguous),
        (Fault.BATCH, "is right for the point alone: it depends on the others of its batch", _alone),
        (Fault.BROADCASTING, "is right for the point twice, but not for a batch of one", _twice),
        (Fault.ORDER, "is right for the atoms in reverse order", _reversed),
        (Fault.ORDER, "is right for the atoms in another order", _rolled),
    )
    for fault, sentence, change in probes:
        tried = [(f, p) for f in answered[: 3 * MOST_PROBED] if (p := change(f)) is not None][:MOST_PROBED]
        if tried and all(_becomes_right(subject, problem) for _, problem in tried):
            return Explanation(fault, sentence)
    return None


def _becomes_right(subject: Subject, problem: Problem) -> bool:
    finding = examine(subject, problem)
    return finding.kind is Kind.RIGHT and finding.answer is not None


def _lower_precision(subject: Subject, answered: Sequence[Finding]) -> Explanation | None:
    """Tell whether all answers are what a lower precision could attain, and no better."""
    for name in LOWER:
        if PRECISIONS[name].unit_roundoff <= PRECISIONS[subject.dtype].unit_roundoff:
            continue
        errors = [_errors_in(subject, finding, name) for finding in answered[: 3 * MOST_PROBED]]
        known = np.concatenate(errors) if errors else np.zeros(0)
        known = known[~np.isnan(known)]
        # Rounding to that precision shows nearly everywhere; cancellation of digits only here and there.
        if known.size and (known <= LIMIT).all() and np.median(known) > 0.02:
            return Explanation(Fault.LOW_PRECISION, f"is as good as {name} could be: part of it is computed in less")
    return None


def _errors_in(subject: Subject, finding: Finding, precision: str) -> Array:
    handed = finding.handed
    truth = find_truth(subject.provided.claim, handed.values, handed.problem, handed.skew, PRECISIONS[precision])
    assert finding.answer is not None
    wrong = truth.representable & (finding.errors > LIMIT)
    return np.where(wrong, errors_of(finding.answer, truth), np.nan)


def _lost_digits(bad: Sequence[Finding]) -> Explanation | None:
    if all(f.kind is Kind.INACCURATE for f in bad):
        return Explanation(Fault.CANCELLATION, "is right but for digits that cancel: large numbers are subtracted")
    return None


def _call(subject: Subject, finding: Finding) -> Array | None:
    try:
        return call(subject, finding.handed, subject.dtype)
    except BrokenAnswerError:
        return None


def _contiguous(finding: Finding) -> Problem | None:
    problem = finding.problem
    return dataclasses.replace(problem, strided=False, id=None) if problem.strided else None


def _alone(finding: Finding) -> Problem | None:
    return _points(finding, 1) if finding.problem.batch > 1 else None


def _twice(finding: Finding) -> Problem | None:
    return _points(finding, 2) if finding.problem.batch == 1 else None


def _points(finding: Finding, count: int) -> Problem:
    values = {
        name: value[[finding.worst_point] * count] if name in _OF_POINTS else value
        for name, value in finding.problem.values.items()
    }
    return dataclasses.replace(finding.problem, values=values, id=None)


def _reversed(finding: Finding) -> Problem | None:
    return _reordered(finding, np.arange(finding.problem.atoms)[::-1])


def _rolled(finding: Finding) -> Problem | None:
    return _reordered(finding, np.roll(np.arange(finding.problem.atoms), 1))


def _reordered(finding: Finding, order: Array) -> Problem | None:
    problem = finding.problem
    if problem.atoms == 1:
        return None
    values = {name: value if name in _OF_POINTS else value[order] for name, value in problem.values.items()}
    return dataclasses.replace(problem, values=values, id=None)


_OF_POINTS = frozenset({"x", "v", "x0", "t", "alpha", "sigma"})
