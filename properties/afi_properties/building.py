"""From the choices of a case to its numbers."""

import math

import numpy as np

from afi_properties.choices import Choices
from afi_properties.geometry import (
    COVARIANCES,
    OFFSETS,
    RADII,
    balance_directions,
    coarsen,
    covariance_of_scale,
    place_atoms,
    place_components,
    unit_directions,
)
from afi_properties.noise_levels import SCHEDULES_BY_NAME, noise_at, time_near_log_snr
from afi_properties.problem import Array, Problem

_SMALLEST_WEIGHT = 1e-4


def build_problem(choices: Choices) -> Problem:
    """Return the problem that ``choices`` determine, the same numbers whenever it is called."""
    rng = np.random.default_rng([choices.seed, 0])
    return _build_dirac(rng, choices) if choices.family == "dirac" else _build_gaussian_mixture(rng, choices)


def _build_dirac(rng: np.random.Generator, choices: Choices) -> Problem:
    batch, count, dimension = choices.sizes
    times, alpha, sigma = _levels(rng, choices)
    unit = sigma[0] / alpha[0]
    weights = _weights(rng, choices.weights, count)
    atoms, deviation = place_atoms(rng, choices.shape, weights, dimension, RADII[choices.radius](dimension))
    deviations = deviation * rng.standard_normal((batch, dimension))
    if choices.shape == "noised":
        deviations += atoms[rng.integers(0, count, batch)]
    centre = OFFSETS[choices.offset] * unit_directions(rng, 1, dimension)[0] * math.sqrt(dimension)
    v = rng.standard_normal((batch, dimension))
    if choices.balanced:
        v = balance_directions(v, atoms, deviations, weights, centre / unit)
    if not choices.fine:
        atoms, deviations, v = coarsen(atoms), coarsen(deviations), coarsen(v)
        centre = np.round(centre)
    data = centre + unit * atoms
    values = {
        "x": alpha[:, None] * (centre + unit * deviations),
        "v": v,
        # an endpoint near the data, but not on it: a sampler's last iterate
        "x0": data[rng.integers(0, count, batch)] + 0.25 * unit * (_noise_apart(rng, v) if choices.balanced else v),
        "t": times,
        "alpha": alpha,
        "sigma": sigma,
        "data": data,
        "weights": weights,
    }
    return _problem(choices, f"{choices.shape} atoms", values)


def _build_gaussian_mixture(rng: np.random.Generator, choices: Choices) -> Problem:
    batch, count, dimension = choices.sizes
    times, alpha, sigma = _levels(rng, choices)
    unit = sigma[0] / alpha[0]
    weights = _weights(rng, choices.weights, count)
    scales = COVARIANCES[choices.shape]
    covariances = np.stack([covariance_of_scale(rng, dimension, scales[k % len(scales)]) for k in range(count)])
    means, deviation = place_components(rng, covariances, weights, RADII[choices.radius](dimension))
    deviations = deviation * rng.standard_normal((batch, dimension))
    centre = OFFSETS[choices.offset] * unit_directions(rng, 1, dimension)[0] * math.sqrt(dimension)
    v = rng.standard_normal((batch, dimension))
    if not choices.fine:
        means, deviations, v, centre = coarsen(means), coarsen(deviations), coarsen(v), np.round(centre)
    values = {
        "x": alpha[:, None] * (centre + unit * deviations),
        "v": v,
        "x0": centre + unit * means[rng.integers(0, count, batch)],
        "t": times,
        "alpha": alpha,
        "sigma": sigma,
        "means": centre + unit * means,
        "covariances": unit**2 * covariances,
        "weights": weights,
    }
    scale = " and ".join(f"{scale:g}" for scale in scales)
    return _problem(choices, f"covariances of {scale} noise variances, means", values)


def _problem(choices: Choices, what: str, values: dict[str, Array]) -> Problem:
    return Problem(
        scenario=choices.family,
        description=(
            f"{what} at radius {choices.radius}, offset {choices.offset}, {choices.weights} weights, {choices.schedule}"
        ),
        schedule=SCHEDULES_BY_NAME[choices.schedule],
        values=values,
        eps_kind=choices.eps_kind,
        strided=choices.strided,
        seed=choices.seed,
        id=choices.id,
    )


def _noise_apart(rng: np.random.Generator, v: Array) -> Array:
    """Return noise that knows nothing of ``v``: else ``<x0, v> x0`` is ``d`` times the identity, and drowns it."""
    return coarsen(rng.standard_normal(v.shape))


def _levels(rng: np.random.Generator, choices: Choices) -> tuple[Array, Array, Array]:
    schedule, batch = SCHEDULES_BY_NAME[choices.schedule], choices.sizes[0]
    log_snrs = choices.log_snr + (rng.uniform(-1.5, 1.5, batch) if choices.spread else np.zeros(batch))
    times = np.array([time_near_log_snr(schedule, log_snr) for log_snr in log_snrs])
    return times, *noise_at(schedule, times)


def _weights(rng: np.random.Generator, kind: str, count: int) -> Array:
    if kind == "uniform" or count == 1:
        return np.full(count, 1 / count)
    # Tiny is orders of magnitude below uniform, and still a normal float16.
    tiny = np.exp(rng.uniform(math.log(_SMALLEST_WEIGHT), 0, count))
    weights = np.maximum(rng.dirichlet(np.ones(count)) if kind == "varied" else tiny, _SMALLEST_WEIGHT)
    return np.asarray(weights / weights.sum())
