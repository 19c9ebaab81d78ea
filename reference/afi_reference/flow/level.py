"""The end points of a flow: all that the map between two times knows of the schedule."""

import math
from typing import NamedTuple, TypeVar

from afi_reference.distribution import Array
from afi_reference.schedules.schedule import Schedule

_Number = TypeVar("_Number", float, Array)


class Level(NamedTuple):
    """A noise level: the scales in ``x = alpha x_0 + sigma noise`` (eq. 1)."""

    alpha: float
    sigma: float

    @classmethod
    def at(cls, schedule: Schedule, t: float) -> "Level":
        """Return the level of ``schedule`` at time ``t``.

        Raises
        ------
        ValueError
            If ``t`` is outside of the schedule, or alpha or sigma is 0 there: no density to flow with.
        """
        level = cls(float(schedule.alpha(t)), float(schedule.sigma(t)))
        if not (0 < level.alpha < math.inf and 0 < level.sigma < math.inf):
            raise ValueError(
                f"the flow needs 0 < alpha and 0 < sigma; {schedule.name} has alpha = {level.alpha} and "
                f"sigma = {level.sigma} at t = {t}. Stop a little short of the end."
            )
        return level

    @property
    def ratio(self) -> float:
        """``sigma / alpha``: the noise in units of the data."""
        return self.sigma / self.alpha

    def data_coordinates(self, x: Array, origin: Array) -> Array:
        """Return ``x / alpha - origin``, shape (d,), to full relative accuracy.

        A point next to ``alpha * origin`` would lose what lies below the rounding of that product.
        """
        product, remainder = _product(self.alpha, origin)
        return ((x - product) - remainder) / self.alpha


def _product(a: float, b: Array) -> tuple[Array, Array]:
    """Return the rounded product and what rounding took (Dekker 1971)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _halves(a: _Number) -> tuple[_Number, _Number]:
    shifted = a * 134217729.0  # 2^27 + 1: the upper half of a float64's 53 bits stays
    high = shifted - (shifted - a)
    return high, a - high
