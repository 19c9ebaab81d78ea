"""Thins the points of a check to a few bins along an axis, without losing the worst of any bin."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from afi_verify.results import Point

_STEPS = (1.0, 2.0, 4.0, 5.0, 8.0)


@dataclasses.dataclass(frozen=True)
class Grid:
    """Bins of equal width that cover the log-SNR of the points of a check."""

    start: float
    width: float
    count: int

    @property
    def stop(self) -> float:
        """The upper edge of the last bin, which belongs to it."""
        return self.start + self.count * self.width

    def floor(self, log_snr: float) -> float:
        """Return the lower edge of the bin that holds ``log_snr``."""
        index = math.floor((log_snr - self.start) / self.width)
        return self.start + min(index, self.count - 1) * self.width


@dataclasses.dataclass(frozen=True)
class Bin:
    """The points of a check whose place on the axis lies between ``low`` and ``high``."""

    low: float
    high: float
    points: int
    telling: int  # with a margin above 1
    median: float  # inf where at least half of the answers were not finite
    worst: float
    worst_at: float


def make_grid(points: Iterable[Point], most: int) -> Grid:
    """Return the bins of the smallest round width, at most ``most`` of them, that cover the points."""
    places = [point.log_snr for point in points if math.isfinite(point.log_snr)]
    low, high = (min(places), max(places)) if places else (-1.0, 1.0)
    scale = 1.0
    while True:
        for step in _STEPS:
            width = step * scale
            start = math.floor(low / width)
            count = max(1, math.ceil(high / width) - start)
            if count <= most:
                return Grid(start=start * width, width=width, count=count)
        scale *= 10.0


def thin(points: Iterable[Point], grid: Grid) -> tuple[Bin, ...]:
    """Group points into bins of log-SNR and keep median and worst of each.

    A NaN counts as an infinite error: it never passes, so it must never vanish in a median either.
    Points whose log-SNR is infinite (an end of the schedule) get a bin of their own, and so do those
    whose log-SNR is not a number: no point is dropped.

    Parameters
    ----------
    points : iterable of Point
        The points of one check.
    grid : Grid
        The bins, from `make_grid`.

    Returns
    -------
    tuple of Bin
        The bins that are not empty, by rising log-SNR.
    """
    groups: dict[float, list[Point]] = {}
    for point in points:
        # One NaN object for all: as a key, a NaN equals only itself.
        place = math.nan if math.isnan(point.log_snr) else point.log_snr
        groups.setdefault(grid.floor(place) if math.isfinite(place) else place, []).append(point)
    lows = sorted(groups, key=lambda low: (math.isnan(low), low))
    return tuple(_summarise(low, low + grid.width, groups[low], lambda point: point.log_snr) for low in lows)


def thin_by_size(points: Sequence[Point], size: Callable[[Point], int], most: int) -> tuple[Bin, ...]:
    """Group points by a size, as `thin` does by log-SNR: a bin per value, or per power of two if there are many.

    Parameters
    ----------
    points : sequence of Point
        The points of one check.
    size : callable
        The dimension or the number of atoms of a point.
    most : int
        Values that get a bin each.

    Returns
    -------
    tuple of Bin
        The bins that are not empty, by rising size; ``low`` and ``high`` are sizes that occur.
    """
    values = {size(point) for point in points}
    groups: dict[int, list[Point]] = {}
    for point in points:
        value = size(point)
        groups.setdefault(value if len(values) <= most else max(value, 0).bit_length(), []).append(point)
    return tuple(
        _summarise(min(map(size, group)), max(map(size, group)), group, size) for _, group in sorted(groups.items())
    )


def _summarise(low: float, high: float, points: Sequence[Point], place: Callable[[Point], float]) -> Bin:
    errors = [math.inf if math.isnan(point.error) else point.error for point in points]
    worst = max(range(len(points)), key=errors.__getitem__)
    return Bin(
        low=low,
        high=high,
        points=len(points),
        telling=sum(point.margin > 1 for point in points),
        median=statistics.median(errors),
        worst=points[worst].error,
        worst_at=place(points[worst]),
    )
