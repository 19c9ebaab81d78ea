"""Telling rounding from a wrong formula: by how much a deviation changes when all numbers hardly do.

The deviation of a wrong formula is as smooth as the formula. That of rounding is another one for other numbers, however
near, as soon as they differ by more than what they are rounded to on the way.
"""

import dataclasses

import numpy as np

from afi_properties.inputs import make_inputs
from afi_properties.judgement import norms
from afi_properties.problem import Array, Problem
from afi_verify.errors import BrokenAnswerError
from afi_verify.handing import Handed, Subject, call, round_problem

SMOOTH = 0.02
"""A deviation that changes by no more than this share, each time that it is asked for, is no rounding."""

NUDGES = 6
"""How often it is asked for: rounding changes so little once in fifty times or so, by chance."""

_TWO_FLOAT32 = 2.0**-22

NUDGE = 2.0**-18
"""Relative change of the numbers: much more than a rounding to float32, so that one of those is another one, too."""


def changes_of_deviation(
    subject: Subject, handed: Handed, deviation: Array, points: Array, nudge: float = NUDGE, draw: int = 0
) -> Array | None:
    """Return by which share of itself the deviation from the truth changes at other numbers.

    Parameters
    ----------
    deviation
        Answer less truth, (B, ...), in the truth's precision.
    points
        Those that are asked for, (B,) bool.
    nudge
        Relative change of all numbers of the problem, at random.
    draw
        Seeds it.

    Returns
    -------
    Array or None
        Shares, one for each of the points; ``None`` where there is no answer to compare.
    """
    nudged = round_problem(subject, _nudged(subject, handed.problem, nudge, draw))
    coarse = _is_tied(subject) and nudge >= _TWO_FLOAT32
    if not nudged.in_range or (coarse and not _are_other_levels(handed.problem, nudged.problem)):
        return None
    try:
        answer = call(subject, nudged, subject.dtype)
    except BrokenAnswerError:
        return None
    exact = {name: np.asarray(value, dtype=deviation.dtype) for name, value in nudged.values.items()}
    with np.errstate(all="ignore"):
        truth = subject.claim.truth(make_inputs(exact, skew=nudged.skew))
        change = norms(np.asarray(answer.reshape(deviation.shape) - truth - deviation))[points]
        return np.asarray(change / norms(deviation)[points], dtype=np.float64)


def is_smooth(subject: Subject, handed: Handed, deviation: Array, points: Array) -> bool:
    """Whether the deviation of some point cannot be rounding: it stays as it is at all numbers near by."""
    smooth = np.ones(int(points.sum()), dtype=bool)
    for draw in range(NUDGES):
        changes = changes_of_deviation(subject, handed, deviation, points, draw=draw)
        if changes is None:
            return False
        smooth &= changes <= SMOOTH
        if not smooth.any():
            return False
    return True


def _are_other_levels(problem: Problem, nudged: Problem) -> bool:
    """Whether alpha and sigma are rounded to other numbers, even in float32; an alpha of 1 is rounded in none."""
    for name in ("alpha", "sigma"):
        before, after = problem.values[name], nudged.values[name]
        if ((np.abs(after - before) < _TWO_FLOAT32 * before) & (before != 1)).any():
            return False
    return True


def _is_tied(subject: Subject) -> bool:
    """Whether alpha and sigma must be those of the schedule at t."""
    return subject.asks_for("schedule", "t", "eps_fn", "head_fn")


def _nudged(subject: Subject, problem: Problem, nudge: float, draw: int) -> Problem:
    """Return the problem with all numbers changed a little that the function can know of."""
    rng = np.random.default_rng([problem.seed, 3, draw])
    values = dict(problem.values)
    for name in ("x", "v", "x0", "data", "means"):
        if name in values:
            values[name] = values[name] * (1 + nudge * rng.uniform(-1, 1, values[name].shape))
    if "covariances" in values:  # by one factor each: they stay symmetric and semidefinite
        factors = 1 + nudge * rng.uniform(-1, 1, len(values["covariances"]))
        values["covariances"] = factors[:, None, None] * values["covariances"]
    if subject.asks_for("weights"):
        weights = values["weights"] * (1 + nudge * rng.uniform(-1, 1, values["weights"].shape))
        values["weights"] = weights / weights.sum()
    # The same change for all points: those that share their noise level still do.
    if not _is_tied(subject):
        for name in ("alpha", "sigma"):
            values[name] = values[name] * (1 + nudge * rng.uniform(-1, 1))
        return dataclasses.replace(problem, values=values, id=None)
    schedule, t = problem.schedule, values["t"]
    values["t"] = np.clip(t * (1 + nudge * rng.uniform(-1, 1)), schedule.t_min, schedule.t_max)
    values["alpha"], values["sigma"] = np.asarray(schedule.alpha(values["t"])), np.asarray(schedule.sigma(values["t"]))
    return dataclasses.replace(problem, values=values, id=None)
