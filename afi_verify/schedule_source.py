"""The schedules of the cases in a few lines of source each: replay scripts, which need none of our code, contain it.

Formulas and parameters are those of :mod:`afi_reference.schedules`, where they are derived and explained; a test holds
the two against one another.
"""

import inspect
import math
import sys
from typing import Any


class TimeFunctions:
    """``alpha``, ``sigma``, ``f`` and ``g2`` of a time: floats for floats, arrays of their library for arrays."""

    t_min, t_max = 0.0, 1.0

    def __getattr__(self, name: str) -> Any:
        """Give one of them, as a function of a time."""
        if name not in ("alpha", "sigma", "f", "g2", "log_snr"):
            raise AttributeError(f"the schedules of replay scripts have no {name!r}")
        formula = getattr(self, "_" + name)

        def at(t: Any) -> Any:
            if isinstance(t, (int, float)):
                return float(formula(float(t), math))
            torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
            if torch is not None and isinstance(t, torch.Tensor):
                return formula(t, torch)
            if jax is not None and isinstance(t, jax.Array):
                return formula(t, jax.numpy)
            return formula(t, sys.modules["numpy"])

        return at

    def _g2(self, t: Any, m: Any) -> Any:
        return -2 * self._f(t, m)  # of every schedule with alpha^2 + sigma^2 = 1

    def _log_snr(self, t: Any, m: Any) -> Any:
        return 2 * m.log(self._alpha(t, m) / self._sigma(t, m))


class RectifiedFlow(TimeFunctions):
    """``alpha = 1 - t``, ``sigma = t``."""

    def _alpha(self, t: Any, m: Any) -> Any:
        return 1 - t

    def _sigma(self, t: Any, m: Any) -> Any:
        return t * 1.0

    def _f(self, t: Any, m: Any) -> Any:
        return -1 / (1 - t)

    def _g2(self, t: Any, m: Any) -> Any:
        return 2 * t / (1 - t)


class VPLinear(TimeFunctions):
    """``alpha = exp(-B / 2)``, ``sigma^2 = 1 - alpha^2``, B the integral of ``beta = 0.1 + 19.9 t``."""

    def _alpha(self, t: Any, m: Any) -> Any:
        return m.exp(-t * (0.1 + 9.95 * t) / 2)

    def _sigma(self, t: Any, m: Any) -> Any:
        return m.sqrt(-m.expm1(-t * (0.1 + 9.95 * t)))

    def _f(self, t: Any, m: Any) -> Any:
        return -(0.1 + 19.9 * t) / 2


class SubVP(VPLinear):
    """As VP-linear, but ``sigma = 1 - alpha^2``."""

    def _sigma(self, t: Any, m: Any) -> Any:
        return -m.expm1(-t * (0.1 + 9.95 * t))

    def _g2(self, t: Any, m: Any) -> Any:
        return -(0.1 + 19.9 * t) * m.expm1(-2 * t * (0.1 + 9.95 * t))


class VPCosine(TimeFunctions):
    """``alpha = cos(u) / cos(u(0))`` with ``u = (pi / 2) (t + 0.008) / 1.008``."""

    _unit, _first = math.pi / 2 / 1.008, math.cos(math.pi / 2 * 0.008 / 1.008)

    def _alpha(self, t: Any, m: Any) -> Any:
        return m.sin(self._unit * (1 - t)) / self._first

    def _sigma(self, t: Any, m: Any) -> Any:
        return m.sqrt(m.sin(self._unit * t) * m.sin(self._unit * (t + 0.016))) / self._first

    def _f(self, t: Any, m: Any) -> Any:
        return -self._unit / m.tan(self._unit * (1 - t))


class LogSNRLinear(TimeFunctions):
    """Variance preserving, log-SNR ``20 - 40 t``."""

    def _alpha(self, t: Any, m: Any) -> Any:
        return 1 / m.sqrt(1 + m.exp(40 * t - 20))

    def _sigma(self, t: Any, m: Any) -> Any:
        return 1 / m.sqrt(1 + m.exp(20 - 40 * t))

    def _f(self, t: Any, m: Any) -> Any:
        return -20 / (1 + m.exp(20 - 40 * t))


class VEGeometric(TimeFunctions):
    """``alpha = 1``, ``sigma = 0.01 * 5000^t``."""

    def _alpha(self, t: Any, m: Any) -> Any:
        return 0 * t + 1.0

    def _sigma(self, t: Any, m: Any) -> Any:
        return 0.01 * m.exp(t * math.log(5000))

    def _f(self, t: Any, m: Any) -> Any:
        return 0.0 * t

    def _g2(self, t: Any, m: Any) -> Any:
        return 2 * math.log(5000) * self._sigma(t, m) ** 2


class EDM(VEGeometric):
    """``alpha = 1``, ``sigma = t``."""

    t_min, t_max = 0.002, 80.0

    def _sigma(self, t: Any, m: Any) -> Any:
        return t * 1.0

    def _g2(self, t: Any, m: Any) -> Any:
        return 2.0 * t


_BY_NAME: dict[str, type[TimeFunctions]] = {
    "rectified-flow": RectifiedFlow,
    "vp-linear": VPLinear,
    "sub-vp": SubVP,
    "vp-cosine": VPCosine,
    "log-snr-linear": LogSNRLinear,
    "ve": VEGeometric,
    "edm": EDM,
}


def stand_alone(name: str) -> TimeFunctions:
    """Return the schedule of this name."""
    return _BY_NAME[name]()


def source_of(name: str) -> str:
    """Return Python source (it needs ``math``, ``sys`` and ``Any``) that makes ``schedule`` that of this name."""
    chosen = _BY_NAME[name]
    classes = [one for one in reversed(chosen.__mro__) if one is not object]
    return "\n\n".join(inspect.getsource(one) for one in classes) + f"\n\nschedule = {chosen.__name__}()\n"
