"""The uniform law on a line segment in R^d."""

import dataclasses

import numpy as np

from afi_reference.distribution import Array
from afi_reference.families.coordinates import UniformCoordinates
from afi_reference.families.law import Law, Posterior, as_vector, log_two_pi, widened


@dataclasses.dataclass(frozen=True)
class _Posterior(Posterior):
    """A truncated normal law along the segment; across it the data have no extent."""

    along: UniformCoordinates  # (n, 1)
    middle: Array  # (d,)
    direction: Array  # (d,), of length 1
    across: Array  # (n, d): the part of x - alpha * middle that is orthogonal to the segment
    sigma: Array

    def log_density(self) -> Array:
        codimension = len(self.direction) - 1
        squared = (self.across**2).sum(axis=1) / self.sigma**2
        return self.along.log_density[:, 0] - (squared + codimension * (log_two_pi() + 2 * np.log(self.sigma))) / 2

    def score(self) -> Array:
        return self.along.score * self.direction - self.across / self.sigma**2

    def mean(self) -> Array:
        return self.middle + self.along.mean * self.direction

    def covariance(self) -> Array:
        return self.along.variance[:, :, None] * np.multiply.outer(self.direction, self.direction)

    def covariance_trace(self) -> Array:
        return self.along.variance[:, 0]

    def fisher(self) -> Array:
        projector = np.multiply.outer(self.direction, self.direction)
        across = (np.eye(len(self.direction)) - projector) / self.sigma**2
        return across + self.along.fisher[:, :, None] * projector

    def fisher_vector_product(self, v: Array) -> Array:
        along, across = _split(v, self.direction)
        return across / self.sigma**2 + self.along.fisher * along * self.direction

    def fisher_trace(self) -> Array:
        return (len(self.direction) - 1) / self.sigma**2 + self.along.fisher[:, 0]


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
        direction = difference / length
        middle = start + difference / 2
        position, across = _split(x - alpha * middle, direction)
        along = UniformCoordinates.at(position, -length / 2, length / 2, alpha, sigma)
        return _Posterior(along, middle, direction, across, sigma)

    def _parameters(self) -> tuple[Array, ...]:
        return self.start, self.end


def _split(rows: Array, direction: Array) -> tuple[Array, Array]:
    """Return the coordinates along ``direction``, shape (n, 1), and what is orthogonal to it, shape (n, d)."""
    along = (rows @ direction)[:, None]
    across = rows - along * direction
    if len(direction) == 1:  # nothing is orthogonal to a line in a line, whatever the rounding says
        across = np.zeros_like(rows)
    return along, across
