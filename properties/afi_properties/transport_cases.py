"""Cases for claims about the map of Theorem 1: Jacobians that are symmetric by structure, and some that are not at all.

A map drawn naively has a Jacobian that is nearly symmetric: its transpose, or its symmetric part, would pass for it.
So points are picked where the asymmetry ``|J - J^T| / |J|`` is large, by a coarse integration; the truth is the
oracle's. Data whose maps are optimal are collinear, products along orthogonal axes, single atoms, or in one dimension.

As in :mod:`~afi_properties.trajectory_cases` every number has at most eight significant bits.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from afi_properties.asymmetry import estimate_asymmetry
from afi_properties.choices import FAMILIES, VERSION, pick, slug, whole_number
from afi_properties.noise_levels import noise_at, time_near_log_snr
from afi_properties.problem import Array, Problem
from afi_properties.trajectory_cases import (
    BY_NAME,
    LARGEST_DIMENSION,
    SCHEDULES,
    WEIGHTS,
    alone,
    joined,
    rounded,
    split,
)

LEAST_ASYMMETRY = 0.02
"""At points where the answer is "not optimal". Elsewhere it is 0 but for rounding: any tolerance between will do."""

STRUCTURES = ("general", "one dimension", "collinear", "mirror", "product", "single")
"""Of the data, in the order in which cases are dealt out; in one dimension all are alike. Two-dimensional data that are
their own mirror image have a symmetric Jacobian on the mirror, and beside it not: the first and the second point."""

TURNING = ("general", "mirror")
"""Those whose maps are not optimal in two dimensions and more."""

_SIMPLE = (("single", 1), ("one dimension", 1), ("single", 2), ("collinear", 2), ("mirror", 2), ("general", 2))

START = (2.0, 3.0)
END = (-3.5, -2.0)
"""Ranges of log-SNR in which trajectories start and end."""

_CANDIDATES = 64
_ATTEMPTS = 20
_AXES = np.array([[2.0, 1.0], [-1.0, 2.0]])  # orthogonal, exact, and not those of the coordinates


def transport_problems(
    family: str, count: int, seed: int, dimension: int | None = None, *, weighted: bool = True
) -> Iterator[Problem]:
    """Yield ``count`` problems for ``family``, with structures and schedules dealt out evenly.

    Parameters
    ----------
    family
        ``"dirac"`` or ``"gaussian-mixture"``.
    count, seed
        How many, and of which draws.
    dimension
        Of the points; 1, 2 or 3 when ``None``.
    weighted
        Whether weights may differ.
    """
    rng = np.random.default_rng([seed, 9])
    order = rng.permutation(len(SCHEDULES))
    for k in range(count):
        structure = STRUCTURES[k % len(STRUCTURES)]
        d = dimension or (1 if structure == "one dimension" else 2 + (k // len(STRUCTURES)) % 2)
        schedule, seed = SCHEDULES[order[k % len(order)]].name, int(rng.integers(2**32))
        yield transport_problem(TransportChoices(family, structure, d, schedule, seed, weighted))


@dataclasses.dataclass(frozen=True)
class TransportChoices:
    """Everything that determines a case; see :class:`~afi_properties.trajectory_cases.FlowChoices`."""

    family: str
    structure: str
    dimension: int
    schedule: str
    seed: int
    weighted: bool = True
    point: int | None = None

    @property
    def id(self) -> str:
        """The text from which :func:`transport_from_id` makes the same case."""
        words = (slug(self.structure), f"d{self.dimension}", WEIGHTS[self.weighted], self.schedule, f"s{self.seed}")
        return joined(VERSION, "transport", self.family, *words, point=self.point)


def simpler_transports(problem: Problem) -> Iterator[Problem]:
    """Yield problems that are simpler than one of :func:`transport_problems`, the simplest first."""
    choices = transport_choices_from_id(problem.id or "")
    for structure, dimension in _SIMPLE if choices.dimension < 4 else ():
        for seed in range(2):
            candidate = dataclasses.replace(choices, structure=structure, dimension=dimension, seed=seed, point=None)
            found = transport_problem(candidate)
            for point in range(found.batch):
                yield transport_problem(dataclasses.replace(candidate, point=point if found.batch > 1 else None))
    for point in range(problem.batch) if problem.batch > 1 else ():
        yield transport_problem(dataclasses.replace(choices, point=point))


def transport_choices_from_id(text: str) -> TransportChoices:
    """Return the choices that an id stands for.

    Raises
    ------
    ValueError
        If it is not the id of such a case.
    """
    words, point = split(text, 8)
    _, _, family, structure, dimension, weights, schedule, seed = words
    return TransportChoices(
        pick(text, "family", family, FAMILIES),
        pick(text, "structure", structure, STRUCTURES),
        whole_number(text, "dimension", dimension, "d"),
        pick(text, "schedule", schedule, BY_NAME),
        whole_number(text, "seed", seed, "s"),
        pick(text, "weights", weights, WEIGHTS.values()) == WEIGHTS[True],
        point,
    )


def transport_from_id(text: str) -> Problem:
    """Return the case that an id stands for.

    Raises
    ------
    ValueError
        If it is not the id of such a case.
    """
    choices = transport_choices_from_id(text)
    if not 1 <= choices.dimension <= LARGEST_DIMENSION:
        raise ValueError(f"case id {text!r}: there are no such cases in {choices.dimension} dimensions.")
    return transport_problem(choices)


def transport_problem(choices: TransportChoices) -> Problem:
    """Return the problem that ``choices`` determine, the same numbers whenever it is called."""
    rng = np.random.default_rng([choices.seed, 9])
    family, structure, d, schedule = choices.family, choices.structure, choices.dimension, BY_NAME[choices.schedule]
    batch = 1 if structure == "single" else 2
    for _ in range(_ATTEMPTS):
        t_start, t_end = (time_near_log_snr(schedule, float(rng.uniform(*ends))) for ends in (START, END))
        alphas, sigmas = noise_at(schedule, np.array([t_start, t_end]))
        levels, alpha, sigma = np.stack([alphas, sigmas], axis=1), alphas[0], sigmas[0]
        centres, weights = _centres(rng, structure, d, sigma / alpha)
        if not choices.weighted:
            weights = np.full(len(centres), 1 / len(centres))
        values = _law(rng, family, structure, centres, sigma / alpha)
        chosen = rng.choice(len(centres), size=_CANDIDATES, p=weights)
        x = rounded(alpha * centres[chosen] + 1.5 * sigma * rng.standard_normal((_CANDIDATES, d)))
        # For a mixture's Gaussians, narrow as they are, their centres tell where to look.
        turns = estimate_asymmetry(x, levels, centres, weights)
        best = np.argsort(-turns, kind="stable")[:batch]
        turns = turns[best]
        if structure == "mirror" and d > 1:
            x[best[1]] = np.pad(_AXES[1] * rounded(sigma * rng.uniform(-2, 2)), (0, d - 2))
            best = best[::-1]
        if structure not in TURNING or d == 1 or turns.min() > 2 * LEAST_ASYMMETRY:
            break
    gradient = rounded(rng.standard_normal((batch, d)))
    noise = {"alpha": np.full(batch, alpha), "sigma": np.full(batch, sigma), "t": np.full(batch, t_start)}
    ends = {"t_start": np.full(batch, t_start), "t_end": np.full(batch, t_end)}
    points = {"x": x[best], "v": gradient, "x0": centres[chosen[best]], "loss_grad": gradient}
    problem = Problem(
        scenario=family,
        description=f"{structure}, from {t_start:g} to {t_end:g} under {schedule.name}",
        schedule=schedule,
        values={**values, "weights": weights, **ends, **noise, **points},
        seed=choices.seed,
        id=choices.id,
    )
    return alone(problem, choices.point)


def _centres(rng: np.random.Generator, structure: str, d: int, ratio: float) -> tuple[Array, Array]:
    """Return centres (N, d) about three of the noise's standard deviations apart, and weights in sixteenths."""
    # A power of two, so that small integers stay exact.
    unit = 2.0 ** np.round(np.log2(ratio))
    axes = _AXES if d > 1 else np.ones((1, 1))
    offset = np.asarray(unit * rng.integers(-8, 9, size=axes.shape[1]))
    if structure == "single":
        plane, weights = offset[None], np.ones(1)
    elif structure == "product" and d > 1:
        sides = rng.integers(1, 3, size=2)
        corners = np.array([[i, j] for i in (0, 1) for j in (0, 1)]) * sides
        plane, weights = unit * (corners @ axes) + offset, np.array([1, 3, 3, 9]) / 16
    elif structure == "mirror" and d > 1:
        # At the origin: a shift would be rounded, and the point then lie beside the mirror.
        plane = unit * np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0 + rng.integers(2)]]) @ axes
        weights = np.array([5, 5, 6]) / 16
    elif structure == "general" and d > 1:
        # Two close pairs whose lines are neither parallel nor at right angles turn more than atoms at random.
        height = float(rng.integers(1, 3))
        plane = unit * np.array([[0.0, 0.0], [2.0, height], [6.0, 0.0], [8.0, height]])[: rng.integers(3, 5)]
        turn = np.array([[0.0, 1.0], [-1.0, 0.0]]) if rng.integers(2) else np.eye(2)
        plane = plane @ turn + offset
        weights = {3: np.array([5, 4, 7]) / 16, 4: np.array([3, 5, 2, 6]) / 16}[len(plane)]
    else:
        places = np.cumsum([0, *rng.integers(1, 3, size=2)])
        plane, weights = unit * (places[:, None] * axes[:1]) + offset, np.array([6, 3, 7]) / 16
    return np.pad(plane, ((0, 0), (0, d - plane.shape[1]))), weights


def _law(rng: np.random.Generator, family: str, structure: str, centres: Array, ratio: float) -> dict[str, Array]:
    if family == "dirac":
        return {"data": centres}
    count, d = centres.shape
    if structure == "general":
        factors = rng.standard_normal((count, d, d))
        lower = np.tril(rounded(ratio**2 * (factors @ factors.swapaxes(1, 2) / 16 / d + np.eye(d) / 8)))
        covariances = lower + np.tril(lower, -1).swapaxes(1, 2)
    else:
        # The same multiple of the identity for all: it changes no structure.
        covariances = np.broadcast_to(rounded(ratio**2 / 4 * np.eye(d)), (count, d, d)).copy()
    return {"means": centres, "covariances": covariances}
