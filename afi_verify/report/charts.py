"""The plots: the numbers that the page's script draws, and what they show in words."""

import json
import math
from collections.abc import Sequence

from afi_verify.report.thinning import Bin, make_grid, thin, thin_by_size
from afi_verify.report.wording import number, times
from afi_verify.results import CheckResult

MOST_BINS = 12
"""In one plot."""


def plot_data(check: CheckResult) -> str:
    """Return the numbers of a check's plots as JSON without a letter in it, but for what is not finite.

    Parameters
    ----------
    check : CheckResult
        A check with at least one point.

    Returns
    -------
    str
        ``[limit, by log-SNR, by dimension, by number of atoms]``. Each of the three is a list of bins
        ``[low, high, points, telling, median, worst, place of the worst]``, with at most three digits per number;
        what is not finite is ``"nan"``, ``"inf"`` or ``"-inf"``.
    """
    axes = (
        bins_of(check),
        thin_by_size(check.points, lambda point: point.dimension, MOST_BINS),
        thin_by_size(check.points, lambda point: point.atoms, MOST_BINS),
    )
    rows = [[_row(item) for item in bins] for bins in axes]
    return json.dumps([_short(check.limit), *rows], separators=(",", ":"))


def bins_of(check: CheckResult) -> tuple[Bin, ...]:
    """Return the bins of log-SNR of a check."""
    return thin(check.points, make_grid(check.points, MOST_BINS))


def _row(item: Bin) -> list[float | str]:
    numbers = (item.low, item.high, item.points, item.telling, item.median, item.worst, item.worst_at)
    return [_short(value) for value in numbers]


def describe(bins: Sequence[Bin], limit: float) -> str:
    """Say in one sentence what the plot shows, for those who do not see it."""
    above = [item for item in bins if not item.worst <= limit]
    if not above:
        return f"The worst error stays within the limit of {times(limit)} at every log-SNR."
    if len(above) == len(bins):
        return f"The worst error exceeds the limit of {times(limit)} at every log-SNR."
    spans: list[list[float]] = []
    for item in above:
        if spans and spans[-1][1] == item.low:
            spans[-1][1] = item.high
        else:
            spans.append([item.low, item.high])
    words = ", ".join(f"{number(low)} to {number(high)}" for low, high in spans)
    return f"The worst error exceeds the limit of {times(limit)} at log-SNR {words}."


def _short(value: float) -> float | str:
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e6:
        return int(value)
    return float(f"{value:.3g}")
