"""A variance-preserving schedule known at the steps 0, 1, ..., N-1, made continuous."""

from abc import abstractmethod
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from afi_reference.schedules.arithmetic import is_numpy, softplus
from afi_reference.schedules.formula_schedule import VariancePreserving
from afi_reference.schedules.schedule import Array

Column: TypeAlias = npt.NDArray[np.longdouble]


@dataclass(frozen=True, eq=False)
class Table:
    """What the steps determine, each of shape (N,), in longdouble.

    ``log_alpha_bar``, ``alpha_bar`` and ``one_minus_alpha_bar`` are the values at the steps; ``slope``,
    ``curve`` and ``twist`` the cubic ``log alpha_bar(k + s) - log alpha_bar(k) = s (slope + s (curve +
    s twist))`` for s in [0, 1). The last step has no cubic: its ``curve`` and ``twist`` are 0.
    """

    log_alpha_bar: Column
    alpha_bar: Column
    one_minus_alpha_bar: Column
    slope: Column
    curve: Column
    twist: Column


def interpolate(log_alpha_bar: Column, alpha_bar: Column, one_minus_alpha_bar: Column, fall: Column) -> Table:
    """Return the monotone cubic Hermite interpolant (PCHIP) of ``log alpha_bar``.

    The slope at an inner step is the harmonic mean of the differences on its two sides (Fritsch & Butland
    1984); at the ends it is ``(3 first - second)/2`` of the two nearest differences, kept between a third
    and three times the first. So the interpolant has a continuous, strictly negative derivative: ``f < 0``
    and ``g2 > 0`` exist everywhere and are continuous.

    Parameters
    ----------
    log_alpha_bar, alpha_bar, one_minus_alpha_bar
        The values at the steps, each of shape (N,), N >= 2. They say the same thing, each to full relative
        accuracy.
    fall
        Differences of neighbours of ``log_alpha_bar``, shape (N-1,), all negative.
    """
    slope = np.empty_like(log_alpha_bar)
    slope[1:-1] = 2 / (1 / fall[:-1] + 1 / fall[1:])
    slope[0] = _end_slope(fall[0], fall[min(1, len(fall) - 1)])
    slope[-1] = _end_slope(fall[-1], fall[max(-2, -len(fall))])
    zero = np.zeros(1, dtype=np.longdouble)
    curve = np.concatenate([3 * fall - 2 * slope[:-1] - slope[1:], zero])
    twist = np.concatenate([slope[:-1] + slope[1:] - 2 * fall, zero])
    return Table(log_alpha_bar, alpha_bar, one_minus_alpha_bar, slope, curve, twist)


class InterpolatedVP(VariancePreserving):
    """The formulas on a ``Table``; time is counted in steps, t in [0, N-1]."""

    @property
    @abstractmethod
    def table(self) -> Table:
        """The steps and the cubics between them."""

    @property
    def t_max(self) -> float:
        """The last step, N - 1."""
        return float(len(self.table.alpha_bar) - 1)

    def alpha_bar(self, t: Array) -> Array:
        """``alpha^2``, of the shape of ``t``; at whole steps the tabulated numbers themselves."""
        return self._at_time(self._alpha_bar, t)

    def _alpha_bar(self, xp: ModuleType, t: Array) -> Array:
        step, part = self._locate(xp, t)
        return self._column("alpha_bar", xp, t, step) * xp.exp(self._change(xp, step, part))

    def _alpha(self, xp: ModuleType, t: Array) -> Array:
        step, part = self._locate(xp, t)
        return xp.sqrt(self._column("alpha_bar", xp, t, step)) * xp.exp(self._change(xp, step, part) / 2)

    def _sigma(self, xp: ModuleType, t: Array) -> Array:
        return xp.sqrt(self._sigma2(xp, t))

    def _log_snr(self, xp: ModuleType, t: Array) -> Array:
        step, part = self._locate(xp, t)
        log_alpha_bar = self._column("log_alpha_bar", xp, t, step) + self._change(xp, step, part)
        return log_alpha_bar - xp.log(self._sigma2(xp, t))

    def _f(self, xp: ModuleType, t: Array) -> Array:
        step, part = self._locate(xp, t)
        return self._change_rate(xp, step, part) / 2

    def _time(self, xp: ModuleType, lam: Array) -> Array:
        target = -softplus(xp, -lam)
        knots = self._whole_column("log_alpha_bar", xp, lam)
        step = xp.searchsorted(-knots, -target, side="right") - 1
        step = xp.clip(step, 0, int(self.t_max) - 1)
        rest = target - knots[step]
        # Newton inside of a bracket, bisection where it would leave. Most steps need three rounds; the count
        # is that of pure bisection in longdouble, because values cannot be looked at while tracing.
        low, high = xp.zeros_like(target), xp.ones_like(target)
        part = low + 0.5
        for _ in range(64):
            excess = self._change(xp, step, part) - rest
            low = xp.where(excess > 0, part, low)
            high = xp.where(excess > 0, high, part)
            newton = part - excess / self._change_rate(xp, step, part)
            part = xp.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        return xp.astype(step, lam.dtype) + part

    def _sigma2(self, xp: ModuleType, t: Array) -> Array:
        # Both terms are positive, so sigma keeps its digits where alpha_bar is close to 1.
        step, part = self._locate(xp, t)
        lost = self._column("alpha_bar", xp, t, step) * xp.expm1(self._change(xp, step, part))
        return self._column("one_minus_alpha_bar", xp, t, step) - lost

    def _locate(self, xp: ModuleType, t: Array) -> tuple[Array, Array]:
        whole = xp.floor(t)
        # Indices of unchecked arrays may be out of range, which some backends read as memory errors.
        index = xp.clip(xp.astype(whole, xp.int32), 0, int(self.t_max))
        return index, t - whole

    def _change(self, xp: ModuleType, step: Array, part: Array) -> Array:
        slope, curve, twist = (self._column(name, xp, part, step) for name in ("slope", "curve", "twist"))
        return part * (slope + part * (curve + part * twist))

    def _change_rate(self, xp: ModuleType, step: Array, part: Array) -> Array:
        slope, curve, twist = (self._column(name, xp, part, step) for name in ("slope", "curve", "twist"))
        return slope + part * (2 * curve + part * (3 * twist))

    def _column(self, name: str, xp: ModuleType, like: Array, step: Array) -> Array:
        return self._whole_column(name, xp, like)[step]

    def _whole_column(self, name: str, xp: ModuleType, like: Array) -> Array:
        column: Column = getattr(self.table, name)
        if is_numpy(like):
            return column.astype(like.dtype)
        device = {"device": like.device} if xp.__name__.endswith("torch") else {}
        return xp.asarray(column.astype(np.float64), dtype=like.dtype, **device)


def _end_slope(first: Any, second: Any) -> Any:
    return np.clip((3 * first - second) / 2, 3 * first, first / 3)
