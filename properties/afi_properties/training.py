"""Cases for training: small data sets of which a mistake in training would show; and points to judge a head at.

The atoms are few and in few dimensions, so that a small network learns them in seconds, and their norms differ, so that
there is something to learn. They lie in many directions, where the square of the mean is far from the mean of the
squares, or along one, where the wrong amount of signal makes one atom look like another. Weights are unequal where
somebody asks for them, and the atoms of large norm the lighter ones, so that ignoring them shows.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from afi_properties.choices import VERSION, pick, sizes_from, whole_number
from afi_properties.inputs import Inputs
from afi_properties.problem import Array, Problem
from afi_properties.trajectory_cases import WEIGHTS, split
from afi_reference import Distribution
from afi_reference.dirac import DiracMixture
from afi_reference.gaussian import GaussianMixture
from afi_reference.schedules import RectifiedFlow, Schedule, VPCosine, VPLinear

LEVELS = 8
"""Noise levels at which a head is judged: the middles of so many equal parts of the schedule's time."""

SCHEDULES: tuple[Schedule, ...] = (RectifiedFlow(), RectifiedFlow(), VPLinear(), VPCosine())
"""In turn: those whose time, drawn uniformly, is spent where there is something to learn."""

_LIGHTEST = 0.1
"""Weight of the atom of the largest norm, over that of the smallest."""


def training_problems(
    weighted: bool, dimension: int | None, count: int, seed: int, *, num_atoms: int = 5
) -> Iterator[Problem]:
    """Yield ``count`` problems with data, weights and a schedule, and a point at each of the times.

    Parameters
    ----------
    weighted
        Whether weights are unequal.
    dimension
        Of the data; of its own choice when ``None``.
    """
    rng = np.random.default_rng([seed, 8])
    for number in range(count):
        d = dimension or (2 if number < 2 else int(rng.integers(2, 5)))
        schedule, shape = SCHEDULES[number % len(SCHEDULES)], SHAPES[number % 2]
        yield training_problem(shape, (num_atoms, d), schedule, weighted, int(rng.integers(2**32)))


SHAPES = ("around", "ray")


def training_problem(shape: str, sizes: tuple[int, int], schedule: Schedule, weighted: bool, seed: int) -> Problem:
    """Return one problem, the same numbers whenever it is called.

    Parameters
    ----------
    shape
        One of :data:`SHAPES`.
    sizes
        Number of atoms, dimension.
    schedule, weighted, seed
        As they say.
    """
    (num_atoms, dimension) = sizes
    rng = np.random.default_rng([seed, 8])
    data = {"around": _all_around, "ray": _along_a_ray}[shape](rng, num_atoms, dimension)
    weights = np.geomspace(1, _LIGHTEST, len(data)) if weighted else np.ones(len(data))
    weights /= weights.sum()
    t, alpha, sigma = levels_of(schedule)
    x = diffused_points(DiracMixture(data, weights), alpha, sigma, rng)
    return Problem(
        scenario="dirac",
        description=f"atoms {'along a ray' if shape == 'ray' else 'all around'} to train on, {schedule.name}",
        schedule=schedule,
        values={
            "x": x,
            "v": np.zeros_like(x),
            "x0": np.zeros_like(x),
            "t": t,
            "alpha": alpha,
            "sigma": sigma,
            "data": data,
            "weights": weights,
        },
        seed=seed,
        id=f"{VERSION}_training_{shape}_{LEVELS}x{num_atoms}x{dimension}_{WEIGHTS[weighted]}_{schedule.name}_s{seed}",
    )


def training_from_id(text: str) -> Problem:
    """Return the case that an id stands for.

    Raises
    ------
    ValueError
        If it is not the id of such a case.
    """
    words, _ = split(text, 7)
    _, _, shape, sizes, weights, schedule, seed = words
    schedules = {schedule.name: schedule for schedule in SCHEDULES}
    return training_problem(
        pick(text, "shape", shape, SHAPES),
        sizes_from(text, sizes)[1:],
        schedules[pick(text, "schedule", schedule, schedules)],
        pick(text, "weights", weights, WEIGHTS.values()) == WEIGHTS[True],
        whole_number(text, "seed", seed, "s"),
    )


