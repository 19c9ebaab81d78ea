"""What a sequence of answers with twice as many steps each time converges to, and whether that is the truth.

Let ``a`` be the answers, finest last, ``D`` the difference of the last two. Of a solver of order p the last answer is
off by ``D / (2^p - 1)``, and Richardson's extrapolation ``a + D / (2^p - 1)`` by much less; p is read off three
answers. The answers, their extrapolations, and these once more extrapolated are looked at:

* they converge to the truth (RIGHT) if the last one is as near to it as twice its last change, and that is at most
  :data:`RESOLUTION` of the scale;
* to something else (WRONG) if it is farther than that from the truth, eight times as far as its last change, and has
  come no nearer: of a method that converges with order 1/2 or more no such thing is to be expected. Because a change
  can be small by chance, this must be so twice in a row.

So a pass says: the limit is within RESOLUTION of the truth, and the answers approach it with order 1 or more (0.7, as
observed), or are within a tenth of RESOLUTION in the end. It does not say how many steps are enough.
"""

import dataclasses
from collections.abc import Sequence
from enum import Enum

import numpy as np

from afi_properties.judgement import norms
from afi_properties.problem import Array

RESOLUTION = 1e-3
"""Largest error of a limit that passes, in units of the claim's scale."""

STEPS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
"""The numbers of steps that are asked for, until they decide."""

ROUNDING = 16.0
"""Rounding errors grow like the square root of the number of steps: so many unit roundoffs of the scale each."""

BAND = 8.0
"""An error within so many RESOLUTIONs is called lost digits, not a wrong formula, where nothing can be refined; and a
distance from the truth is real if it is so many times the last change."""

_NEAR = 0.1  # part of RESOLUTION: what has come so near in the end may have come slowly
_SLOWEST = 0.7  # observed order that still counts as 1
_NO_NEARER = 0.8  # part of the distance from the truth that is left after doubling the steps
_WHOLE = 0.3  # an observed order this near to a whole number is taken for it
_LARGEST_ORDER = 8


class Limit(Enum):
    """What the answers so far say about their limit."""

    OPEN = "open"
    RIGHT = "right"
    WRONG = "wrong"
    SLOW = "slow"  # to the truth, but with an order below 1
    STAGNANT = "stagnant"  # near the truth, but no nearer for more steps


@dataclasses.dataclass(frozen=True, eq=False)
class Convergence:
    """What a sequence of answers says.

    Attributes
    ----------
    limit
        The verdict for the batch.
    errors
        Distance of the best estimate of the limit from the truth, in RESOLUTIONs of the scale, (B,).
    order
        Observed order of convergence, the smallest of the batch; ``nan`` where it cannot be observed.
    worst
        Index of the point that decides.
    """

    limit: Limit
    errors: Array
    order: float
    worst: int


def rounding_of(scale: Array, unit_roundoff: float, num_steps: int) -> Array:
    """Return what rounding may do to an answer after so many steps, (B,)."""
    return ROUNDING * unit_roundoff * np.sqrt(num_steps) * scale


def judge_limit(
    answers: Sequence[Array], truth: Array, truth_error: Array, scale: Array, unit_roundoff: float, *, last: bool
) -> Convergence:
    """Judge answers (B, ...) for the numbers of :data:`STEPS`, as many as there are.

    Parameters
    ----------
    truth, truth_error
        Shape (B, ...) and (B,).
    scale
        Shape (B,).
    last
        Whether there will be no more: then only undecided sequences stay OPEN.
    """
    noise = rounding_of(scale, unit_roundoff, STEPS[len(answers) - 1]) + truth_error
    tolerance = RESOLUTION * scale
    now = _look(answers, truth, noise, tolerance)
    before = _look(answers[:-1], truth, noise, tolerance)
    finite = np.isfinite(answers[-1].reshape(len(truth), -1)).all(axis=1)
    wrong, stuck = now.wrong & before.wrong, now.stuck & before.stuck
    if last:
        # No convergence at all: the changes do not shrink, and are too large to be rounding.
        wrong |= ~finite | (~now.right & (now.change > tolerance) & (now.change > 0.9 * before.change))
    slow = ~now.right & ~wrong & (now.order < _SLOWEST) & (now.change < 0.9 * before.change)
    right = now.right
    if last:
        # Near the truth and hardly moving, if in no regular way: an error that changes its sign has no order.
        right = right | (~wrong & ~slow & ~stuck & (now.distance <= tolerance) & (now.change <= tolerance / 2))
        # So near that the order says nothing: that of rounding, which differences amplify, or of two terms that cancel.
        near = ~wrong & ~stuck & (now.distance <= _NEAR * tolerance) & (now.change <= _NEAR * tolerance)
        right, slow = right | near, slow & ~near
    limit = Limit.OPEN
    if wrong.any():
        limit, worst = Limit.WRONG, np.where(wrong, now.distance / scale, -1)
    elif (right | stuck).all():
        limit = Limit.STAGNANT if stuck.any() else Limit.RIGHT
        worst = np.where(stuck, 1 + now.distance / scale, now.distance / scale)
    else:
        limit = Limit.SLOW if last and (right | stuck | slow).all() else Limit.OPEN
        worst = np.where(right, -1, now.distance / scale)
    errors = np.where(finite, now.distance / tolerance, np.inf)
    orders = now.order[~np.isnan(now.order)]
    return Convergence(limit, errors, float(orders.min()) if len(orders) else np.nan, int(np.argmax(worst)))


