"""Hypothesis strategies for problems, for use in anybody's tests.

Hypothesis draws the structure (sizes, geometry, noise level, a seed) and NumPy fills in the numbers: arrays of
more than about a thousand numbers cannot be drawn one by one. Every choice is listed simplest first, so that a
counterexample shrinks to few atoms, few dimensions, simple numbers and alpha = sigma = 1/2.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from afi_properties.geometry import (
    GEOMETRIES,
    RADII,
    coarsen,
    covariance_of_scale,
    place_atoms,
    unit_directions,
)
from afi_properties.noise_levels import (
    LOG_SNR_RANGE,
    SCHEDULES,
    VARIANCE_PRESERVING,
    noise_at,
    time_near_log_snr,
)
from afi_properties.problem import Array, Problem
from afi_reference.schedules import Schedule

SIZES: tuple[tuple[int, int, int], ...] = (
    (1, 1, 1),
    (1, 2, 1),
    (1, 2, 2),
    (1, 3, 2),
    (2, 2, 2),
    (2, 3, 3),
    (3, 2, 1),
    (3, 3, 3),
    (4, 5, 2),
    (3, 8, 16),
    (2, 64, 16),
    (4, 16, 64),
    (2, 32, 256),
    (1, 6, 4096),
    (2, 4, 16384),
)
"""Batch, atoms and dimension. Few of them: compiled backends pay for each new shape."""

OFFSETS = (0.0, 1.0, 100.0)
WEIGHTS = ("uniform", "varied", "tiny")
_SMALLEST_WEIGHT = 1e-4
COVARIANCE_SCALES = (1.0, 0.1, 10.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Demand:
    """What the implementation under test needs of its problems.

    Attributes
    ----------
    family
        ``"dirac"`` or ``"gaussian-mixture"``.
    weights
        Whether weights may differ from uniform.
    variance_preserving
        Whether ``alpha^2 + sigma^2`` must be 1.
    per_sample_noise
        Whether noise levels may differ within a batch.
    dimension
        The one dimension wanted; any when ``None``.
    largest_dimension
        The largest dimension wanted: an answer of shape (B, d, d) needs one.
    most_atoms
        The largest number of atoms wanted.
    eps_kinds
        What may play epsilon; see :class:`~afi_properties.problem.Problem`.
    """

    family: str = "dirac"
    weights: bool = True
    variance_preserving: bool = False
    per_sample_noise: bool = False
    dimension: int | None = None
    largest_dimension: int = 16384
    most_atoms: int = 64
    eps_kinds: tuple[str, ...] = ("exact",)

    def sizes(self) -> tuple[tuple[int, int, int], ...]:
        """Sizes that satisfy the demand, simplest first."""
        most = min(self.most_atoms, 4 if self.family == "gaussian-mixture" else 64)
        sizes = [(b, min(n, most), d) for b, n, d in SIZES if d <= self.largest_dimension]
        if self.dimension is not None:
            sizes = [(b, min(n, most, 16), self.dimension) for b, n, _ in SIZES]
        return tuple(dict.fromkeys(sizes))


def problems(demand: Demand | None = None) -> st.SearchStrategy[Problem]:
    """Return a strategy for problems that satisfy ``demand`` (any Dirac problem by default)."""
    demand = demand or Demand()
    gaussian = demand.family == "gaussian-mixture"
    return st.builds(
        _build_gaussian_mixture if gaussian else _build_dirac,
        sizes=_one_of(demand.sizes()),
        radius=_one_of(tuple(RADII)),
        offset=_one_of(OFFSETS),
        weights_kind=_one_of(WEIGHTS if demand.weights else WEIGHTS[:1]),
        noise=_noise(demand),
        fine=st.booleans(),
        strided=st.booleans(),
        seed=_one_of(range(2**16)),
        eps_kind=_one_of(demand.eps_kinds),
        shape=_one_of(COVARIANCE_SCALES if gaussian else GEOMETRIES),
    )


def _one_of(options: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for one of ``options`` that shrinks to the first.

    Made of booleans: into the integers that it draws Hypothesis mixes constants of whatever modules are loaded
    (and writes a folder of them), but cases must depend on the seed alone.
    """
    bits = max(8, (len(options) - 1).bit_length())  # many more values than options: nearly uniform
    scale = len(options) / 2**bits  # monotonic, so that fewer bits mean a simpler option
    values = [2**k for k in reversed(range(bits))]
    flags = st.tuples(*[st.booleans()] * bits)
    return flags.map(lambda drawn: options[int(scale * sum(itertools.compress(values, drawn)))])


