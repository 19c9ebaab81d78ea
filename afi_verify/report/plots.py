"""The plots of a study: numbers that the page's script draws, with a description for who does not see them."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis: its title, whether it is logarithmic, and ends beyond which points stand at its edge."""

    title: str
    log: bool = False
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True)
class Series:
    """Some points of one name: ``(x, y)``, or ``(x, y, low, high)`` with an error bar; a y of None is left out."""

    name: str
    points: tuple[tuple[float | None, ...], ...]
    line: bool = True  # whether the points are joined


@dataclasses.dataclass(frozen=True)
class Plot:
    """A plot, and the sentence that says what it shows. Plots of one section share their legend."""

    caption: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    limit: float | None = None  # drawn across the plot
    limit_name: str = "limit"

    @property
    def data(self) -> str:
        """The plot as JSON, for the page's script."""
        document = {
            "x": _axis(self.x),
            "y": _axis(self.y),
            "limit": _short(self.limit),
            "limitName": self.limit_name,
            "series": [
                [s.name, int(s.line), [[_short(value) for value in point] for point in s.points]] for s in self.series
            ],
        }
        return json.dumps(
            {k: v for k, v in document.items() if v is not None}, separators=(",", ":"), ensure_ascii=False
        )


@dataclasses.dataclass(frozen=True)
class Gallery:
    """A row of small pictures, each a title and a data URL, and the sentence that says what they show."""

    caption: str
    pictures: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if not all(url.startswith("data:image/") for _, url in self.pictures):
            raise ValueError("a picture is the data URL of an image, data:image/...: a page fetches nothing.")


def series_of(
    rows: Iterable[Mapping[str, Any]], x: str, y: str, name: str, bars: tuple[str, str] | None = None, line: bool = True
) -> tuple[Series, ...]:
    """Return a series per value of the column ``name``, in the order in which they occur.

    Parameters
    ----------
    rows : iterable of mapping
        One per point.
    x, y, name : str
        Columns.
    bars : (str, str), optional
        The columns of the ends of the error bars.
    line : bool
        Whether the points of a series are joined.

    Returns
    -------
    tuple of Series
        What was asked for.
    """
    groups: dict[str, list[tuple[float | None, ...]]] = {}
    for row in rows:
        groups.setdefault(str(row[name]), []).append(tuple(row[column] for column in (x, y, *(bars or ()))))
    return tuple(Series(key, tuple(points), line) for key, points in groups.items())


def _axis(axis: Axis) -> list[Any]:
    ends = [_short(axis.low), _short(axis.high)]
    while ends and ends[-1] is None:
        ends.pop()
    return [axis.title, int(axis.log), *ends]


def _short(value: float | None) -> float | str | None:
    if value is None:
        return None
    if not math.isfinite(value):
        return str(value)
    return int(value) if float(value).is_integer() and abs(value) < 1e6 else float(f"{value:.4g}")