def judge_answer(answer: Array, truth: Array, truth_error: Array, scale: Array) -> Convergence:
    """Judge the one answer of an implementation that chooses its steps itself.

    It is RIGHT within RESOLUTION of the scale, STAGNANT within :data:`BAND` times that, and WRONG beyond.
    """
    distance = _distances(answer, truth)
    errors = np.where(np.isnan(distance), np.inf, distance / (RESOLUTION * scale))
    excess = np.maximum(distance - truth_error, 0) / (RESOLUTION * scale)
    worst = float(np.nan_to_num(excess, nan=np.inf).max())
    limit = Limit.RIGHT if worst <= 1 else Limit.STAGNANT if worst <= BAND else Limit.WRONG
    return Convergence(limit, errors, np.nan, int(np.argmax(np.nan_to_num(errors, posinf=1e300))))


@dataclasses.dataclass(frozen=True, eq=False)
class _Look:
    """The last three answers, per point (B,)."""

    right: Array
    wrong: Array
    stuck: Array
    change: Array
    distance: Array
    order: Array


def _look(answers: Sequence[Array], truth: Array, noise: Array, tolerance: Array) -> _Look:
    batch = len(truth)
    no = np.zeros(batch, dtype=bool)
    if len(answers) < 3:
        unknown = np.full(batch, np.inf)
        distance = _distances(answers[-1], truth) if answers else unknown
        return _Look(no, no, no, unknown, distance, np.full(batch, np.nan))
    first, second, third = answers[-3:]
    with np.errstate(all="ignore"):
        earlier, change = _distances(second, first), _distances(third, second)
        order = np.where(change > noise, np.log2(earlier / change), np.nan)
        whole = np.clip(np.round(order), 1, _LARGEST_ORDER)
        divisor = _like(np.where(np.abs(order - whole) <= _WHOLE, 2**whole - 1, np.nan), truth)
        candidates = [(second, third), (second + (second - first) / divisor, third + (third - second) / divisor)]
        if len(answers) > 3:
            # Once more: the next power of the step.
            nearly = answers[-3] + (answers[-3] - answers[-4]) / divisor
            (before, after), next_divisor = candidates[1], 2 * divisor + 1
            candidates.append((before + (before - nearly) / next_divisor, after + (after - before) / next_divisor))
        right, wrong, stuck, best = no.copy(), no.copy(), no.copy(), np.full(batch, np.inf)
        fast = np.isnan(order) | (order >= _SLOWEST)
        for number, (one, two) in enumerate(candidates):
            last_change = _distances(two, one)
            before, distance = _distances(one, truth), _distances(two, truth)
            right |= fast & (distance <= 2 * last_change + noise) & (2 * last_change + noise <= tolerance)
            best = np.fmin(best, distance)
            if number == 2:
                continue  # it amplifies accidents, which must not accuse
            away = (distance > BAND * (last_change + noise)) & (distance >= _NO_NEARER * before)
            wrong |= away & (distance > tolerance)
            stuck |= away & (distance <= tolerance)
        # What does not depend on num_steps at all chooses its steps itself: see judge_answer.
        right |= (earlier == 0) & (change == 0) & (best <= tolerance)
    return _Look(right, wrong & ~right, stuck & ~right, change, best, order)


def _distances(one: Array, other: Array) -> Array:
    with np.errstate(all="ignore"):
        return norms(np.asarray(one, dtype=np.float64) - other)


def _like(values: Array, answers: Array) -> Array:
    return values.reshape(-1, *[1] * (answers.ndim - 1))
