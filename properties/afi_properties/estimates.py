"""Cases for random estimates of a trace: ones on which a bias of 1 % shows after few answers.

How many answers it takes is proportional to the variance over the squared trace. That is small in many dimensions,
where the trace is of the size of d and the Jacobian's other entries are small. And yet wrong probes must show: the
Jacobian of "lopsided" epsilon has positive entries everywhere, too small to scatter the answers and too many not to
shift them where the probes' entries are correlated.
"""

from collections.abc import Iterator

import numpy as np

from afi_properties.choices import VERSION, number, pick, require_version, sizes_from, whole_number
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


def estimate_problems(eps_kinds: tuple[str, ...], dimension: int | None, count: int, seed: int) -> Iterator[Problem]:
    """Yield ``count`` problems of two points for each function that plays epsilon, at noise levels dealt out evenly.

    Parameters
    ----------
    dimension
        Of the points; of their own choice when ``None``.
    """
    rng = np.random.default_rng([seed, 6])
    for kind in eps_kinds:
        for log_snr in np.linspace(*LOG_SNR_RANGE, count + 1)[:-1] + rng.uniform(0, (8 / count)):
            yield estimate_problem(kind, dimension or DIMENSIONS[kind], float(log_snr), int(rng.integers(2**32)))


def simpler_estimates(problem: Problem, dimension: int | None = None) -> Iterator[Problem]:
    """Yield problems in few dimensions and with few atoms, the simplest first: gross faults show there, too.

    Not in one: there signs for probes are no chance. Of ``dimension``, where that is given.
    """
    log_snr = float(problem.log_snr[0])
    for d in (2, 3) if dimension is None else (dimension,):
        for seed in range(2):
            yield estimate_problem(problem.eps_kind, d, log_snr, seed, atoms=2)


def is_simple(problem: Problem) -> bool:
    """Whether it is one of :func:`simpler_estimates`: estimates scatter too much for a bias of 1 % to show."""
    return problem.atoms < ATOMS


def estimate_problem(eps_kind: str, dimension: int, log_snr: float, seed: int, atoms: int = ATOMS) -> Problem:
    """Return one problem of two points, the same numbers whenever it is called."""
    rng, schedule, log_snr = np.random.default_rng([seed, 6]), LogSNRLinear(), round(log_snr, 2) + 0.0
    # One noise level for both points: an adapter may take a number.
    times = np.full(2, time_near_log_snr(schedule, log_snr))
    alpha, sigma = noise_at(schedule, times)
    weights = np.full(atoms, 1 / atoms)
    radius = float(np.sqrt(POSTERIOR_PART * dimension))
    placed, deviation = place_atoms(rng, "shared", weights, dimension, radius)
    data = sigma[0] / alpha[0] * placed
    return Problem(
        scenario="dirac",
        description=f"{eps_kind} epsilon, {schedule.name}",
        schedule=schedule,
        values={
            "x": sigma[:, None] * deviation * rng.standard_normal((2, dimension)),
            "v": rng.standard_normal((2, dimension)),
            "x0": data[:2],
            "t": times,
            "alpha": alpha,
            "sigma": sigma,
            "data": data,
            "weights": weights,
        },
        eps_kind=eps_kind,
        seed=seed,
        id=f"{VERSION}_estimate_{eps_kind}_2x{atoms}x{dimension}_{schedule.name}@{log_snr:g}_s{seed}",
    )


def estimate_from_id(text: str) -> Problem:
    """Return the case that an id stands for.

    Raises
    ------
    ValueError
        If it is not the id of such a case.
    """
    require_version(text)
    words = text.split("_")
    if len(words) != 6:
        raise ValueError(f"case id {text!r} has {len(words)} parts, and this kind of case has 6.")
    _, atoms, dimension = sizes_from(text, words[3])
    log_snr = number(text, "log-SNR", words[4].rpartition("@")[2])
    kind = pick(text, "epsilon", words[2], DIMENSIONS)
    return estimate_problem(kind, dimension, log_snr, whole_number(text, "seed", words[5], "s"), max(2, atoms))
