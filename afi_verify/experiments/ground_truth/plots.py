"""Lines with error bars, as Vega-Lite."""

from typing import Any


def line_plot(
    values: list[dict[str, Any]], x: str, title: str, x_scale: str = "linear", lowest: float = 1e-4
) -> dict[str, Any]:
    """Return lines of ``error`` with bars from ``low`` to ``high``, one per ``method``, on a logarithmic axis."""
    across = {"field": x, "type": "quantitative", "scale": {"type": x_scale, "zero": False}}
    colour = {"field": "method", "type": "nominal"}
    scale = {"type": "log", "domainMin": lowest, "clamp": True}
    return {
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "line", "point": {"size": 20}, "clip": True},
                "encoding": {
                    "x": across,
                    "y": {"field": "error", "type": "quantitative", "title": title, "scale": scale},
                    "color": colour,
                },
            },
            {
                "mark": {"type": "rule", "clip": True},
                "encoding": {
                    "x": across,
                    "y": {"field": "low", "type": "quantitative", "scale": scale},
                    "y2": {"field": "high"},
                    "color": colour,
                },
            },
        ],
    }
