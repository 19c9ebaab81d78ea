"""The noise rate that is linear in time, common to VP-linear and sub-VP (Song et al. 2021)."""

from dataclasses import dataclass
from types import ModuleType

from afi_reference.schedules.arithmetic import positive
from afi_reference.schedules.schedule import Array


@dataclass(frozen=True)
class LinearBeta:
    """``beta(t) = beta_min + t (beta_max - beta_min)`` for t in [0, 1], and ``B(t)``, its integral from 0.

    Raises
    ------
    ValueError
        Unless ``0 < beta_min <= beta_max < inf``.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta_min", positive("beta_min", self.beta_min))
        object.__setattr__(self, "beta_max", positive("beta_max", self.beta_max))
        if self.beta_min > self.beta_max:
            raise ValueError(
                f"beta_min must not exceed beta_max; got beta_min={self.beta_min}, beta_max={self.beta_max}."
            )

    def _beta(self, xp: ModuleType, t: Array) -> Array:
        return self.beta_min + t * self._slope(xp, t)

    def _integral(self, xp: ModuleType, t: Array) -> Array:
        return t * (self.beta_min + t * (self._slope(xp, t) / 2))

    def _time_of_integral(self, xp: ModuleType, integral: Array) -> Array:
        # The root that does not cancel; its square root is beta at that time.
        beta_min = xp.full_like(integral, self.beta_min)
        beta = xp.sqrt(beta_min * beta_min + 2 * self._slope(xp, integral) * integral)
        return 2 * integral / (beta_min + beta)

    def _slope(self, xp: ModuleType, like: Array) -> Array:
        return xp.full_like(like, self.beta_max) - self.beta_min
