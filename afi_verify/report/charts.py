"""The plots, as plain Vega-Lite: one frame that all checks share, and the numbers of each check."""

import math
from collections.abc import Sequence
from typing import Any

from afi_verify.report.thinning import Bin
from afi_verify.report.wording import number, times

_LOWEST = 0.01
"""Errors below a hundredth of the attainable are drawn here: nobody needs to tell them apart."""

# The colours are custom properties of the page's stylesheet: the SVG follows a change of theme, and the
# light colours of print, without being drawn again.
_TEXT, _FAINT = "var(--muted)", "var(--line)"
_SERIES = {"worst": "var(--plot-worst)", "median": "var(--plot-median)"}


def frame() -> dict[str, Any]:
    """Return the Vega-Lite specification without data, which every plot of the page starts from.

    The page's script adds what differs from plot to plot: the rows, the limit, the description, and the
    domains of both axes.
    """
    x = {
        "field": "x",
        "type": "quantitative",
        "title": "log-SNR",
        "axis": {"grid": False, "tickCount": 9, "minExtent": 0},
        "scale": {"nice": False},
    }
    y = {
        "field": "y",
        "type": "quantitative",
        "title": "error / attainable",
        "axis": {
            "labelExpr": "format(datum.value, datum.value < 100000 ? '~g' : '~e')",
        },
        "scale": {"type": "log", "nice": False},
    }
    colour = {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": list(_SERIES), "range": list(_SERIES.values())},
        "legend": None,
    }
    tooltip = {"field": "tip", "type": "nominal"}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": 200,
        "padding": 4,
        "background": "transparent",
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "transform": [{"filter": "datum.series == 'median' && datum.finite"}],
                "mark": {"type": "line", "strokeWidth": 1.5},
                "encoding": {"color": colour},
            },
            {
                "transform": [{"filter": "datum.series == 'median'"}],
                "mark": {"type": "circle", "size": 18, "opacity": 1},
                "encoding": {"color": colour, "tooltip": tooltip},
            },
            _worst_points(colour, tooltip),
            *_limit_rule(),
        ],
        "config": {
            "font": "system-ui, sans-serif",
            "view": {"stroke": None},
            "axis": {
                "minExtent": 42,
                "labelColor": _TEXT,
                "titleColor": _TEXT,
                "domainColor": _FAINT,
                "tickColor": _FAINT,
                "gridColor": _FAINT,
                "labelFontSize": 11,
                "titleFontSize": 11,
                "titleFontWeight": "normal",
                "titlePadding": 8,
            },
        },
    }


def _worst_points(colour: dict[str, Any], tooltip: dict[str, Any]) -> dict[str, Any]:
    # Filled: some point of the bin could tell right from wrong. A triangle: beyond the axis.
    return {
        "transform": [{"filter": "datum.series == 'worst'"}],
        "mark": {"type": "point", "size": 55, "strokeWidth": 1.5, "opacity": 1},
        "encoding": {
            "color": colour,
            "fill": {
                "condition": {"test": "datum.telling", "value": _SERIES["worst"]},
                "value": "var(--page)",
            },
            "shape": {"condition": {"test": "datum.finite", "value": "circle"}, "value": "triangle-up"},
            "tooltip": tooltip,
        },
    }


def _limit_rule() -> list[dict[str, Any]]:
    # The limit is a row of the data rather than a datum, so that the frame stays free of numbers.
    only = [{"filter": "datum.series == 'limit'"}]
    return [
        {
            "transform": only,
            "mark": {"type": "rule", "stroke": "var(--plot-limit)", "strokeDash": [5, 4], "strokeWidth": 1.5},
            "encoding": {"x": None},
        },
        {
            "transform": only,
            "mark": {"type": "text", "align": "right", "baseline": "bottom", "dy": -4, "fontSize": 11},
            "encoding": {
                "x": {"value": "width"},
                "text": {"field": "tip"},
                "color": {"value": "var(--plot-limit)"},
            },
        },
    ]


def chart(bins: Sequence[Bin], limit: float) -> dict[str, Any]:
    """Return what one plot adds to the `frame`.

    Parameters
    ----------
    bins : sequence of Bin
        The thinned points.
    limit : float
        The largest error that passes, drawn as a rule.

    Returns
    -------
    dict
        ``rows`` as lists (low, median, place of the worst, worst, whether a point of the bin could tell),
        with None for an error that is not finite; ``y`` and ``ticks`` of the error axis; ``limit``.
    """
    shown = [item for item in bins if math.isfinite(item.low)]
    values = [value for item in shown for value in (item.worst, item.median) if math.isfinite(value)]
    rule = limit if math.isfinite(limit) and limit > 0 else 1.0
    low = max(_LOWEST, min([0.3, *(value / 2 for value in values)]))
    high = 3.0 * max([rule, *values])
    return {
        "rows": [
            [
                _short(item.low),
                _short(item.median),
                _short(item.worst_log_snr),
                _short(item.worst),
                int(item.telling > 0),
            ]
            for item in shown
        ],
        "y": [_short(low), _short(high)],
        "ticks": _ticks(low, high),
        "limit": _short(rule),
    }


def _ticks(low: float, high: float) -> list[float]:
    # Vega's own ticks of a logarithmic axis draw a line for each digit, which drowns the points.
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    step = max(1, math.ceil((last - first) / 8))
    ticks = [float(f"1e{exponent}") for exponent in range(first, last + 1) if exponent % step == 0]
    if last - first <= 3:
        ticks += [3 * tick for tick in ticks]
    return sorted(tick for tick in ticks if low <= tick <= high)


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


def _short(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    value = float(f"{value:.3g}")
    return int(value) if value.is_integer() and abs(value) < 1000 else value
