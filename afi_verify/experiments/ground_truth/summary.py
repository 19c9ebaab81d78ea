"""From the cells to numbers with intervals, and to sentences that are only said if the numbers support them.

Networks are independent, so what varies between them is judged by Student's t over the cells of a problem. Errors are
compared as logarithms of ratios, network by network: a sentence needs an interval of :data:`SURE` that excludes a ratio
of 1.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

SHOWN, SURE = 0.95, 0.99
"""Confidence of the intervals that are shown, and of those behind a sentence."""

FLOOR = 1e-6
"""Relative errors below this are all the same."""

Cell = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over networks with its interval; the ends are equal to it where there is one network."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2g} ({self.low:.2g} to {self.high:.2g})"


def estimate(values: Sequence[float], confidence: float = SHOWN) -> Estimate:
    """Return the mean of independent numbers with Student's interval."""
    array = np.asarray(values, dtype=float)
    mean = float(array.mean())
    if len(array) < 2:
        return Estimate(mean, mean, mean)
    reach = float(stats.t.ppf((1 + confidence) / 2, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array)))
    return Estimate(mean, mean - reach, mean + reach)


def error_estimate(values: Sequence[float], confidence: float = SHOWN) -> Estimate:
    """Return the geometric mean of errors, with the interval of their logarithms."""
    logs = estimate([math.log(max(value, FLOOR)) for value in values], confidence)
    # Of two networks the interval can be wider than floats are.
    return Estimate(*(math.exp(min(max(value, -50.0), 50.0)) for value in (logs.mean, logs.low, logs.high)))


def compare(first: Sequence[float], second: Sequence[float]) -> int:
    """Return -1 where the first errors are surely smaller, 1 where larger, 0 where that is undecided."""
    if len(first) < 2:
        return 0
    ratios = [math.log(max(a, FLOOR) / max(b, FLOOR)) for a, b in zip(first, second, strict=True)]
    found = estimate(ratios, SURE)
    return -1 if found.high < 0 else 1 if found.low > 0 else 0


def cells_of(document: Mapping[str, Any], problem: str) -> list[Cell]:
    """Return the cells of a problem, one per network."""
    return [cell for cell in document["cells"] if cell["problem"] == problem]


def levels_of(document: Mapping[str, Any], problem: str) -> list[float]:
    """Return the noise levels of a problem."""
    return [row["log_snr"] for row in cells_of(document, problem)[0]["fields"]]


def errors_at(document: Mapping[str, Any], problem: str, kind: str, method: str, log_snr: float) -> list[float]:
    """Return one error per network, of ``kind`` ``"operator"``, ``"trace"`` or ``"population"``."""
    return [
        row[kind][method] for cell in cells_of(document, problem) for row in cell["fields"] if row["log_snr"] == log_snr
    ]


def verdicts(document: Mapping[str, Any], problem: str, kind: str, first: str, second: str) -> dict[float, int]:
    """Compare two methods at each noise level; see :func:`compare`."""
    return {
        level: compare(
            errors_at(document, problem, kind, first, level), errors_at(document, problem, kind, second, level)
        )
        for level in levels_of(document, problem)
    }


def say(first: str, second: str, what: str, where: str, found: Mapping[float, int]) -> str:
    """Say at which noise levels ``first`` is nearer ``what`` than ``second``."""
    nearer, farther, open_ = ([level for level, sign in found.items() if sign == s] for s in (-1, 1, 0))
    parts = []
    if nearer:
        parts.append(f"nearer {what} than {second} at log-SNR {_listed(nearer)}")
    if farther:
        parts.append(
            f"farther from it at {_listed(farther)}"
            if nearer
            else f"farther from {what} than {second} at log-SNR {_listed(farther)}"
        )
    if not parts:
        return f"{where}: whether {first} is nearer {what} than {second} is undecided at every noise level."
    rest = f" (undecided at {_listed(open_)})" if open_ else ""
    return f"{where}: {first} is {' and '.join(parts)}{rest}."


def likelihood_errors(document: Mapping[str, Any], problem: str, method: str, steps: int) -> list[float]:
    """Return one error per network, in bits per dimension."""
    return [
        row["error"]
        for cell in cells_of(document, problem)
        for row in cell["likelihood"]
        if (row["method"], row["steps"]) == (method, steps)
    ]


def fitted_rates(document: Mapping[str, Any], problem: str) -> list[float]:
    """Return, per network, the p of a least-squares fit ``excess = c steps^-p``."""
    rates = []
    for cell in cells_of(document, problem):
        steps = np.log([row["steps"] for row in cell["learning"]])
        excess = np.log([max(row["relative"], FLOOR) for row in cell["learning"]])
        rates.append(-float(np.polyfit(steps, excess, 1)[0]))
    return rates


def tally(document: Mapping[str, Any], kind: str, first: str, second: str) -> tuple[int, int, int]:
    """Count the (problem, noise level) pairs at which ``first`` is surely nearer, surely farther, and all."""
    signs = [sign for name in document["problems"] for sign in verdicts(document, name, kind, first, second).values()]
    return signs.count(-1), signs.count(1), len(signs)


def numbers(cells: Iterable[Cell], *keys: str) -> list[float] | None:
    """Return the number at a path of keys in each cell, or ``None`` where one has none there."""
    found = []
    for cell in cells:
        value: Any = cell
        for key in keys:
            value = value[key]
        if value is None:
            return None
        found.append(float(value))
    return found


def _listed(levels: Sequence[float]) -> str:
    return ", ".join(f"{level:g}" for level in levels)
