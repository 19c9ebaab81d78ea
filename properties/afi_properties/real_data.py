"""Real data as atoms, over the whole range of noise: scikit-learn's handwritten digits, or anybody's own."""

import functools
import zlib
from collections.abc import Iterator

import numpy as np

from afi_properties.noise_levels import noise_at, time_near_log_snr
from afi_properties.problem import Array, Problem
from afi_reference.distribution import as_float_array, normalised_weights
from afi_reference.schedules import LogSNRLinear

LOG_SNRS = tuple(range(-20, 21, 2))
"""The noise levels: 21 of them."""


@functools.cache
def load_digits_atoms() -> Array:
    """Return the 1,797 digits, shape (1797, 64), rescaled from 0..16 to [-1, 1]."""
    from sklearn.datasets import load_digits

    atoms: Array = load_digits().data / 8 - 1
    atoms.setflags(write=False)
    return atoms


def noised_problems(scenario: str, atoms: Array, weights: Array | None, seed: int) -> Iterator[Problem]:
    """Yield one problem of one point per noise level.

    At every other level the point is noised from a random atom, at the others from halfway between an atom and its
    nearest neighbour: there the posterior is shared at high SNR, too, where a noised atom's is not.

    Raises
    ------
    ValueError
        If the atoms are not finite numbers of shape (N, d), or the weights are not a distribution on them.
    """
    atoms = as_float_array(atoms, "data")
    if atoms.ndim != 2 or 0 in atoms.shape:
        raise ValueError(f"data must have shape (N, d), one atom per row; got {atoms.shape}.")
    weights = normalised_weights(weights, len(atoms))
    schedule = LogSNRLinear()
    rng = np.random.default_rng([seed, 3])
    identity = zlib.crc32(atoms.tobytes() + weights.tobytes())
    for level, log_snr in enumerate(LOG_SNRS):
        times = np.array([time_near_log_snr(schedule, log_snr)])
        alpha, sigma = noise_at(schedule, times)
        chosen, end = rng.integers(0, len(atoms), 2)
        other = chosen if level % 2 == 0 else _nearest_neighbour(atoms, chosen)
        clean = (atoms[[chosen]] + atoms[[other]]) / 2
        yield Problem(
            scenario=scenario,
            description=f"{len(atoms)} atoms of {scenario}, {schedule.name}",
            schedule=schedule,
            values={
                "x": alpha[:, None] * clean + sigma[:, None] * rng.standard_normal(clean.shape),
                "v": rng.standard_normal(clean.shape),
                "x0": atoms[[end]],
                "t": times,
                "alpha": alpha,
                "sigma": sigma,
                "data": atoms,
                "weights": weights,
            },
            seed=seed + log_snr + 20,
            key=(scenario, identity, seed, log_snr),
        )


def _nearest_neighbour(atoms: Array, index: int) -> int:
    distances = ((atoms - atoms[index]) ** 2).sum(axis=1)
    distances[distances == 0] = np.inf  # itself, and its copies
    return index if np.isinf(distances).all() else int(np.argmin(distances))
