"""The straight-line schedule of rectified flow and flow matching."""

from dataclasses import dataclass
from types import ModuleType

from afi_reference.schedules.arithmetic import logistic_roots
from afi_reference.schedules.formula_schedule import FormulaSchedule
from afi_reference.schedules.schedule import Array


@dataclass(frozen=True)
class RectifiedFlow(FormulaSchedule):
    """``alpha = 1 - t``, ``sigma = t``, t in [0, 1]; ``f = -1/(1-t)`` and ``g2 = 2t/(1-t)``.

    At t = 1 alpha is 0 and ``f`` and ``g2`` are infinite, though the flow's velocity is not.
    """

    name: str = "rectified-flow"

    def _alpha(self, xp: ModuleType, t: Array) -> Array:
        return 1 - t

    def _sigma(self, xp: ModuleType, t: Array) -> Array:
        # A copy: a caller that writes into the answer must not change its times.
        return t * xp.ones_like(t)

    def _log_snr(self, xp: ModuleType, t: Array) -> Array:
        return 2 * (xp.log1p(-t) - xp.log(t))

    def _f(self, xp: ModuleType, t: Array) -> Array:
        return -1 / (1 - t)

    def _g2(self, xp: ModuleType, t: Array) -> Array:
        return 2 * t / (1 - t)

    def _rates(self, xp: ModuleType, t: Array) -> tuple[Array, Array]:
        return -xp.ones_like(t), xp.ones_like(t)

    def _time(self, xp: ModuleType, lam: Array) -> Array:
        return self._noise(xp, lam)[1]

    def _noise(self, xp: ModuleType, lam: Array) -> tuple[Array, Array]:
        # alpha / sigma = exp(lam/2) and alpha + sigma = 1.
        alpha_root, sigma_root = logistic_roots(xp, lam / 2)
        return alpha_root * alpha_root, sigma_root * sigma_root
