"""Mistakes in what a flow is made of: how the data and the noise are seen, and what moves the points."""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from afi_properties.diagnosis.explanation import Fault
from afi_properties.diagnosis.flows.place import Law, Place
from afi_properties.diagnosis.flows.route import Velocity, View
from afi_properties.problem import Array
from afi_properties.trajectory_cases import SCHEDULES
from afi_reference.schedules import Schedule


class Mistaken(NamedTuple):
    """A view with a mistake."""

    fault: Fault
    words: str
    view: View


class Moved(NamedTuple):
    """A velocity with a mistake."""

    fault: Fault
    words: str
    move: Velocity


def _weights(change: Callable[[Array], Array]) -> View:
    def law(right: Law) -> Law:
        weights = change(right.weights)
        return dataclasses.replace(right, weights=weights / weights.sum())

    return View(law=law)


def _covariances(change: Callable[[Array], Array | None]) -> View:
    def law(right: Law) -> Law:
        if right.covariances is None:
            return right
        return dataclasses.replace(right, covariances=change(right.covariances))

    return View(law=law)


def _level(change: Callable[[float, float], tuple[float, float]]) -> View:
    return View(level=change)


def _of_components(covariances: Array) -> Array:
    d = covariances.shape[1]
    return np.asarray(np.trace(covariances, axis1=1, axis2=2)[:, None, None] / d * np.eye(d))


class _Backwards:
    """A schedule whose times run the other way, as if t = 0 were noise."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def __getattr__(self, name: str) -> Callable[[float], float]:
        schedule = self._schedule
        sign = -1 if name in ("f", "g2") else 1
        return lambda t: sign * float(getattr(schedule, name)(schedule.t_min + schedule.t_max - t))


def _schedule(schedule: Schedule) -> View:
    return View(schedule=lambda _: schedule)


VIEWS: tuple[Mistaken, ...] = (
    Mistaken(Fault.WEIGHTS_IGNORED, "uniform weights", _weights(np.ones_like)),
    Mistaken(Fault.COVARIANCES, "components without their covariances", _covariances(lambda c: None)),
    Mistaken(
        Fault.COVARIANCES,
        "the diagonals of the components' covariances",
        _covariances(lambda c: c * np.eye(*c.shape[1:])),
    ),
    Mistaken(Fault.COVARIANCES, "isotropic components", _covariances(_of_components)),
    Mistaken(
        Fault.COVARIANCES,
        "one covariance for all components",
        _covariances(lambda c: np.broadcast_to(c.mean(0), c.shape)),
    ),
    Mistaken(Fault.LOG_DETERMINANT, "no log-determinants in the weights", View(options={"determinants": False})),
    Mistaken(Fault.ALPHA_BAR, "alpha^2 for alpha", _level(lambda a, s: (a * a, s))),
    Mistaken(Fault.ALPHA_BAR, "the square root of alpha for alpha", _level(lambda a, s: (math.sqrt(a), s))),
    Mistaken(Fault.POWER_OF_ALPHA, "no alpha in the posterior", _level(lambda a, s: (1.0, s))),
    Mistaken(Fault.POWER_OF_SIGMA, "sigma^2 for sigma", _level(lambda a, s: (a, s * s))),
    Mistaken(Fault.POWER_OF_SIGMA, "the square root of sigma for sigma", _level(lambda a, s: (a, math.sqrt(s)))),
    Mistaken(Fault.SCHEDULE, "alpha and sigma exchanged", _level(lambda a, s: (s, a))),
    Mistaken(Fault.SCHEDULE, "sigma = sqrt(1 - alpha^2)", _level(lambda a, s: (a, math.sqrt(max(1 - a * a, 1e-12))))),
    Mistaken(Fault.SCHEDULE, "sigma = 1 - alpha", _level(lambda a, s: (a, max(1 - a, 1e-12)))),
    Mistaken(Fault.SCHEDULE, "alpha = 1 - sigma", _level(lambda a, s: (max(1 - s, 1e-12), s))),
    Mistaken(Fault.WRONG_AXIS, "weights normalised over the batch", View(options={"axis": 0})),
    Mistaken(Fault.WEIGHTS_WRONG, "squared posterior weights", View(options={"sharpness": 2.0})),
    Mistaken(Fault.WEIGHTS_WRONG, "the square roots of the posterior weights", View(options={"sharpness": 0.5})),
    Mistaken(Fault.TRUNCATED, "the nearest atom alone", View(options={"sharpness": 1e6})),
    Mistaken(Fault.WEIGHTS_WRONG, "squared weights of the atoms", _weights(np.square)),
    Mistaken(Fault.SCHEDULE, "the schedule run backwards", View(schedule=lambda s: _Backwards(s))),  # type: ignore[arg-type, return-value]
    *(Mistaken(Fault.SCHEDULE, f"the schedule {s.name}, whichever is asked for", _schedule(s)) for s in SCHEDULES),
)


def _move(drift: float, pull: Callable[[Place], float]) -> Velocity:
    """``drift f x - pull score``."""
    return lambda p: drift * p.f * p.x - pull(p) * p.score


MOVES: tuple[Moved, ...] = (
    Moved(Fault.CONSTANT, "g^2 for g^2/2 in the flow: the drift of the reverse SDE", _move(1, lambda p: p.g2)),
    Moved(Fault.CONSTANT, "g^2/4 for g^2/2 in the flow", _move(1, lambda p: p.g2 / 4)),
    Moved(Fault.SIGN, "the wrong sign of f in the flow", _move(-1, lambda p: p.g2 / 2)),
    Moved(Fault.SIGN, "the wrong sign of the score in the flow", _move(1, lambda p: -p.g2 / 2)),
    Moved(Fault.SIGN, "the wrong sign of the whole velocity", _move(-1, lambda p: -p.g2 / 2)),
    Moved(Fault.TERM_DROPPED, "no drift f x in the flow", _move(0, lambda p: p.g2 / 2)),
    Moved(Fault.TERM_DOUBLED, "2 f x in the flow", _move(2, lambda p: p.g2 / 2)),
    Moved(Fault.CONSTANT, "f/2 for f in the flow", _move(0.5, lambda p: p.g2 / 2)),
    Moved(Fault.TERM_DROPPED, "no score in the flow", _move(1, lambda p: 0)),
    Moved(Fault.POWER_OF_G, "g for g^2 in the flow", _move(1, lambda p: math.sqrt(p.g2) / 2)),
    Moved(Fault.POWER_OF_G, "g^4 for g^2 in the flow", _move(1, lambda p: p.g2**2 / 2)),
    Moved(Fault.POWER_OF_SIGMA, "epsilon for epsilon / sigma in the flow", _move(1, lambda p: p.sigma * p.g2 / 2)),
    Moved(
        Fault.POWER_OF_SIGMA,
        "epsilon / sigma^2 for epsilon / sigma in the flow",
        _move(1, lambda p: p.g2 / 2 / p.sigma),
    ),
    Moved(Fault.POWER_OF_SIGMA, "sigma^2 times the score in the flow", _move(1, lambda p: p.sigma**2 * p.g2 / 2)),
    Moved(
        Fault.SIGN,
        "alpha E[x_0] + x for alpha E[x_0] - x in the score",
        lambda p: p.f * p.x - p.g2 / 2 * (p.alpha * p.mean + p.x) / p.sigma**2,
    ),
    Moved(
        Fault.POWER_OF_ALPHA,
        "no alpha before the posterior mean in the score",
        lambda p: p.f * p.x - p.g2 / 2 * (p.mean - p.x) / p.sigma**2,
    ),
)
