"""Thins the points of a check to a few bins of log-SNR, without losing the worst of any bin."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

from afi_verify.results import Point

FINE, COARSE = 12, 8
"""Bins in one plot at most, on a page with few plots and on one with many, which must stay small."""

_STEPS = (1.0, 2.0, 4.0, 5.0)


@dataclasses.dataclass(frozen=True)
class Bin:
    """The points of a check whose log-SNR lies between ``low`` and ``high``."""

    low: float
    high: float
    points: int
    telling: int  # with a margin above 1
    median: float  # inf where at least half of the answers were not finite
    worst: float
    worst_log_snr: float


def thin(points: Iterable[Point], width: float) -> tuple[Bin, ...]:
    """Group points into bins of log-SNR and keep median and worst of each.

    A NaN counts as an infinite error: it never passes, so it must never vanish in a median either.
    Points whose log-SNR is infinite (an end of the schedule) get a bin of their own.

    Parameters
    ----------
    points : iterable of Point
        The points of one check.
    width : float
        Width of a bin, from `bin_width`.

    Returns
    -------
    tuple of Bin
        The bins that are not empty, by rising log-SNR.
    """
    groups: dict[float, list[Point]] = {}
    for point in points:
        if math.isnan(point.log_snr):
            continue
        low = math.floor(point.log_snr / width) * width if math.isfinite(point.log_snr) else point.log_snr
        groups.setdefault(low, []).append(point)
    return tuple(_summarise(low, low + width, groups[low]) for low in sorted(groups))


def bin_width(points: Iterable[Point], most: int) -> float:
    """Return the smallest round width with which the points fill at most ``most`` bins."""
    places = [point.log_snr for point in points if math.isfinite(point.log_snr)]
    if not places:
        return _STEPS[0]
    low, high = min(places), max(places)
    scale = 1.0
    while True:
        for step in _STEPS:
            width = step * scale
            if math.floor(high / width) - math.floor(low / width) < most:
                return width
        scale *= 10.0


def _summarise(low: float, high: float, points: Sequence[Point]) -> Bin:
    errors = [math.inf if math.isnan(point.error) else point.error for point in points]
    worst = max(range(len(points)), key=errors.__getitem__)
    return Bin(
        low=low,
        high=high,
        points=len(points),
        telling=sum(point.margin > 1 for point in points),
        median=statistics.median(errors),
        worst=points[worst].error,
        worst_log_snr=points[worst].log_snr,
    )
