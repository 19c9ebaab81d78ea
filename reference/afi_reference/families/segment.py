"""The uniform law on a line segment in R^d."""

import dataclasses

import numpy as np

from afi_reference.distribution import Array
from afi_reference.families.coordinates import UniformCoordinates
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
    """A truncated normal law along the segment; across it the data have no extent."""

    along: UniformCoordinates  # (n, 1), from the nearer end
    end: Array  # (n, d): the nearer end
    direction: Array  # (n, d): of length 1, from the nearer end to the other
    across: Array  # (n, d): the part of x - alpha * end that is orthogonal to the segment
    x: Array  # (n, d)
    alpha: Array
    sigma: Array

    def log_density(self) -> Array:
        codimension = self.direction.shape[1] - 1
        squared = (self.across**2).sum(axis=1) / self.sigma**2
        return self.along.log_density[:, 0] - (squared + codimension * (log_two_pi() + 2 * np.log(self.sigma))) / 2

    def about_anchor(self) -> AboutAnchor:
        return AboutAnchor(self.end + self.along.nearest * self.direction, self.along.log_ratio[:, 0])

    def score(self) -> Array:
        return self.along.score * self.direction - self.across / self.sigma**2

    def mean(self) -> Array:
        drawn = self.along.mean * self.direction
        terms = np.abs(self.end) + np.abs(drawn)
        return mean_with_fewest_terms(self.end + drawn, terms, self, self.x, self.alpha, self.sigma)

    def covariance(self) -> Array:
        return self.along.variance[:, :, None] * self._projector()

    def covariance_trace(self) -> Array:
        return self.along.variance[:, 0]

    def fisher(self) -> Array:
        projector = self._projector()
        across = (np.eye(self.direction.shape[1]) - projector) / self.sigma**2
        return across + self.along.fisher[:, :, None] * projector

    def fisher_vector_product(self, v: Array) -> Array:
        along, across = _split(v, self.direction)
        return across / self.sigma**2 + self.along.fisher * along * self.direction

    def fisher_trace(self) -> Array:
        return (self.direction.shape[1] - 1) / self.sigma**2 + self.along.fisher[:, 0]

    def _projector(self) -> Array:
        return self.direction[:, :, None] * self.direction[:, None, :]


@dataclasses.dataclass(frozen=True, eq=False)
class UniformSegment(Law):
    """The uniform law on a line segment as a :class:`~afi_reference.distribution.Distribution`.

    Accurate to the rounding of the inputs at every noise level. Time and memory ``O(B d)``.

    Parameters
    ----------
    start, end
        Its ends, shape (d,), not the same point.

    Raises
    ------
    ValueError
        If the shapes differ, values are not finite, or the ends are the same point.
    """

    start: Array
    end: Array

    def __post_init__(self) -> None:
        start, end = as_vector(self.start, "start"), as_vector(self.end, "end")
        if start.shape != end.shape:
            raise ValueError(f"start and end must have the same shape; got {start.shape} and {end.shape}.")
        if (start == end).all():
            raise ValueError("start and end are the same point; use a DiracMixture of one atom.")
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)

    @property
    def dimension(self) -> int:
        """The dimension d of a data point."""
        return len(self.start)

    def posterior(self, x: Array, alpha: Array, sigma: Array) -> Posterior:
        """Return the posterior at longdouble ``x`` (n, d), in coordinates along and across the segment."""
        start, end = widened(self.start), widened(self.end)
        difference = end - start
        length = np.sqrt((difference**2).sum())
        # From the nearer end, which may be the origin: the middle would be a large number to subtract from.
        at_start = (((2 * x - alpha * (start + end)) @ difference) <= 0)[:, None]
        nearer = np.where(at_start, start, end)
        direction = np.where(at_start, difference, -difference) / length
        position, across = _split(x - alpha * nearer, direction)
        along = UniformCoordinates.at(position, np.zeros_like(length), length, alpha, sigma)
        return _Posterior(along, nearer, direction, across, x, alpha, sigma)

    def _parameters(self) -> tuple[Array, ...]:
        return self.start, self.end


def _split(rows: Array, direction: Array) -> tuple[Array, Array]:
    """Return the coordinates along ``direction``, shape (n, 1), and what is orthogonal to it, shape (n, d)."""
    along = (rows * direction).sum(axis=1, keepdims=True)
    across = rows - along * direction
    if rows.shape[1] == 1:  # nothing is orthogonal to a line in a line, whatever the rounding says
        across = np.zeros_like(rows)
    return along, across
