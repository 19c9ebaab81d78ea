"""Lines with error bars, one per method."""

from collections.abc import Iterable, Mapping
from typing import Any

from afi_verify.report.study import Axis, Plot, series_of


def line_plot(
    caption: str, rows: Iterable[Mapping[str, Any]], x: str, title: str, *, log_x: bool = False, lowest: float = 1e-4
) -> Plot:
    """Return lines of ``error`` with bars from ``low`` to ``high``, one per ``method``, on a logarithmic axis."""
    series = series_of(rows, x, "error", "method", bars=("low", "high"))
    return Plot(caption, Axis(x, log_x), Axis(title, True, lowest), series)
