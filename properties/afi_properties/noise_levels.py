"""Noise levels to test at: a schedule and a time, over log-SNR from -20 to 20."""

import functools

import numpy as np

from afi_properties.problem import Array
from afi_reference import schedules
from afi_reference.schedules import Schedule

LOG_SNR_RANGE = (-20.0, 20.0)

SCHEDULES: tuple[Schedule, ...] = (
    schedules.RectifiedFlow(),
    schedules.LogSNRLinear(),
    schedules.VPLinear(),
    schedules.VPCosine(),
    schedules.StableDiffusion(),
    schedules.VEGeometric(),
    schedules.EDM(),
)
"""Simplest first: a counterexample shrinks towards alpha = sigma = 1/2."""

SCHEDULES_BY_NAME = {schedule.name: schedule for schedule in SCHEDULES}

WHOLE_RANGE = SCHEDULES[1]
"""Takes the place of a schedule that ends before the log-SNR wanted; it is variance preserving, too."""

VARIANCE_PRESERVING: tuple[Schedule, ...] = SCHEDULES[1:5]
"""Those with alpha^2 + sigma^2 = 1, for code that is given alpha^2 alone."""


def time_near_log_snr(schedule: Schedule, log_snr: float) -> float:
    """Return the time with eight significant bits whose log-SNR is nearest to ``log_snr``.

    Eight bits are what bfloat16 holds: so the time is the same number in every precision, and a function of
    time is not judged by how its argument was rounded.
    """
    times, log_snrs = _eight_bit_times(schedule)  # type: ignore[arg-type]  # schedules are frozen dataclasses
    return float(times[np.argmin(np.abs(log_snrs - log_snr))])


@functools.cache
def _eight_bit_times(schedule: Schedule) -> tuple[Array, Array]:
    mantissas, exponents = np.meshgrid(np.arange(128, 256), np.arange(-40, 12))
    times = np.unique(np.ldexp(mantissas.astype(float), exponents))
    times = times[(times > schedule.t_min) & (times < schedule.t_max)]
    log_snrs = np.asarray(schedule.log_snr(times))
    low, high = LOG_SNR_RANGE
    usable = (log_snrs >= low) & (log_snrs <= high)
    return times[usable], log_snrs[usable]


_TELLING = 2.0**-7
"""How far from 1 a number should be for its powers to differ visibly, in float32 too."""


_ROUNDINGS = 2.0**-15
"""A wide margin in float32 is 10 times the limit of 16 roundings of 2^-24, about 2^-17. Four times that, because a
posterior drawn from the simplex leaves a quarter or so of the largest covariance that atoms at a radius can have."""


def resolution(log_snrs: Array, dimension: int, radius: float, offset: float) -> Array:
    """Return which relative error of a covariance term still shows with a wide margin in float32, shape (T,).

    Radius and offset are those of :mod:`~afi_properties.geometry`. A log weight ``|x - alpha y|^2 / (2 sigma^2)`` is
    ``radius^2 / 2``, and rounding it changes the posterior, and so its covariance, by as much. Rounding data at
    an ``offset`` from the origin moves them by ``offset alpha / sigma`` units of the noise in each coordinate, and the
    log weight by ``radius`` times that. And of a trace the covariance is only ``radius^2 / d`` of the whole.
    """
    of_distances = radius**2 / 4 + radius * offset * np.exp(log_snrs / 2)
    return np.asarray(_ROUNDINGS * (of_distances + dimension / radius**2))


@functools.cache
def telling_range(schedule: Schedule, dimension: int, radius: float, offset: float) -> tuple[float, float]:
    """Return the lowest and highest log-SNR at which alpha and sigma are visibly not 1, or are 1 exactly.

    Beyond it a formula with ``alpha`` for ``alpha^2``, say, can hardly be told from the right one in float32: for a
    variance-preserving schedule beyond 4 and -4, or nearer to 0 where the :func:`resolution` is low. Where nothing can
    be told anywhere, both are 0.
    """
    times, log_snrs = _eight_bit_times(schedule)  # type: ignore[arg-type]  # schedules are frozen dataclasses
    visible = np.maximum(_TELLING, resolution(log_snrs, dimension, radius, offset))
    tells = visible < 1
    for values in noise_at(schedule, times):
        tells &= (values == 1) | (np.abs(values - 1) > visible)
    found = log_snrs[tells] if tells.any() else np.zeros(1)
    return min(0.0, float(found.min())), max(0.0, float(found.max()))


def log_snr_at(place: float, ends: tuple[float, float]) -> float:
    """Return the log-SNR at ``place`` from -1 to 1 in the range between ``ends``, which are around 0.

    ``place`` 0 is log-SNR 0, the ends are those of the range. Two decimals: it is part of a case's id.
    """
    low, high = ends
    return round(place * (high if place > 0 else -low), 2) + 0.0


def reaches(schedule: Schedule, log_snr: float) -> bool:
    """Whether the schedule has a noise level within 1 of ``log_snr``."""
    return bool(abs(schedule.log_snr(time_near_log_snr(schedule, log_snr)) - log_snr) < 1)


def noise_at(schedule: Schedule, times: Array) -> tuple[Array, Array]:
    """Return alpha and sigma, each of shape (B,), at ``times`` of shape (B,)."""
    return np.asarray(schedule.alpha(times)), np.asarray(schedule.sigma(times))
