"""The uniform law on a sphere: its posterior is a von Mises-Fisher law."""

import dataclasses

import numpy as np

from afi_reference.distribution import Array, as_float_array
from afi_reference.families.angle import Angle, angle_moments
from afi_reference.families.law import (
    AboutAnchor,
    Law,
    Posterior,
    as_vector,
    log_two_pi,
    mean_with_fewest_terms,
    widened,
)


@dataclasses.dataclass(frozen=True)
class _Posterior(Posterior):
    """A point of the sphere drawn to the direction of the observation, ``kappa = alpha r |x - alpha c| / sigma^2``."""

    angle: Angle
    centre: Array  # (d,)
    radius: Array
    offset: Array  # (n, d): x - alpha * centre
    x: Array  # (n, d)
    alpha: Array
    sigma: Array

    def log_density(self) -> Array:
        missed = self._distance() - self.alpha * self.radius
        normaliser = len(self.centre) * (log_two_pi() + 2 * np.log(self.sigma))
        return self.angle.log_evidence - ((missed / self.sigma) ** 2 + normaliser) / 2

    def about_anchor(self) -> AboutAnchor:
        return AboutAnchor(self.centre + self.radius * self._direction(), self.angle.log_evidence)

    def score(self) -> Array:
        return -(self._across() / self.sigma**2)[:, None] * self.offset

    def mean(self) -> Array:
        pull = self.alpha * (self.radius / self.sigma) ** 2 * self.angle.across
        drawn = pull[:, None] * self.offset
        terms = np.abs(self.centre) + np.abs(drawn)
        return mean_with_fewest_terms(self.centre + drawn, terms, self, self.x, self.alpha, self.sigma)

    def covariance(self) -> Array:
        return self.radius**2 * self._matrix(self.angle.along, self.angle.across)

    def covariance_trace(self) -> Array:
        return self.radius**2 * (self.angle.along + (len(self.centre) - 1) * self.angle.across)

    def fisher(self) -> Array:
        return self._matrix(self._along(), self._across()) / self.sigma**2

    def fisher_vector_product(self, v: Array) -> Array:
        direction = self._direction()
        along = (direction * v).sum(axis=1, keepdims=True) * direction
        across = v - along if len(self.centre) > 1 else np.zeros_like(v)
        return (self._along()[:, None] * along + self._across()[:, None] * across) / self.sigma**2

    def fisher_trace(self) -> Array:
        return (self._along() + (len(self.centre) - 1) * self._across()) / self.sigma**2

    def _along(self) -> Array:
        """sigma^2 times the Fisher information in the direction of the observation, shape (n,)."""
        return 1 - self._snr() * self.angle.along

    def _across(self) -> Array:
        """sigma^2 times the Fisher information orthogonal to it, shape (n,)."""
        return 1 - self._snr() * self.angle.across

    def _snr(self) -> Array:
        return (self.alpha * self.radius / self.sigma) ** 2

    def _distance(self) -> Array:
        return np.sqrt((self.offset**2).sum(axis=1))

    def _direction(self) -> Array:
        """Return the direction of the observation, shape (n, d); any one at the centre, where none is special."""
        distance = self._distance()[:, None]
        anywhere = np.eye(1, len(self.centre))
        with np.errstate(invalid="ignore"):
            return np.where(distance > 0, self.offset / distance, anywhere)

    def _matrix(self, along: Array, across: Array) -> Array:
        direction = self._direction()
        projector = direction[:, :, None] * direction[:, None, :]
        orthogonal = np.eye(len(self.centre)) - projector
        return along[:, None, None] * projector + across[:, None, None] * orthogonal


@dataclasses.dataclass(frozen=True, eq=False)
class UniformSphere(Law):
    """The uniform law on a sphere as a :class:`~afi_reference.distribution.Distribution`.

    Accurate to the rounding of the inputs at every noise level. Time and memory ``O(B d)``. In one dimension
    the sphere is two points.

    Parameters
    ----------
    centre
        Shape (d,).
    radius
        Positive.

    Raises
    ------
    ValueError
        If a value is not finite or ``radius`` is not a positive number.
    """

    centre: Array
    radius: Array | float

    def __post_init__(self) -> None:
        radius = as_float_array(self.radius, "radius")
        if radius.shape != () or not radius > 0:
            raise ValueError(f"radius must be a positive number; got {radius}. For a point use a DiracMixture.")
        object.__setattr__(self, "centre", as_vector(self.centre, "centre"))
        object.__setattr__(self, "radius", radius)

    @property
    def dimension(self) -> int:
        """The dimension d of a data point."""
        return len(self.centre)

    def posterior(self, x: Array, alpha: Array, sigma: Array) -> Posterior:
        """Return the posterior at longdouble ``x`` (n, d)."""
        centre, radius = widened(self.centre), widened(np.asarray(self.radius))
        offset = x - alpha * centre
        kappa = alpha * radius * np.sqrt((offset**2).sum(axis=1)) / sigma**2
        return _Posterior(angle_moments(self.dimension, kappa), centre, radius, offset, x, alpha, sigma)

    def _parameters(self) -> tuple[Array, ...]:
        return self.centre, np.asarray(self.radius)
