"""Real data: the 1,797 handwritten digits of scikit-learn as atoms, over the whole range of noise."""

import functools
from collections.abc import Iterator

import numpy as np

from afi_properties.noise_levels import noise_at, time_near_log_snr
from afi_properties.problem import Array, Problem
from afi_reference.schedules import LogSNRLinear

LOG_SNRS = tuple(range(-20, 21, 2))
"""The noise levels: 21 of them."""


@functools.cache
def load_atoms() -> Array:
    """Return the digits, shape (1797, 64), rescaled from 0..16 to [-1, 1]."""
    from sklearn.datasets import load_digits

    atoms: Array = load_digits().data / 8 - 1
    atoms.setflags(write=False)
    return atoms


def digits_problems(seed: int) -> Iterator[Problem]:
    """Yield one problem per noise level, of two points each.

    The first point is noised from a random digit. The second is noised from halfway between a digit and its
    nearest neighbour, so that the posterior is shared at high SNR too, where the first one's is not.
    """
    atoms = load_atoms()
    schedule = LogSNRLinear()
    rng = np.random.default_rng([seed, 3])
    for log_snr in LOG_SNRS:
        times = np.full(2, time_near_log_snr(schedule, log_snr))
        alpha, sigma = noise_at(schedule, times)
        chosen, other = rng.integers(0, len(atoms), 2)
        distances = ((atoms - atoms[other]) ** 2).sum(axis=1)
        distances[distances == 0] = np.inf
        clean = np.stack([atoms[chosen], (atoms[other] + atoms[np.argmin(distances)]) / 2])
        yield Problem(
            scenario="digits",
            description="handwritten digits, log-snr-linear",
            schedule=schedule,
            values={
                "x": alpha[:, None] * clean + sigma[:, None] * rng.standard_normal(clean.shape),
                "v": rng.standard_normal(clean.shape),
                "x0": atoms[rng.integers(0, len(atoms), 2)],
                "t": times,
                "alpha": alpha,
                "sigma": sigma,
                "data": atoms,
                "weights": np.full(len(atoms), 1 / len(atoms)),
            },
            seed=seed + log_snr + 20,
            key=("digits", seed, log_snr),
        )
