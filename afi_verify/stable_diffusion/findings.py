"""What a check of a model found: a measured value, the tolerance it is held against, and the verdict."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

Verdict: TypeAlias = Literal["pass", "fail", "undecided", "vacuous", "error", "not provided"]

ALARM = 1e-6
"""Probability with which an interval misses what it estimates, were its values normal."""

MULTIPLE = 16.0
"""How many times the measured rounding a deviation may be, as everywhere in afi-verify."""


@dataclasses.dataclass(frozen=True)
class Tolerances:
    """What counts as agreement.

    Attributes
    ----------
    model
        Of what would hold exactly for the score of a diffused distribution, and holds for a trained network as far as
        it is one: relative.
    share
        Of statistical identities of the part of the trace that the posterior covariance makes up: relative to it.
    trace
        Of estimates of one trace: relative to it.
    """

    model: float = 0.05
    share: float = 0.25
    trace: float = 0.01


@dataclasses.dataclass(frozen=True)
class Finding:
    """One check at one noise level, or of a whole trajectory.

    Attributes
    ----------
    value, tolerance
        The deviation that was measured and the one that is allowed, in the same unit; None where there is none.
    detail
        A sentence: what was compared, or why nothing could be.
    numbers
        Everything else worth keeping.
    """

    check: str
    verdict: Verdict
    value: float | None
    tolerance: float | None
    detail: str
    numbers: Mapping[str, float | None] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: a number that is not finite becomes None."""
        row = dataclasses.asdict(self)
        row["value"], row["tolerance"] = _finite(self.value), _finite(self.tolerance)
        row["numbers"] = {name: _finite(number) for name, number in self.numbers.items()}
        return row


def within(
    check: str, value: float, tolerance: float, detail: str, *, useless: float = 0.25, **numbers: Any
) -> Finding:
    """Judge a deviation without chance in it: NaN never passes, and a tolerance that would excuse anything is none.

    Parameters
    ----------
    useless
        From which tolerance on nothing could be told.
    """
    if not math.isfinite(value):
        return Finding(check, "fail", None, tolerance, f"{detail}: not a finite number", numbers)
    if tolerance > useless and value <= tolerance:
        return Finding(check, "vacuous", value, tolerance, f"{detail}: this precision cannot tell", numbers)
    return Finding(check, "pass" if value <= tolerance else "fail", value, tolerance, detail, numbers)


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean and the half-width of its interval."""

    mean: float
    half: float


def interval(values: npt.NDArray[Any], clusters: npt.NDArray[Any] | None = None) -> Interval:
    """Return the mean and its interval by Student's t, missed with probability :data:`ALARM`.

    Parameters
    ----------
    values
        Shape (M,).
    clusters
        Shape (M,): values of one cluster are not independent, and count together as one.
    """
    if clusters is not None:
        names, inverse = np.unique(clusters, return_inverse=True)
        count = np.bincount(inverse, minlength=len(names))
        values = np.bincount(inverse, weights=values, minlength=len(names)) / count
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, math.inf)
    spread = float(np.std(values, ddof=1))
    quantile = float(stats.t.isf(ALARM / 2, len(values) - 1))
    return Interval(mean, quantile * spread / math.sqrt(len(values)))


def judge_mean(check: str, found: Interval, scale: float, tolerance: float, detail: str, **numbers: Any) -> Finding:
    """Judge whether a mean is zero within ``tolerance * scale``.

    ``pass`` if its whole interval is within, ``fail`` if none of it is, ``undecided`` otherwise.
    """
    numbers = {"half_width": found.half / scale if scale else None, **numbers}
    if not (math.isfinite(found.mean) and math.isfinite(scale)) or scale <= 0:
        return Finding(check, "fail", None, tolerance, f"{detail}: not a finite number", numbers)
    value, half = abs(found.mean) / scale, found.half / scale
    if value - half > tolerance:
        return Finding(check, "fail", value, tolerance, detail, numbers)
    if value + half <= tolerance:
        return Finding(check, "pass", value, tolerance, detail, numbers)
    more = f"{detail}: known to ±{half:.2g} only; more samples would decide"
    return Finding(check, "undecided", value, tolerance, more, numbers)


def not_provided(check: str, why: str) -> Finding:
    """Return the finding of a check that was not run, and why."""
    return Finding(check, "not provided", None, None, why)


def _finite(number: float | None) -> float | None:
    return float(number) if number is not None and math.isfinite(number) else None
