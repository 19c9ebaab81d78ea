"""Laws whose coordinates are independent: everything is coordinate by coordinate."""

import dataclasses
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from afi_reference.distribution import Array
from afi_reference.families.law import AboutAnchor, Posterior
from afi_reference.families.truncated_normal import truncated_normal

Quantity: TypeAlias = Literal["log_density", "score", "mean", "variance", "fisher"]


@dataclasses.dataclass(frozen=True)
class IndependentCoordinates(Posterior):
    """The posterior of independent coordinates, by the quantities of each: a function to (n, d)."""

    of_each: Callable[[Quantity], Array]
    about: Callable[[], AboutAnchor | None] = lambda: None

    def about_anchor(self) -> AboutAnchor | None:
        """Return the log density relative to that of a point mass."""
        return self.about()

    def log_density(self) -> Array:
        """Return ``log q_t``, shape (n,)."""
        return self.of_each("log_density").sum(axis=1)

    def score(self) -> Array:
        """Return the score, shape (n, d)."""
        return self.of_each("score")

    def mean(self) -> Array:
        """Return the mean, shape (n, d)."""
        return self.of_each("mean")

    def covariance(self) -> Array:
        """Return the covariance, shape (n, d, d)."""
        return _diagonal(self.of_each("variance"))

    def covariance_trace(self) -> Array:
        """Return its trace, shape (n,)."""
        return self.of_each("variance").sum(axis=1)

    def fisher(self) -> Array:
        """Return the Fisher information, shape (n, d, d)."""
        return _diagonal(self.of_each("fisher"))

    def fisher_vector_product(self, v: Array) -> Array:
        """Return its product with ``v`` (n, d), shape (n, d)."""
        return self.of_each("fisher") * v

    def fisher_trace(self) -> Array:
        """Return its trace, shape (n,)."""
        return self.of_each("fisher").sum(axis=1)


@dataclasses.dataclass(frozen=True)
class UniformCoordinates:
    """Uniform laws on ``[low, high]``, one per coordinate, at the points ``x`` of one noise level.

    Every array has shape (n, d). ``F = (1 - Var z) / sigma^2`` with z the noise in units of sigma, which the
    posterior truncates to the interval.
    """

    log_density: Array
    score: Array
    mean: Array
    variance: Array
    fisher: Array
    nearest: Array  # point of the interval to x / alpha
    log_ratio: Array  # of the density and that of a point mass there

    @classmethod
    def at(cls, x: Array, low: Array, high: Array, alpha: Array, sigma: Array) -> "UniformCoordinates":
        """Return the quantities at longdouble ``x`` (n, d); ``low`` and ``high`` broadcast to its shape."""
        lower, upper = (alpha * low - x) / sigma, (alpha * high - x) / sigma
        length = np.broadcast_to(high - low, x.shape)
        z = truncated_normal(lower, upper, alpha * length / sigma)
        # Outside, x / alpha would be a large number to subtract from; inside, the edge may be far away.
        beyond = sigma / alpha * z.beyond_edge
        by_edge = np.where(z.mirrored, high - beyond, low + beyond)
        return cls(
            log_density=z.log_mass - np.log(alpha * length),
            score=z.mean / sigma,
            mean=np.where(z.outside, by_edge, (x + sigma * z.mean) / alpha),
            variance=(sigma / alpha) ** 2 * z.variance,
            fisher=z.one_minus_variance / sigma**2,
            nearest=np.clip(x / alpha, low, high),
            log_ratio=z.log_relative_mass - np.log(alpha * length / sigma),
        )


def _diagonal(values: Array) -> Array:
    matrices = np.zeros((*values.shape, values.shape[1]), dtype=values.dtype)
    index = np.arange(values.shape[1])
    matrices[:, index, index] = values
    return matrices
