"""The base of every schedule: checks and array kinds once, so that a schedule is nothing but its formulas."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from afi_reference.schedules.arithmetic import (
    as_floats,
    is_numpy,
    like,
    logistic_roots,
    namespace,
    require_between,
)
from afi_reference.schedules.schedule import Array

Formula: TypeAlias = Callable[[ModuleType, Array], Any]
"""A function of an array namespace and an array: one result or a tuple of results."""


class FormulaSchedule(ABC):
    """A schedule given by formulas that read ``(xp, t)``: an array namespace, and times of a float dtype.

    The formulas compute constants from ``t`` (``xp.full_like(t, self.beta_max) - self.beta_min``), so that
    parameters count as exact and the precision is that of ``t``.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What reports call it."""

    @property
    def t_min(self) -> float:
        """The first time, with the least noise."""
        return 0.0

    @property
    def t_max(self) -> float:
        """The last time, with the most noise."""
        return 1.0

    def alpha(self, t: Array) -> Array:
        """Signal scale (eq. 1), of the shape of ``t``."""
        return self._at_time(self._alpha, t)

    def sigma(self, t: Array) -> Array:
        """Noise scale (eq. 1), of the shape of ``t``, in the unit of the data."""
        return self._at_time(self._sigma, t)

    def log_snr(self, t: Array) -> Array:
        """``log(alpha^2 / sigma^2)``, of the shape of ``t``; infinite where alpha or sigma is 0."""
        return self._at_time(self._log_snr, t)

    def f(self, t: Array) -> Array:
        """Drift ``d log(alpha) / dt`` (eq. 2), of the shape of ``t``, per unit of time."""
        return self._at_time(self._f, t)

    def g2(self, t: Array) -> Array:
        """Squared diffusion ``d sigma^2 / dt - 2 f sigma^2`` (eq. 2), of the shape of ``t``."""
        return self._at_time(self._g2, t)

    def rates(self, t: Array) -> tuple[Array, Array]:
        """``(d alpha / dt, d sigma / dt)``, each of the shape of ``t``."""
        alpha_rate, sigma_rate = self._at_time(self._rates, t)
        return alpha_rate, sigma_rate

    def time_of_log_snr(self, lam: Array) -> Array:
        """Time at which the log-SNR is ``lam``, of the shape of ``lam``.

        Raises
        ------
        ValueError
            If ``lam`` (a float or NumPy array) is not between the schedule's last and first log-SNR.
        """
        time = self._at_log_snr(self._time, lam)
        # The inverse of an end may round to just outside of the domain. Arrays that may be traced stay as
        # they are: clipping would hide a log-SNR that is out of range.
        if not is_numpy(lam):
            return time
        return like(lam, np.clip(time, self.t_min, self.t_max))

    def noise_at_log_snr(self, lam: Array) -> tuple[Array, Array]:
        """``(alpha, sigma)`` at the log-SNR ``lam``, each of the shape of ``lam``.

        More accurate than going through the time, which near t = 1 no longer resolves alpha.

        Raises
        ------
        ValueError
            If ``lam`` (a float or NumPy array) is not between the schedule's last and first log-SNR.
        """
        alpha, sigma = self._at_log_snr(self._noise, lam)
        return alpha, sigma

    @abstractmethod
    def _alpha(self, xp: ModuleType, t: Array) -> Array: ...

    @abstractmethod
    def _sigma(self, xp: ModuleType, t: Array) -> Array: ...

    @abstractmethod
    def _log_snr(self, xp: ModuleType, t: Array) -> Array: ...

    @abstractmethod
    def _f(self, xp: ModuleType, t: Array) -> Array: ...

    @abstractmethod
    def _g2(self, xp: ModuleType, t: Array) -> Array: ...

    @abstractmethod
    def _rates(self, xp: ModuleType, t: Array) -> tuple[Array, Array]: ...

    @abstractmethod
    def _time(self, xp: ModuleType, lam: Array) -> Array: ...

    @abstractmethod
    def _noise(self, xp: ModuleType, lam: Array) -> tuple[Array, Array]: ...

    def _at_time(self, formula: Formula, t: Array) -> Any:
        if not is_numpy(t):
            return formula(*namespace(t, "t"))
        times = as_floats(t, "t")
        # The ends in the precision of t: float32(0.002) must not fail for being below 0.002.
        low, high = times.dtype.type(self.t_min), times.dtype.type(self.t_max)
        require_between(times, low, high, f"t of the {self.name} schedule")
        return _evaluate(formula, t, times)

    def _at_log_snr(self, formula: Formula, lam: Array) -> Any:
        if not is_numpy(lam):
            return formula(*namespace(lam, "lam"))
        levels = as_floats(lam, "lam")
        dtype = levels.dtype.type
        ends = np.array([self.t_max, self.t_min], dtype=dtype)
        low, high = _evaluate(self._log_snr, ends, ends)
        # The first and last log-SNR, however the caller came by them, are in the range.
        slack = 8 * np.finfo(dtype).eps
        low, high = low - slack * max(1, abs(low)), high + slack * max(1, abs(high))
        require_between(levels, low, high, f"The log-SNR of the {self.name} schedule")
        return _evaluate(formula, lam, levels)


class VariancePreserving(FormulaSchedule):
    """The part that all schedules with ``alpha^2 + sigma^2 = 1`` share."""

    def _g2(self, xp: ModuleType, t: Array) -> Array:
        # sigma^2 = 1 - alpha^2 turns eq. 2 into -2 f alpha^2 - 2 f sigma^2.
        return -2 * self._f(xp, t)

    def _rates(self, xp: ModuleType, t: Array) -> tuple[Array, Array]:
        alpha = self._alpha(xp, t)
        alpha_rate = alpha * self._f(xp, t)
        return alpha_rate, -alpha_rate * alpha / self._sigma(xp, t)

    def _noise(self, xp: ModuleType, lam: Array) -> tuple[Array, Array]:
        return logistic_roots(xp, lam)


def _evaluate(formula: Formula, original: Any, values: Any) -> Any:
    # The infinities at the ends (log-SNR where sigma = 0, f where alpha = 0) are the answers, not accidents.
    with np.errstate(divide="ignore", over="ignore"):
        result = formula(np, values)
    if isinstance(result, tuple):
        return tuple(like(original, part) for part in result)
    return like(original, result)
