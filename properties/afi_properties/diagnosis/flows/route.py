"""Following a trajectory with whatever is integrated along it, for the right flow and for wrong ones."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from afi_properties.diagnosis.flows.place import Law, Place
from afi_properties.problem import Array
from afi_properties.trajectory import Trajectory
from afi_reference.dirac import DiracMixture
from afi_reference.schedules import Schedule

STEPS = 24
"""Of classical Runge and Kutta, at equal distances of log-SNR: errors of some 1e-5."""

Velocity: TypeAlias = Callable[[Place], Array]
Matrices: TypeAlias = Callable[[Place], list[Array]]
"""Generators (B, d, d) of linear equations ``M' = H M``, M = I at the start."""

Rates: TypeAlias = Callable[[Place], list[Array]]
"""Integrands, (B,) each."""


def velocity(place: Place) -> Array:
    """``f x - g^2 / 2 grad log q``."""
    return place.f * place.x - place.g2 / 2 * place.score


def generator(place: Place) -> Array:
    """Return the Jacobian of the velocity."""
    return place.f * place.eye + place.g2 / 2 * place.fisher


def law_of(trajectory: Trajectory) -> Law:
    """Return the data of a trajectory."""
    law = trajectory.law
    if isinstance(law, DiracMixture):
        return Law(np.asarray(law.atoms, dtype=np.float64), None, np.asarray(law.weights, dtype=np.float64))
    return Law(
        np.asarray(law.means, dtype=np.float64),
        np.asarray(law.covariances, dtype=np.float64),
        np.asarray(law.weights, dtype=np.float64),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """How the data and the noise are seen along the way; everything is as it should be unless it is said otherwise.

    Attributes
    ----------
    law
        From the right law.
    level
        From the right alpha and sigma.
    schedule
        From the right schedule: what f, g2, alpha and sigma are of at each time.
    options
        Of :class:`Place`.
    """

    law: Callable[[Law], Law] = lambda law: law
    level: Callable[[float, float], tuple[float, float]] = lambda alpha, sigma: (alpha, sigma)
    schedule: Callable[[Schedule], Schedule] = lambda schedule: schedule
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


RIGHT = View()


@dataclasses.dataclass(frozen=True, eq=False)
class Arrival:
    """Where a trajectory ended, (B, d), with its matrices (B, d, d) and integrals (B,)."""

    x: Array
    matrices: list[Array]
    integrals: list[Array]


def place_at(trajectory: Trajectory, x: Array, t: float, view: View = RIGHT) -> Place:
    """Return the points x at the time t as ``view`` sees them."""
    schedule = view.schedule(trajectory.schedule)
    alpha, sigma = view.level(float(schedule.alpha(t)), float(schedule.sigma(t)))
    law = view.law(law_of(trajectory))
    return Place(law, x, t, alpha, sigma, float(schedule.f(t)), float(schedule.g2(t)), **view.options)


def follow(
    trajectory: Trajectory,
    *,
    move: Velocity = velocity,
    view: View = RIGHT,
    matrices: Matrices = lambda _: [],
    rates: Rates = lambda _: [],
    ends: tuple[float, float] | None = None,
    start: Array | None = None,
    pace: float = 1.0,
) -> Arrival:
    """Follow ``dx/dt = move`` from one time to another with what is integrated along it.

    Parameters
    ----------
    ends
        Times; those of the trajectory when ``None``.
    start
        Points; those of the trajectory when ``None``.
    pace
        What the length of every step is multiplied by, while the times stay.
    """
    first, last = ends or (trajectory.t_start, trajectory.t_end)
    schedule = trajectory.schedule
    levels = np.linspace(float(schedule.log_snr(first)), float(schedule.log_snr(last)), STEPS + 1)[1:-1]
    times = [first, *(float(t) for t in np.asarray(schedule.time_of_log_snr(levels))), last]
    x = trajectory.x if start is None else start
    state = [np.asarray(x, dtype=np.float64)]
    here = place_at(trajectory, state[0], first, view)
    counts = len(matrices(here)), len(rates(here))
    state += [np.broadcast_to(here.eye, (len(x), *here.eye.shape))] * counts[0] + [np.zeros(len(x))] * counts[1]

    def slope(t: float, state: list[Array]) -> list[Array]:
        place = place_at(trajectory, state[0], t, view)
        turning = [H @ M for H, M in zip(matrices(place), state[1 : 1 + counts[0]], strict=True)]
        return [pace * part for part in (move(place), *turning, *rates(place))]

    def moved(state: list[Array], h: float, slopes: list[Array]) -> list[Array]:
        return [part + h * change for part, change in zip(state, slopes, strict=True)]

    with np.errstate(all="ignore"):  # a wrong flow may go anywhere: what overflows explains nothing
        for t, later in itertools.pairwise(times):
            h, middle = later - t, (t + later) / 2
            a = slope(t, state)
            b = slope(middle, moved(state, h / 2, a))
            c = slope(middle, moved(state, h / 2, b))
            d = slope(later, moved(state, h, c))
            state = [part + h / 6 * (p + 2 * q + 2 * r + s) for part, p, q, r, s in zip(state, a, b, c, d, strict=True)]
            if not np.isfinite(state[0]).all():
                break
    return Arrival(state[0], state[1 : 1 + counts[0]], state[1 + counts[0] :])