def stratified_problems(demand: Demand, rounds: int, seed: int) -> Iterator[Problem]:
    """Yield ``rounds`` problems of each size, with every other choice dealt out evenly.

    Few random draws leave gaps; here each radius, geometry, offset, schedule and part of the noise range is
    sure to appear about equally often.
    """
    rng = np.random.default_rng([seed, 4])
    sizes = demand.sizes() * rounds
    count = len(sizes)
    gaussian = demand.family == "gaussian-mixture"

    def dealt(options: Sequence[Any]) -> list[Any]:
        decks = [options[i] for _ in range(-(-count // len(options))) for i in rng.permutation(len(options))]
        return decks[:count]

    columns = {
        "shape": dealt(COVARIANCE_SCALES if gaussian else GEOMETRIES),
        "radius": dealt(tuple(RADII)),
        "offset": dealt(OFFSETS),
        "weights_kind": dealt(WEIGHTS if demand.weights else WEIGHTS[:1]),
        "fine": dealt((True, False)),
        "strided": dealt((False, True)),
        "eps_kind": dealt(demand.eps_kinds),
    }
    noise = zip(
        dealt(VARIANCE_PRESERVING if demand.variance_preserving else SCHEDULES),
        rng.permutation(np.linspace(*LOG_SNR_RANGE, count)),
        dealt((False, True, True) if demand.per_sample_noise else (False,)),
        strict=True,
    )
    build = _build_gaussian_mixture if gaussian else _build_dirac
    for row, (size, (schedule, log_snr, spread)) in enumerate(zip(sizes, noise, strict=True)):
        choices = {name: column[row] for name, column in columns.items()}
        level = _NoiseChoice(schedule, float(log_snr), spread)
        yield build(sizes=size, noise=level, seed=int(rng.integers(2**32)), **choices)


@dataclasses.dataclass(frozen=True)
class _NoiseChoice:
    schedule: Schedule
    log_snr: float
    spread: bool  # whether the noise levels within a batch differ


def _noise(demand: Demand) -> st.SearchStrategy[_NoiseChoice]:
    return st.builds(
        _NoiseChoice,
        schedule=_one_of(VARIANCE_PRESERVING if demand.variance_preserving else SCHEDULES),
        log_snr=_one_of(sorted(range(-20, 21), key=abs)).map(float),
        spread=_one_of((False, True, True)) if demand.per_sample_noise else st.just(False),
    )


def _build_dirac(
    sizes: tuple[int, int, int],
    shape: str,
    radius: str,
    offset: float,
    weights_kind: str,
    noise: _NoiseChoice,
    fine: bool,
    strided: bool,
    seed: int,
    eps_kind: str,
) -> Problem:
    batch, count, dimension = sizes
    rng = np.random.default_rng([seed, 0])
    times, alpha, sigma = _levels(rng, noise, batch)
    unit = sigma[0] / alpha[0]
    weights = _weights(rng, weights_kind, count)
    atoms, deviation = place_atoms(rng, shape, weights, dimension, RADII[radius](dimension))
    deviations = deviation * rng.standard_normal((batch, dimension))
    if shape == "noised":
        deviations += atoms[rng.integers(0, count, batch)]
    centre = offset * unit_directions(rng, 1, dimension)[0] * math.sqrt(dimension)
    v = rng.standard_normal((batch, dimension))
    if not fine:
        atoms, deviations, v = coarsen(atoms), coarsen(deviations), coarsen(v)
        centre = np.round(centre)
    data = centre + unit * atoms
    return Problem(
        scenario="dirac",
        description=(
            f"{shape} atoms at radius {radius}, offset {offset:g}, {weights_kind} weights, {noise.schedule.name}"
        ),
        schedule=noise.schedule,
        values={
            "x": alpha[:, None] * (centre + unit * deviations),
            "v": v,
            # an endpoint near the data, but not on it: a sampler's last iterate
            "x0": data[rng.integers(0, count, batch)] + 0.25 * unit * v,
            "t": times,
            "alpha": alpha,
            "sigma": sigma,
            "data": data,
            "weights": weights,
        },
        eps_kind=eps_kind,
        strided=strided,
        seed=seed,
        key=("dirac", sizes, shape, radius, offset, weights_kind, noise, fine, seed, eps_kind),
    )


def _build_gaussian_mixture(
    sizes: tuple[int, int, int],
    shape: float,
    radius: str,
    offset: float,
    weights_kind: str,
    noise: _NoiseChoice,
    fine: bool,
    strided: bool,
    seed: int,
    eps_kind: str,
) -> Problem:
    batch, count, dimension = sizes
    rng = np.random.default_rng([seed, 0])
    times, alpha, sigma = _levels(rng, noise, batch)
    unit = sigma[0] / alpha[0]
    weights = _weights(rng, weights_kind, count)
    # Components as far apart as their own width and the noise together, so that they share the posterior.
    width = math.sqrt(1 + shape)
    means = width * RADII[radius](dimension) * unit_directions(rng, count, dimension)
    deviations = width * rng.standard_normal((batch, dimension)) / max(1.0, RADII[radius](dimension))
    centre = offset * unit_directions(rng, 1, dimension)[0] * math.sqrt(dimension)
    v = rng.standard_normal((batch, dimension))
    if not fine:
        means, deviations, v, centre = coarsen(means), coarsen(deviations), coarsen(v), np.round(centre)
    covariances = np.stack([covariance_of_scale(rng, dimension, shape) for _ in range(count)])
    return Problem(
        scenario="gaussian-mixture",
        description=(
            f"covariances of {shape:g} noise variances, means at radius {radius}, offset {offset:g}, "
            f"{weights_kind} weights, {noise.schedule.name}"
        ),
        schedule=noise.schedule,
        values={
            "x": alpha[:, None] * (centre + unit * deviations),
            "v": v,
            "x0": centre + unit * means[rng.integers(0, count, batch)],
            "t": times,
            "alpha": alpha,
            "sigma": sigma,
            "means": centre + unit * means,
            "covariances": unit**2 * covariances,
            "weights": weights,
        },
        eps_kind=eps_kind,
        strided=strided,
        seed=seed,
        key=("gaussian-mixture", sizes, shape, radius, offset, weights_kind, noise, fine, seed, eps_kind),
    )


def _levels(rng: np.random.Generator, noise: _NoiseChoice, batch: int) -> tuple[Array, Array, Array]:
    log_snrs = noise.log_snr + (rng.uniform(-1.5, 1.5, batch) if noise.spread else np.zeros(batch))
    times = np.array([time_near_log_snr(noise.schedule, log_snr) for log_snr in log_snrs])
    return times, *noise_at(noise.schedule, times)


def _weights(rng: np.random.Generator, kind: str, count: int) -> Array:
    if kind == "uniform" or count == 1:
        return np.full(count, 1 / count)
    # Tiny is orders of magnitude below uniform, and still a normal float16.
    tiny = np.exp(rng.uniform(math.log(_SMALLEST_WEIGHT), 0, count))
    weights = np.maximum(rng.dirichlet(np.ones(count)) if kind == "varied" else tiny, _SMALLEST_WEIGHT)
    return np.asarray(weights / weights.sum())
