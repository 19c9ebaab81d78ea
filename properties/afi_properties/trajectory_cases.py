"""Cases for claims about trajectories: flows that solvers of any order follow in some hundred steps, yet not trivial.

Every number has at most eight significant bits, so it is the same in every precision, and one truth serves all. Points
start where ``q`` has its mass. Noise levels span a few units of log-SNR: enough for the covariance to come and go.
"""

from collections.abc import Iterator

import numpy as np

from afi_properties.noise_levels import noise_at, time_near_log_snr
from afi_properties.problem import Array, Problem
from afi_reference import schedules
from afi_reference.schedules import Schedule

SCHEDULES: tuple[Schedule, ...] = (
    schedules.RectifiedFlow(),
    schedules.VPLinear(),
    schedules.VEGeometric(),
    schedules.VPCosine(),
    schedules.EDM(),
    schedules.LogSNRLinear(),
    schedules.SubVP(),
)
"""Smooth ones: where f or g2 jumps, solvers lose their order, and nobody is to blame."""

SIZES: tuple[tuple[int, int, int], ...] = ((1, 1, 1), (2, 2, 1), (2, 3, 2), (2, 1, 3), (2, 3, 3), (2, 4, 8))
"""Batch, atoms or components, and dimension, simplest first."""

LARGEST_DIMENSION = 64
"""Of an adapter's event_shape."""

START = (1.0, 2.5)
END = (-3.5, -1.0)
"""Ranges of log-SNR in which trajectories start and end."""

_WEIGHTS = {1: (16,), 2: (6, 10), 3: (4, 7, 5), 4: (2, 6, 3, 5)}  # sixteenths: exact in every precision
_BITS = 8


def trajectory_problems(
    family: str, count: int, seed: int, dimension: int | None = None, *, weighted: bool = True
) -> Iterator[Problem]:
    """Yield ``count`` problems for ``family``, small ones first, with sizes and schedules dealt out evenly.

    Parameters
    ----------
    dimension
        Of the points; of the sizes' own choice when ``None``.
    weighted
        Whether weights may differ.
    """
    rng = np.random.default_rng([seed, 8])
    order = rng.permutation(len(SCHEDULES))
    sizes = sorted(((k % len(SIZES)), k) for k in range(count))
    for size, k in sizes:
        batch, atoms, d = SIZES[size]
        weights = np.array(_WEIGHTS[atoms]) / 16 if weighted else np.full(atoms, 1 / atoms)
        yield _problem(rng, family, batch, weights, dimension or d, SCHEDULES[order[k % len(SCHEDULES)]])


def _problem(
    rng: np.random.Generator, family: str, batch: int, weights: Array, dimension: int, schedule: Schedule
) -> Problem:
    t_start, t_end = (time_near_log_snr(schedule, float(rng.uniform(*ends))) for ends in (START, END))
    alpha, sigma = noise_at(schedule, np.full(batch, t_start))
    ratio = sigma[0] / alpha[0]
    atoms = len(weights)
    # Spread out by two or three standard deviations of the noise, in any dimension: several atoms share the posterior.
    shape = (atoms, dimension)
    centres = rounded(rng.normal(size=dimension) + 2.5 * ratio / np.sqrt(dimension) * rng.normal(size=shape))
    values = {"weights": weights}
    widths = np.zeros((atoms, dimension, dimension))
    if family == "gaussian-mixture":
        factors = rng.normal(size=(atoms, dimension, dimension)) / np.sqrt(dimension)
        lower = np.tril(rounded(factors @ factors.swapaxes(1, 2) / 2 + np.eye(dimension) / 4))
        widths = lower + np.tril(lower, -1).swapaxes(1, 2)
        values |= {"means": centres, "covariances": widths}
    else:
        values |= {"data": centres}
    chosen = rng.integers(atoms, size=batch)
    noise = rng.normal(size=(batch, dimension))
    spread = np.stack(
        [np.linalg.cholesky(alpha[0] ** 2 * widths[k] + sigma[0] ** 2 * np.eye(dimension)) for k in chosen]
    )
    x = rounded(alpha[0] * centres[chosen] + np.einsum("bij,bj->bi", spread, noise))
    gradient = rounded(rng.normal(size=(batch, dimension)))
    ends = {"t_start": np.full(batch, t_start), "t_end": np.full(batch, t_end)}
    noised = {"t": np.full(batch, t_start), "alpha": alpha, "sigma": sigma}
    return Problem(
        scenario=family,
        description=f"from {t_start:g} to {t_end:g} under {schedule.name}",
        schedule=schedule,
        values={**values, **ends, **noised, "x": x, "v": gradient, "x0": centres[chosen], "loss_grad": gradient},
        seed=int(rng.integers(2**32)),
    )


def rounded(values: Array) -> Array:
    """Return the nearest numbers of eight significant bits."""
    mantissas, exponents = np.frexp(values)
    return np.ldexp(np.round(np.ldexp(mantissas, _BITS)), exponents - _BITS)
