"""Rounding at random, as an implementation's arithmetic may."""

import math
from collections.abc import Callable

import numpy as np

from afi_properties.problem import Array


class Rounder:
    """Rounds at random: changes each number by up to one unit roundoff."""

    def __init__(self, rng: np.random.Generator, unit_roundoff: float, added_as_one: int) -> None:
        self._rng = rng
        self._unit = unit_roundoff
        self._added_as_one = added_as_one  # see Precision

    def __call__(self, values: Array, *, symmetric: bool = False) -> Array:
        """Return the changed values; a symmetric matrix (..., d, d) stays so."""
        change = self._rng.uniform(-1, 1, values.shape)
        if symmetric:
            change = np.tril(change) + np.tril(change, -1).swapaxes(-1, -2)
        change *= self._unit
        factor = change.astype(values.dtype, copy=False)
        factor += 1
        return values * factor

    def of_sum(self, terms: int) -> Callable[[Array], Array]:
        """Return the rounding of sums of so many terms: of many, added in sequence, it grows with their root."""
        factor = max(1.0, math.sqrt(terms / self._added_as_one))
        if factor == 1.0:
            return self
        return lambda sums: sums + factor * (self(sums) - sums)
