"""Points to ask functions at whose data nobody knows: of a few noise levels, from samples where there are some."""

import re
import zlib

import numpy as np

from afi_properties.choices import VERSION, number, require_version, whole_number
from afi_properties.noise_levels import noise_at, time_near_log_snr
from afi_properties.problem import Array, Problem
from afi_reference.schedules import LogSNRLinear

LOG_SNRS = (0, -3, 3, -6, 6)
"""Noise levels at which they are asked; a trained network knows no more extreme ones."""

BATCHES = (1, 1, 2, 3)


def points_problem(
    batch: int, dimension: int, log_snr: float, seed: int, index: int, samples: Array | None, *, hand_over: bool = False
) -> Problem:
    """Return a problem without data: points noised from samples (N, d), or from a standard normal distribution.

    Parameters
    ----------
    batch, dimension
        How many points, of how many numbers each.
    log_snr
        Of the noise.
    seed, index
        Of the draws; number of the case among those of one seed.
    samples
        Of the data, if there are some.
    hand_over
        Whether the problem has the samples as a value, for a relation that needs them.
    """
    rng, schedule = np.random.default_rng([seed, index]), LogSNRLinear()
    times = np.full(batch, time_near_log_snr(schedule, log_snr))
    alpha, sigma = noise_at(schedule, times)
    clean = rng.standard_normal((batch, dimension))
    if samples is not None:
        clean = samples[rng.integers(0, len(samples), batch)]
    values: dict[str, Array] = {
        "x": alpha[:, None] * clean + sigma[:, None] * rng.standard_normal(clean.shape),
        "v": rng.standard_normal(clean.shape),
        "t": times,
        "alpha": alpha,
        "sigma": sigma,
    }
    if samples is not None and hand_over:
        values["samples"] = samples
    words = [VERSION, "points", f"{batch}x{dimension}@{log_snr:g}", f"s{seed}", f"k{index}"]
    if samples is not None:
        words.append(f"{'with' if hand_over else 'on'}-{_fingerprint(samples)}")
    return Problem(
        "no-oracle",
        f"data unknown, {schedule.name}",
        schedule,
        values,
        seed=int(rng.integers(2**31)),
        id="_".join(words),
    )


def points_from_id(text: str, samples: Array | None = None) -> Problem:
    """Return the problem with the id ``text``; ``samples`` (N, d) are those that it was drawn from, if any.

    Raises
    ------
    ValueError
        If it is not the id of such a case, or one of other samples.
    """
    require_version(text)
    words = text.split("_")
    shape = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,6})@(.+)", words[2]) if len(words) in (5, 6) else None
    if shape is None:
        raise ValueError(f"case id {text!r} is not that of points: a_points_2x16@-3_s17_k4.")
    hand_over = False
    if len(words) == 6:
        way, _, fingerprint = words[5].partition("-")
        hand_over = way == "with"
        if samples is None:
            raise ValueError(f"case id {text!r} is of data of your own: give them again.")
        if fingerprint != _fingerprint(samples):
            raise ValueError(f"case id {text!r} is of other data than these.")
    return points_problem(
        int(shape[1]),
        int(shape[2]),
        number(text, "log-SNR", shape[3]),
        whole_number(text, "seed", words[3], "s"),
        whole_number(text, "index", words[4], "k"),
        samples if len(words) == 6 else None,
        hand_over=hand_over,
    )


def _fingerprint(samples: Array) -> str:
    return f"{zlib.crc32(np.ascontiguousarray(samples, dtype=np.float64).tobytes()):08x}"
