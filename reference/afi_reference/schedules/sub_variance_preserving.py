"""The sub-VP schedule of Song et al. (2021): less noise than VP at every time, the same signal."""

from dataclasses import dataclass
from types import ModuleType

from afi_reference.schedules.formula_schedule import FormulaSchedule
from afi_reference.schedules.linear_beta import LinearBeta
from afi_reference.schedules.schedule import Array


@dataclass(frozen=True)
class SubVP(LinearBeta, FormulaSchedule):
    """``alpha = exp(-B(t)/2)`` as VP-linear, ``sigma = 1 - alpha^2``, t in [0, 1].

    ``f = -beta(t)/2`` and ``g2 = beta(t) (1 - exp(-2 B(t)))``.
    """

    name: str = "sub-vp"

    def _alpha(self, xp: ModuleType, t: Array) -> Array:
        return xp.exp(-self._integral(xp, t) / 2)

    def _sigma(self, xp: ModuleType, t: Array) -> Array:
        return -xp.expm1(-self._integral(xp, t))

    def _log_snr(self, xp: ModuleType, t: Array) -> Array:
        integral = self._integral(xp, t)
        return -integral - 2 * xp.log(-xp.expm1(-integral))

    def _f(self, xp: ModuleType, t: Array) -> Array:
        return -self._beta(xp, t) / 2

    def _g2(self, xp: ModuleType, t: Array) -> Array:
        return -self._beta(xp, t) * xp.expm1(-2 * self._integral(xp, t))

    def _rates(self, xp: ModuleType, t: Array) -> tuple[Array, Array]:
        alpha, beta = self._alpha(xp, t), self._beta(xp, t)
        return -alpha * beta / 2, alpha * alpha * beta

    def _time(self, xp: ModuleType, lam: Array) -> Array:
        return self._time_of_integral(xp, _integral_of_log_snr(xp, lam))

    def _noise(self, xp: ModuleType, lam: Array) -> tuple[Array, Array]:
        integral = _integral_of_log_snr(xp, lam)
        return xp.exp(-integral / 2), -xp.expm1(-integral)


def _integral_of_log_snr(xp: ModuleType, lam: Array) -> Array:
    # alpha / sigma = exp(-B/2) / (1 - exp(-B)) = 1 / (2 sinh(B/2)).
    return 2 * xp.asinh(xp.exp(-lam / 2) / 2)
