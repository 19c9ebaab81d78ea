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


def noise_at(schedule: Schedule, times: Array) -> tuple[Array, Array]:
    """Return alpha and sigma, each of shape (B,), at ``times`` of shape (B,)."""
    return np.asarray(schedule.alpha(times)), np.asarray(schedule.sigma(times))
