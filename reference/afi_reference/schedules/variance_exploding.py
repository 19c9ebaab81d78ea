"""The schedules that leave the signal alone (alpha = 1): VE and EDM."""

from abc import abstractmethod
from dataclasses import dataclass
from types import ModuleType

from afi_reference.schedules.arithmetic import positive
from afi_reference.schedules.formula_schedule import FormulaSchedule
from afi_reference.schedules.schedule import Array


@dataclass(frozen=True)
class _VarianceExploding(FormulaSchedule):
    sigma_min: float
    sigma_max: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma_min", positive("sigma_min", self.sigma_min))
        object.__setattr__(self, "sigma_max", positive("sigma_max", self.sigma_max))
        if self.sigma_min >= self.sigma_max:
            raise ValueError(
                f"sigma_min must be below sigma_max; got sigma_min={self.sigma_min}, sigma_max={self.sigma_max}."
            )

    def _alpha(self, xp: ModuleType, t: Array) -> Array:
        return xp.ones_like(t)

    def _f(self, xp: ModuleType, t: Array) -> Array:
        return xp.zeros_like(t)

    def _rates(self, xp: ModuleType, t: Array) -> tuple[Array, Array]:
        return xp.zeros_like(t), self._sigma_rate(xp, t)

    def _g2(self, xp: ModuleType, t: Array) -> Array:
        return 2 * self._sigma(xp, t) * self._sigma_rate(xp, t)

    def _noise(self, xp: ModuleType, lam: Array) -> tuple[Array, Array]:
        return xp.ones_like(lam), xp.exp(-lam / 2)

    @abstractmethod
    def _sigma_rate(self, xp: ModuleType, t: Array) -> Array: ...


@dataclass(frozen=True)
class VEGeometric(_VarianceExploding):
    """VE of Song et al. (2021): ``sigma(t) = sigma_min (sigma_max/sigma_min)^t``, alpha = 1, t in [0, 1].

    This is the kernel as their code and everybody's samplers have it. The SDE started at t = 0 would have
    the variance ``sigma(t)^2 - sigma_min^2``; f and g2 are the same for both.

    Raises
    ------
    ValueError
        Unless ``0 < sigma_min < sigma_max < inf``.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    name: str = "ve"

    def _sigma(self, xp: ModuleType, t: Array) -> Array:
        return self.sigma_min * self._ratio(xp, t) ** t

    def _log_snr(self, xp: ModuleType, t: Array) -> Array:
        # Weighted by 1 - t and t, so that both ends are exact.
        first, last = xp.log(xp.full_like(t, self.sigma_min)), xp.log(xp.full_like(t, self.sigma_max))
        return -2 * (first * (1 - t) + last * t)

    def _sigma_rate(self, xp: ModuleType, t: Array) -> Array:
        return self._sigma(xp, t) * xp.log(self._ratio(xp, t))

    def _time(self, xp: ModuleType, lam: Array) -> Array:
        return (-lam / 2 - xp.log(xp.full_like(lam, self.sigma_min))) / xp.log(self._ratio(xp, lam))

    def _ratio(self, xp: ModuleType, like: Array) -> Array:
        return xp.full_like(like, self.sigma_max) / self.sigma_min


@dataclass(frozen=True)
class EDM(_VarianceExploding):
    """Karras et al. (2022): time is the noise level, ``sigma(t) = t``, alpha = 1, f = 0, g2 = 2t.

    The domain [sigma_min, sigma_max] is that of their samplers.

    Raises
    ------
    ValueError
        Unless ``0 < sigma_min < sigma_max < inf``.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    name: str = "edm"

    @property
    def t_min(self) -> float:
        """The least noise, ``sigma_min``."""
        return self.sigma_min

    @property
    def t_max(self) -> float:
        """The most noise, ``sigma_max``."""
        return self.sigma_max

    def _sigma(self, xp: ModuleType, t: Array) -> Array:
        # A copy: a caller that writes into the answer must not change its times.
        return t * xp.ones_like(t)

    def _log_snr(self, xp: ModuleType, t: Array) -> Array:
        return -2 * xp.log(t)

    def _sigma_rate(self, xp: ModuleType, t: Array) -> Array:
        return xp.ones_like(t)

    def _time(self, xp: ModuleType, lam: Array) -> Array:
        return xp.exp(-lam / 2)
