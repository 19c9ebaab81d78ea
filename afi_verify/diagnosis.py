"""What is wrong with a function, as far as its answers tell: formulas, behaviour from call to call, lost digits."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from afi_properties.diagnosis import Exhibit, Explanation, Fault, explain
from afi_properties.diagnosis.regimes import find_flag, find_threshold
from afi_properties.inputs import make_inputs
from afi_properties.judgement import LIMIT, errors_of, find_truth, norms
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Array, Problem
from afi_verify.errors import BrokenAnswerError
from afi_verify.examination import Finding, Kind, examine
from afi_verify.handing import Subject, call, round_problem

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
        lambda: _state(subject, answered),
        lambda: explain(exhibits) if answered else None,
        lambda: _lost_digits(subject, answered),
        lambda: find_flag(exhibits, wrong),
        lambda: _behaviour(subject, answered),
        lambda: find_threshold(exhibits, wrong),
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
    inputs = make_inputs(values, skew=finding.handed.skew)  # float64: hundreds of formulas, compared to a thousandth
    answer = np.full(truth.answer.shape, np.nan) if finding.answer is None else finding.answer
    precision = PRECISIONS[subject.dtype]
    return Exhibit(subject.claim, finding.problem, inputs, answer.reshape(truth.answer.shape), truth, precision)


def _size(problem: Problem) -> int:
    return problem.batch * problem.atoms * problem.dimension


def _state(subject: Subject, answered: Sequence[Finding]) -> Explanation | None:
    """Ask the same question again, with another one of the same shapes in between."""
    for finding in answered[:MOST_PROBED]:
        assert finding.answer is not None
        answers = [finding.answer]
        for asked in (finding, _otherwise(subject, finding), finding):
            answer = _call(subject, asked)
            if answer is None:
                break
            if asked is finding:
                answers.append(answer)
        if any(not np.array_equal(answers[0], again, equal_nan=True) for again in answers[1:]):
            return Explanation(Fault.STATE, "is another one when the same question is asked again")
    if any(_keeps_something(subject, finding, nth) for nth, finding in enumerate(answered[:MOST_PROBED])):
        words = (
            "is right for sizes never asked before, and wrong for the next question of these sizes: something is kept"
        )
        return Explanation(Fault.STATE, words)
    return None


def _keeps_something(subject: Subject, finding: Finding, nth: int) -> bool:
    """Ask two questions of sizes that no case has, then the second one in other sizes still."""
    first = _enlarged(finding.problem, finding.worst_point, 7 + 2 * nth, 3)
    if not _becomes_right(subject, first):
        return False
    second = _otherwise(subject, finding).problem
    if examine(subject, _enlarged(second, finding.worst_point, 7 + 2 * nth, 3)).kind is not Kind.WRONG:
        return False
    return _becomes_right(subject, _enlarged(second, finding.worst_point, 8 + 2 * nth, 5))


def _enlarged(problem: Problem, point: int, batch: int, copies: int) -> Problem:
    """Return the same question for one point many times, with each atom several times: the answer is the same."""
    values = {name: value[[point] * batch] if name in _OF_POINTS else value for name, value in problem.values.items()}
    for name in ("data", "means", "covariances", "weights"):
        if name in values:
            values[name] = np.concatenate([values[name]] * copies)
    values["weights"] = values["weights"] / copies
    return dataclasses.replace(problem, values=values, id=None)


def _otherwise(subject: Subject, finding: Finding) -> Finding:
    """Return another question of the same shapes: other points, other atoms."""
    values = dict(finding.problem.values)
    for name in ("x", "data", "means"):
        if name in values:
            values[name] = values[name][::-1] * 0.5 + 0.25
    problem = dataclasses.replace(finding.problem, values=values, id=None)
    return dataclasses.replace(finding, handed=round_problem(subject, problem))


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
    batches = [f for f in answered if f.problem.batch > 1][:MOST_PROBED]
    if batches and all(_changes_alone(subject, finding) for finding in batches):
        return Explanation(Fault.BATCH, "is another one for the point alone: it depends on the others of its batch")
    return None


def _changes_alone(subject: Subject, finding: Finding) -> bool:
    problem = _alone(finding)
    assert problem is not None
    assert finding.answer is not None
    alone = examine(subject, problem)
    if alone.answer is None:
        return False
    change = norms(np.asarray(alone.answer - finding.answer[[finding.worst_point]]))
    return bool((change > 2 * LIMIT * alone.truth.attainable).any())


def _becomes_right(subject: Subject, problem: Problem) -> bool:
    finding = examine(subject, problem)
    return finding.kind is Kind.RIGHT and finding.answer is not None


def _lost_digits(subject: Subject, answered: Sequence[Finding]) -> Explanation | None:
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
        if known.size and (known <= LIMIT).all() and np.median(known) > 0.02 and _is_rough(subject, tried, 2 * unit):
            return Explanation(Fault.LOW_PRECISION, f"is as good as {name} could be: part of it is computed in less")
    if _is_rough(subject, tried, 64 * PRECISIONS[subject.dtype].unit_roundoff):
        words = "is right but for rounding: digits cancel where large numbers are subtracted"
        return Explanation(Fault.CANCELLATION, words)
    return None


def _is_rough(subject: Subject, tried: Sequence[Finding], nudge: float) -> bool:
    rough = [r for r in (_roughness(subject, finding, nudge) for finding in tried) if r is not None]
    return bool(rough) and bool(np.median(rough) > 0.3)


def _roughness(subject: Subject, finding: Finding, nudge: float) -> float | None:
    """Return the relative change of the deviation from the truth, for a relative change of x by ``nudge``."""
    claim, handed = subject.claim, finding.handed
    assert finding.answer is not None
    x = finding.problem.values["x"] * (1 + nudge * np.random.default_rng(0).uniform(-1, 1, handed.values["x"].shape))
    nudged = round_problem(
        subject, dataclasses.replace(finding.problem, values={**finding.problem.values, "x": x}, id=None)
    )
    answer = _call(subject, dataclasses.replace(finding, handed=nudged))
    if answer is None or not nudged.in_range:
        return None
    dtype = finding.truth.answer.dtype
    exact = {name: np.asarray(value, dtype=dtype) for name, value in nudged.values.items()}
    with np.errstate(all="ignore"):
        before = finding.answer - finding.truth.answer
        after = answer.reshape(before.shape) - claim.truth(make_inputs(exact, skew=nudged.skew))
        wrong = _wrong_points(finding) & finding.truth.representable
        changes = norms(np.asarray(after - before))[wrong] / norms(np.asarray(before))[wrong]
    changes = changes[np.isfinite(changes)]
    return float(np.median(changes)) if changes.size else None


def _errors_in(subject: Subject, finding: Finding, precision: str) -> Array:
    handed = finding.handed
    truth = find_truth(subject.claim, handed.values, handed.problem, handed.skew, PRECISIONS[precision])
    assert finding.answer is not None
    wrong = truth.representable & (finding.errors > LIMIT)
    return np.where(wrong, errors_of(finding.answer, truth), np.nan)


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