def _all_around(rng: np.random.Generator, count: int, d: int) -> Array:
    """In every direction, as far apart as chance has it in the best of some tries; coordinates of 0.5 to 2."""
    tries = _units(rng, (64, count), d)
    if d > 1:
        cosines = np.einsum("tid,tjd->tij", tries, tries) / d - 2 * np.eye(count)
        tries = tries[[np.argmin(cosines.max(axis=(1, 2)))]]
    return np.asarray(tries[0] * np.geomspace(0.5, 2, count)[:, None])


def _along_a_ray(rng: np.random.Generator, count: int, d: int) -> Array:
    """At equal distances along a ray, but for some jitter."""
    jitter = 0.1 * rng.standard_normal((count, d))
    return np.asarray(np.linspace(0.4, 2, count)[:, None] * _units(rng, (1,), d) + jitter)


def _units(rng: np.random.Generator, shape: tuple[int, ...], d: int) -> Array:
    """Vectors whose coordinates have mean square 1."""
    vectors = rng.standard_normal((*shape, d))
    return np.asarray(vectors * np.sqrt(d) / np.linalg.norm(vectors, axis=-1, keepdims=True))


def levels_of(schedule: Schedule, count: int = LEVELS) -> tuple[Array, Array, Array]:
    """Return the times at which heads are judged with their alpha and sigma, (L,) each."""
    share = (np.arange(count) + 0.5) / count
    t = schedule.t_min + (schedule.t_max - schedule.t_min) * share
    return t, np.asarray(schedule.alpha(t)), np.asarray(schedule.sigma(t))


def diffused_points(law: Distribution, alpha: Array, sigma: Array, rng: np.random.Generator) -> Array:
    """Draw ``alpha x_0 + sigma noise`` for each noise level, (B, d) for alpha and sigma (B,).

    Raises
    ------
    TypeError
        If nobody knows how to draw from ``law``.
    """
    count = len(alpha)
    if isinstance(law, DiracMixture):
        chosen = rng.choice(len(law.atoms), count, p=np.asarray(law.weights, dtype=np.float64))
        x0 = law.atoms[chosen]
    elif isinstance(law, GaussianMixture):
        chosen = rng.choice(len(law.means), count, p=np.asarray(law.weights, dtype=np.float64))
        x0 = law.means[chosen] + _deviations(law.covariances, chosen, rng)
    else:
        raise TypeError(f"Points can be drawn from a DiracMixture or a GaussianMixture, not from {type(law).__name__}.")
    return np.asarray(alpha[:, None] * x0 + sigma[:, None] * rng.standard_normal(x0.shape))


def _deviations(covariances: Array, chosen: Array, rng: np.random.Generator) -> Array:
    normal = rng.standard_normal((len(chosen), covariances.shape[1]))
    if covariances.ndim == 2:
        return np.asarray(np.sqrt(covariances[chosen]) * normal)
    values, vectors = np.linalg.eigh(covariances)
    roots = vectors * np.sqrt(np.maximum(values, 0))[:, None]
    return np.asarray(np.einsum("bij,bj->bi", roots[chosen], normal))


def with_points(inputs: Inputs, x: Array) -> Inputs:
    """Return the inputs of a formula at other points, (B, d), of the same noise levels, repeated in their order."""
    repeats = len(x) // len(inputs.alpha)
    return dataclasses.replace(
        inputs,
        x=x,
        alpha=np.repeat(inputs.alpha, repeats),
        sigma=np.repeat(inputs.sigma, repeats),
        v=np.zeros_like(x),
        x0=np.zeros_like(x),
    )
