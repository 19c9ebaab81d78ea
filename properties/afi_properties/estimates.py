"""Cases for random estimates of a trace: ones on which a bias of 1 % shows after few answers.

How many answers it takes is proportional to the variance over the squared trace. That is small in many dimensions,
where the trace is of the size of d and the Jacobian's other entries are small. And yet wrong probes must show: the
Jacobian of "lopsided" epsilon has positive entries everywhere, too small to scatter the answers and too many not to
shift them where the probes' entries are correlated.
"""

from collections.abc import Iterator

import numpy as np

from afi_properties.geometry import place_atoms
from afi_properties.noise_levels import noise_at, time_near_log_snr
from afi_properties.problem import Problem
from afi_reference.schedules import LogSNRLinear

DIMENSIONS = {"lopsided": 1024, "exact": 256}
ATOMS = 16
POSTERIOR_PART = 0.12
"""What the posterior covariance takes off the trace at most: enough to be missed, little enough to scatter little."""

LOG_SNR_RANGE = (-3.0, 5.0)
"""Where the noise is not nearly 1: a division by sigma that is missing must show."""


def estimate_problems(
    eps_kinds: tuple[str, ...], dimension: int | None, count: int, seed: int, *, num_atoms: int = ATOMS
) -> Iterator[Problem]:
    """Yield ``count`` problems of two points for each function that plays epsilon, at noise levels dealt out evenly.

    Parameters
    ----------
    dimension
        Of the points; of their own choice when ``None``.
    """
    rng = np.random.default_rng([seed, 6])
    schedule = LogSNRLinear()
    for kind in eps_kinds:
        d = dimension or DIMENSIONS[kind]
        for log_snr in np.linspace(*LOG_SNR_RANGE, count + 1)[:-1] + rng.uniform(0, (8 / count)):
            # One noise level for both points: an adapter may take a number.
            times = np.full(2, time_near_log_snr(schedule, float(log_snr)))
            alpha, sigma = noise_at(schedule, times)
            weights = np.full(num_atoms, 1 / num_atoms)
            atoms, deviation = place_atoms(rng, "shared", weights, d, float(np.sqrt(POSTERIOR_PART * d)))
            data = sigma[0] / alpha[0] * atoms
            yield Problem(
                scenario="dirac",
                description=f"{kind} epsilon, {schedule.name}",
                schedule=schedule,
                values={
                    "x": sigma[:, None] * deviation * rng.standard_normal((2, d)),
                    "v": rng.standard_normal((2, d)),
                    "x0": data[[0, -1]],
                    "t": times,
                    "alpha": alpha,
                    "sigma": sigma,
                    "data": data,
                    "weights": weights,
                },
                eps_kind=kind,
                seed=int(rng.integers(2**32)),
            )
