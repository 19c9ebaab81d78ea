"""The variance-preserving schedules in closed form: linear, cosine, and log-SNR linear in time."""

import math
from dataclasses import dataclass
from types import ModuleType

from afi_reference.schedules.arithmetic import half_pi, logistic_roots, positive, softplus
from afi_reference.schedules.formula_schedule import VariancePreserving
from afi_reference.schedules.linear_beta import LinearBeta
from afi_reference.schedules.schedule import Array


@dataclass(frozen=True)
class VPLinear(LinearBeta, VariancePreserving):
    """VP with ``beta(t)`` linear in t, t in [0, 1] (Song et al. 2021; DDPM's limit of many steps).

    ``alpha^2 = exp(-B(t))``, ``sigma^2 = 1 - exp(-B(t))``, ``f = -beta(t)/2``, ``g2 = beta(t)``.
    """

    name: str = "vp-linear"

    def _alpha(self, xp: ModuleType, t: Array) -> Array:
        return xp.exp(-self._integral(xp, t) / 2)

    def _sigma(self, xp: ModuleType, t: Array) -> Array:
        return xp.sqrt(-xp.expm1(-self._integral(xp, t)))

    def _log_snr(self, xp: ModuleType, t: Array) -> Array:
        integral = self._integral(xp, t)
        return -integral - xp.log(-xp.expm1(-integral))

    def _f(self, xp: ModuleType, t: Array) -> Array:
        return -self._beta(xp, t) / 2

    def _time(self, xp: ModuleType, lam: Array) -> Array:
        return self._time_of_integral(xp, softplus(xp, -lam))


@dataclass(frozen=True)
class VPCosine(VariancePreserving):
    """The cosine schedule of Nichol & Dhariwal (2021) in continuous time, t in [0, 1].

    ``alpha = cos(u) / cos(u0)`` with ``u = (pi/2) (t + s)/(1 + s)`` and ``u0 = u(0)``. At t = 1 alpha is 0
    and ``f`` and ``g2`` are infinite (the original clips its discrete betas at 0.999; this does not).

    Raises
    ------
    ValueError
        If the offset ``s`` is not positive and finite.
    """

    s: float = 0.008
    name: str = "vp-cosine"

    def __post_init__(self) -> None:
        object.__setattr__(self, "s", positive("s", self.s))

    def _alpha(self, xp: ModuleType, t: Array) -> Array:
        return xp.sin(self._angle(xp, 1 - t)) / xp.cos(self._angle(xp, xp.full_like(t, self.s)))

    def _sigma(self, xp: ModuleType, t: Array) -> Array:
        # 1 - alpha^2 = (cos^2 u0 - cos^2 u) / cos^2 u0, and the difference of squares is a product of sines.
        difference, total = self._angle(xp, t), self._angle(xp, t + 2 * self.s)
        return xp.sqrt(xp.sin(difference) * xp.sin(total)) / xp.cos(self._angle(xp, xp.full_like(t, self.s)))

    def _log_snr(self, xp: ModuleType, t: Array) -> Array:
        signal = xp.sin(self._angle(xp, 1 - t))
        difference, total = self._angle(xp, t), self._angle(xp, t + 2 * self.s)
        return xp.log(signal / xp.sin(total)) + (xp.log(signal) - xp.log(xp.sin(difference)))

    def _f(self, xp: ModuleType, t: Array) -> Array:
        # Each half in the angle that it knows to full relative accuracy: near 0 that is not pi/2 - u.
        tangent = xp.where(t < 0.5, xp.tan(self._angle(xp, t + self.s)), 1 / xp.tan(self._angle(xp, 1 - t)))
        return -self._angle(xp, xp.ones_like(t)) * tangent

    def _rates(self, xp: ModuleType, t: Array) -> tuple[Array, Array]:
        # Not alpha * f, which at t = 1 is 0 times infinity.
        first = xp.cos(self._angle(xp, xp.full_like(t, self.s)))
        alpha_rate = -self._angle(xp, xp.ones_like(t)) * xp.sin(self._angle(xp, t + self.s)) / first
        return alpha_rate, -alpha_rate * self._alpha(xp, t) / self._sigma(xp, t)

    def _time(self, xp: ModuleType, lam: Array) -> Array:
        # With T = tan u and T0 = tan u0: T^2 = T0^2 + (1 + T0^2) exp(-lam). Where the signal dominates,
        # u - u0 comes from the tangent of a difference, else pi/2 - u from 1/T: no overflow, no cancelling.
        first = xp.tan(self._angle(xp, xp.full_like(lam, self.s)))
        rest = 1 + first * first
        signal = lam >= 0
        zero = xp.zeros_like(lam)
        noise = rest * xp.exp(-xp.where(signal, lam, zero))
        tangent = xp.sqrt(first * first + noise)
        difference = xp.atan(noise / ((tangent + first) * (1 + first * tangent)))
        snr = xp.exp(xp.where(signal, zero, lam) / 2)
        remainder = xp.atan(snr / xp.sqrt(rest + first * first * snr * snr))
        unit = self._angle(xp, xp.ones_like(lam))
        return xp.where(signal, difference / unit, 1 - remainder / unit)

    def _angle(self, xp: ModuleType, time: Array) -> Array:
        return half_pi(xp, time) * (time / (xp.ones_like(time) + self.s))


@dataclass(frozen=True)
class LogSNRLinear(VariancePreserving):
    """VP whose log-SNR falls linearly from ``log_snr_max`` at t = 0 to ``log_snr_min`` at t = 1.

    Reaches every noise level that matters at even spacing: for tests and plots.

    Raises
    ------
    ValueError
        Unless ``-inf < log_snr_min < log_snr_max < inf``.
    """

    log_snr_max: float = 20.0
    log_snr_min: float = -20.0
    name: str = "log-snr-linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_snr_max", float(self.log_snr_max))
        object.__setattr__(self, "log_snr_min", float(self.log_snr_min))
        if not -math.inf < self.log_snr_min < self.log_snr_max < math.inf:
            raise ValueError(
                "log_snr_min must be below log_snr_max, both finite; got "
                f"log_snr_min={self.log_snr_min}, log_snr_max={self.log_snr_max}."
            )

    def _alpha(self, xp: ModuleType, t: Array) -> Array:
        return logistic_roots(xp, self._log_snr(xp, t))[0]

    def _sigma(self, xp: ModuleType, t: Array) -> Array:
        return logistic_roots(xp, self._log_snr(xp, t))[1]

    def _log_snr(self, xp: ModuleType, t: Array) -> Array:
        # From the middle, where it crosses zero: 1 - 2t is exact there.
        middle = (xp.full_like(t, self.log_snr_max) + self.log_snr_min) / 2
        return middle + self._fall(xp, t) / 2 * (1 - 2 * t)

    def _f(self, xp: ModuleType, t: Array) -> Array:
        sigma = self._sigma(xp, t)
        return -self._fall(xp, t) * sigma * sigma / 2

    def _time(self, xp: ModuleType, lam: Array) -> Array:
        return (self.log_snr_max - lam) / self._fall(xp, lam)

    def _fall(self, xp: ModuleType, like: Array) -> Array:
        return xp.full_like(like, self.log_snr_max) - self.log_snr_min
