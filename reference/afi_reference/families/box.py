"""The uniform law on a box."""

import dataclasses

from afi_reference.distribution import Array
from afi_reference.families.coordinates import IndependentCoordinates, Quantity, UniformCoordinates
from afi_reference.families.law import AboutAnchor, Law, Posterior, as_vector, widened


@dataclasses.dataclass(frozen=True, eq=False)
class UniformBox(Law):
    """The uniform law on a box as a :class:`~afi_reference.distribution.Distribution`.

    Accurate to the rounding of the inputs at every noise level, in particular the Fisher information inside
    the box, where it falls below every power of sigma, and far outside. Time and memory ``O(B d)``.

    Parameters
    ----------
    low, high
        Opposite corners, shape (d,), ``low < high``.

    Raises
    ------
    ValueError
        If the shapes differ, values are not finite, or a side has no length.
    """

    low: Array
    high: Array

    def __post_init__(self) -> None:
        low, high = as_vector(self.low, "low"), as_vector(self.high, "high")
        if low.shape != high.shape:
            raise ValueError(f"low and high must have the same shape; got {low.shape} and {high.shape}.")
        if not (low < high).all():
            first = int((low >= high).argmax())
            raise ValueError(
                f"low must be below high in every coordinate; at {first} they are {low[first]} and {high[first]}. "
                "For a side of no length use ProductOfLaws with a DiracMixture of one atom there."
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def dimension(self) -> int:
        """The dimension d of a data point."""
        return len(self.low)

    def posterior(self, x: Array, alpha: Array, sigma: Array) -> Posterior:
        """Return the posterior at longdouble ``x`` (n, d): a truncated normal law per coordinate."""
        uniform = UniformCoordinates.at(x, widened(self.low), widened(self.high), alpha, sigma)

        def of_each(quantity: Quantity) -> Array:
            values: Array = getattr(uniform, quantity)
            return values

        return IndependentCoordinates(of_each, lambda: AboutAnchor(uniform.nearest, uniform.log_ratio.sum(axis=1)))

    def _parameters(self) -> tuple[Array, ...]:
        return self.low, self.high
