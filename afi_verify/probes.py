"""How a function behaves when it is asked again: twice, for single points, for other batches, for atoms otherwise."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from afi_properties.diagnosis import Explanation, Fault
from afi_properties.judgement import LIMIT, norms
from afi_properties.problem import Array, Problem
from afi_verify.errors import BrokenAnswerError
from afi_verify.examination import Finding, Kind, examine
from afi_verify.handing import Subject, call, round_problem

MOST_PROBED = 4
"""Findings that the function is called on again: behaviour shows on any, or needs a formula anyway."""

COPIES = 12
"""Of one point in a batch that shows whether an answer is random."""


def find_state(subject: Subject, answered: Sequence[Finding]) -> Explanation | None:
    """Ask the same question again, with another one of the same shapes in between."""
    for finding in answered[:MOST_PROBED]:
        assert finding.answer is not None
        answers = [finding.answer]
        for asked in (finding, _otherwise(subject, finding), finding):
            answer = ask(subject, asked)
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


def find_step(subject: Subject, answered: Sequence[Finding]) -> Explanation | None:
    """Tell a difference with a finite step along v: it is not linear in v, not even under powers of two."""
    if not subject.claim.role.startswith("fisher_vector_product") or not subject.asks_for("eps_fn"):
        return None
    asked = answered[:MOST_PROBED]
    if asked and all(_bends(subject, finding) for finding in asked):
        words = "is not in proportion to v, as a difference with a step along v that is too long or too short is not"
        return Explanation(Fault.STEP, words)
    return None


def _bends(subject: Subject, finding: Finding) -> bool:
    """Whether the answers for multiples of v are not multiples, by a good part of the deviation from the truth."""
    assert finding.answer is not None
    deviation = norms(np.asarray(finding.answer - finding.truth.answer))
    for factor in (1 / 16, 16.0):
        values = {**finding.problem.values, "v": factor * finding.problem.values["v"]}
        problem = dataclasses.replace(finding.problem, values=values, id=None)
        answer = ask(subject, dataclasses.replace(finding, handed=round_problem(subject, problem)))
        if answer is None:
            return False
        change = norms(np.asarray(answer.reshape(finding.answer.shape) / factor - finding.answer))
        if (change > 0.1 * deviation)[finding.worst_point]:
            return True
    return False


def find_behaviour(subject: Subject, answered: Sequence[Finding]) -> Explanation | None:
    """Ask for single points, for contiguous arrays, for atoms in another order."""
    if _is_random(subject, answered):
        words = "is another one for each of several copies of one point: it is a random estimate"
        return Explanation(Fault.ESTIMATE, words)
    if becomes_right(subject, answered, _contiguous):
        return Explanation(Fault.STRIDES, "is right for contiguous arrays")
    alone = becomes_right(subject, answered, _alone)
    batches = [f for f in answered if f.problem.batch > 1][:MOST_PROBED]
    if alone or (batches and all(_changes_alone(subject, finding) for finding in batches)):
        return _in_batches(subject, answered, alone)
    probes: tuple[tuple[Fault, str, Callable[[Finding], Problem | None]], ...] = (
        (Fault.BROADCASTING, "is right for the point twice, but not for a batch of one", _twice),
        (Fault.ORDER, "is right for the atoms in reverse order", _reversed),
        (Fault.ORDER, "is right for the atoms in another order", _rolled),
        (Fault.SIZE, "is right for the atom twice, but not for one atom", _single_doubled),
    )
    for fault, sentence, change in probes:
        if becomes_right(subject, answered, change):
            return Explanation(fault, sentence)
    many = [f for f in answered if f.problem.atoms > 2][:MOST_PROBED]
    if many and all(_changes_with_order(subject, finding) for finding in many):
        return Explanation(Fault.ORDER, "is another one for the same atoms in another order")
    return None


def _in_batches(subject: Subject, answered: Sequence[Finding], alone: bool) -> Explanation:
    """Tell why an answer depends on the batch: its noise levels, a coincidence of sizes, or the other points."""
    if becomes_right(subject, answered, _with_one_noise_level):
        words = "is right where all points have one noise level: theirs are mixed up, or one is taken for all"
        return Explanation(Fault.BATCH_NOISE, words)
    if all(becomes_right(subject, answered, lambda f, n=more: _enlarged_by(f, n)) for more in (1, 2)):  # type: ignore[misc]
        words = "is right for the point alone and in larger batches: its batch is as large as something else"
        return Explanation(Fault.BROADCASTING, words)
    words = "is right for the point alone" if alone else "is another one for the point alone"
    return Explanation(Fault.BATCH, f"{words}: it depends on the others of its batch")


def becomes_right(
    subject: Subject, answered: Sequence[Finding], change: Callable[[Finding], Problem | None], most: int = MOST_PROBED
) -> bool:
    """Whether the first of the questions to which a change applies are all answered rightly after it."""
    changed = [p for f in answered[: 3 * most] if (p := change(f)) is not None][:most]
    return bool(changed) and all(_becomes_right(subject, problem) for problem in changed)


def _is_random(subject: Subject, answered: Sequence[Finding]) -> bool:
    """Whether copies of one point in one batch get different answers."""
    for finding in [f for f in answered if f.problem.dimension > 1][:MOST_PROBED]:
        same = examine(subject, _points(finding, COPIES)).answer
        if same is None or not np.isfinite(same).all():
            return False
        rows = same.reshape(COPIES, -1)
        if np.ptp(rows, axis=0).max() > 1e-6 * np.abs(rows).max():
            return True
    return False


def _changes_alone(subject: Subject, finding: Finding) -> bool:
    return _changes(subject, finding, _alone(finding), [finding.worst_point])


def _changes_with_order(subject: Subject, finding: Finding) -> bool:
    points = list(range(finding.problem.batch))
    return any(_changes(subject, finding, change(finding), points) for change in (_reversed, _rolled))


def _changes(subject: Subject, finding: Finding, problem: Problem | None, points: list[int]) -> bool:
    """Whether these points get another answer in another problem, which asks for them alone."""
    assert problem is not None
    assert finding.answer is not None
    other = examine(subject, problem)
    if other.answer is None:
        return False
    change = norms(np.asarray(other.answer - finding.answer[points]))
    return bool((change > 2 * LIMIT * other.truth.attainable).any())


def _becomes_right(subject: Subject, problem: Problem) -> bool:
    finding = examine(subject, problem)
    return finding.kind is Kind.RIGHT and finding.answer is not None


def ask(subject: Subject, finding: Finding) -> Array | None:
    """Return the answer to a finding's question, (B, ...), or ``None`` where there is none."""
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


def _with_one_noise_level(finding: Finding) -> Problem | None:
    problem = finding.problem
    if problem.shares_noise:
        return None
    levels = {name: problem.values[name][[finding.worst_point] * problem.batch] for name in ("t", "alpha", "sigma")}
    return dataclasses.replace(problem, values={**problem.values, **levels}, id=None)


def _enlarged_by(finding: Finding, more: int) -> Problem | None:
    problem = finding.problem
    if problem.batch == 1:
        return None
    order = [*range(problem.batch), *range(more)]
    values = {name: value[order] if name in _OF_POINTS else value for name, value in problem.values.items()}
    return dataclasses.replace(problem, values=values, id=None)


def _single_doubled(finding: Finding) -> Problem | None:
    problem = finding.problem
    if problem.atoms != 1:
        return None
    values = {name: value if name in _OF_POINTS else value[[0, 0]] for name, value in problem.values.items()}
    values["weights"] = values["weights"] / 2
    return dataclasses.replace(problem, values=values, id=None)


_OF_POINTS = frozenset({"x", "v", "x0", "t", "alpha", "sigma"})
