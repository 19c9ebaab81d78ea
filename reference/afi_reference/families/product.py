"""The product of one-dimensional laws."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from afi_reference.distribution import Array, Distribution
from afi_reference.families.coordinates import IndependentCoordinates, Quantity
from afi_reference.families.law import AboutAnchor, Law, Posterior, posterior_of


@dataclasses.dataclass(frozen=True, eq=False)
class ProductOfLaws(Law):
    """Independent coordinates, each with its own law, as a :class:`~afi_reference.distribution.Distribution`.

    As accurate as the laws are in longdouble arithmetic.

    Parameters
    ----------
    laws
        One :class:`~afi_reference.distribution.Distribution` of dimension 1 per coordinate.

    Raises
    ------
    ValueError
        If there is no law, or one has another dimension than 1.
    """

    laws: Sequence[Distribution]

    def __post_init__(self) -> None:
        laws = tuple(self.laws)
        if not laws:
            raise ValueError("laws must hold at least one law: one per coordinate.")
        for index, law in enumerate(laws):
            if law.dimension != 1:
                raise ValueError(f"laws[{index}] has dimension {law.dimension}; each must be of dimension 1.")
        object.__setattr__(self, "laws", laws)

    @property
    def dimension(self) -> int:
        """The dimension d of a data point."""
        return len(self.laws)

    def posterior(self, x: Array, alpha: Array, sigma: Array) -> Posterior:
        """Return the posterior at longdouble ``x`` (n, d): that of each coordinate."""
        coordinates = [posterior_of(law, x[:, [i]], alpha, sigma) for i, law in enumerate(self.laws)]

        def of_each(quantity: Quantity) -> Array:
            method = "covariance" if quantity == "variance" else quantity
            return np.stack([getattr(c, method)().reshape(len(x)) for c in coordinates], axis=1)

        def about() -> AboutAnchor | None:
            parts = [part for part in (c.about_anchor() for c in coordinates) if part is not None]
            if len(parts) < len(coordinates):
                return None
            places = np.concatenate([part.place for part in parts], axis=1)
            return AboutAnchor(places, np.stack([part.log_ratio for part in parts]).sum(axis=0))

        return IndependentCoordinates(of_each, about)

    def _parameters(self) -> tuple[Array, ...]:
        return tuple(parameter for law in self.laws if isinstance(law, Law) for parameter in law._parameters())
