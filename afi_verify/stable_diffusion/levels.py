"""Which noise levels are looked at."""

from collections.abc import Sequence

import numpy as np

from afi_reference.schedules.schedule import Schedule
from afi_verify.errors import UnusableError


def spread_times(schedule: Schedule, count: int) -> list[float]:
    """Return ``count`` whole timesteps from little noise to much, evenly spread in log-SNR.

    From the second step of the scheduler to the last but one: between the ends, so that there is room for a difference
    on both sides, and close to them, where mistakes in the index of a table show most.
    """
    first, last = schedule.t_min + 1, schedule.t_max - 1
    signal = np.linspace(float(schedule.log_snr(first)), float(schedule.log_snr(last)), count)
    times = np.rint([float(schedule.time_of_log_snr(lam)) for lam in signal])
    return sorted({float(min(max(t, first), last)) for t in times})


def parse_times(text: str, schedule: Schedule) -> list[float]:
    """Return the timesteps of ``"1, 250, 999"``.

    Raises
    ------
    UnusableError
        If one is no number, or outside what the checks can use.
    """
    try:
        times = [float(part) for part in text.split(",")]
    except ValueError:
        raise UnusableError(f"{text!r} are no timesteps; write for example 1,250,500.") from None
    require_times(times, schedule)
    return sorted(set(times))


def require_times(times: Sequence[float], schedule: Schedule) -> None:
    """Check that the noise level exists around each timestep.

    Raises
    ------
    UnusableError
        If it does not.
    """
    low, high = schedule.t_min + 1, schedule.t_max - 1
    for t in times:
        if not low <= t <= high:
            raise UnusableError(f"The timestep {t:g} is outside of {low:g} to {high:g}, what this scheduler allows.")
