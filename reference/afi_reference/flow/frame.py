"""Coordinates in which a trajectory of the flow is of order 1 at both ends of the noise range."""

import dataclasses
import math

import numpy as np

from afi_reference.dirac import DiracMixture
from afi_reference.distribution import Array, Distribution
from afi_reference.flow.level import Level
from afi_reference.gaussian import GaussianMixture

# The curvature of a density, in units of that of the noise, from which on it tells the density's scale. It tends to 1
# with growing noise, whatever the data.
_NOTICEABLE = 1e-2


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """An origin and a width, in data coordinates ``z = x / alpha``, for one trajectory.

    With ``r = sigma / alpha`` the state of a trajectory is ``n = (z - origin) / hypot(width, r)``. Origin and
    width are the posterior mean and the local scale of the density at the end with less noise: next to an
    atom the atom and 0, so that ``n`` is the noise, which stays what it is while r goes to 0 although z no
    longer tells it from rounding; in a smooth density a point nearby and a length over which the density
    changes. An error in ``n`` is then an error in nats, up to a factor of the order of ``|n| + sqrt(d)``.

    Attributes
    ----------
    distribution
        The data as seen from the origin: moved there where the data can be moved without rounding twice
        (mixtures), otherwise as given.
    origin
        Shape (d,).
    offset
        Shape (d,): what a point is moved by before ``distribution`` sees it; 0 where that was moved.
    width
        Not negative, in units of the data.
    """

    distribution: Distribution
    origin: Array
    offset: Array
    width: float

    @classmethod
    def around(cls, distribution: Distribution, x: Array, level: Level) -> "Frame":
        """Return the frame that suits the point ``x`` (d,) at ``level``."""
        origin = distribution.posterior_mean(x[None], *level)[0].astype(np.float64)
        moved = _moved(distribution, origin)
        offset = origin if moved is None else np.zeros_like(origin)
        frame = cls(distribution if moved is None else moved, origin, offset, 0.0)
        return dataclasses.replace(frame, width=frame._width(level.data_coordinates(x, origin), level.ratio))

    def around_state(self, z: Array, ratio: float, distribution: Distribution) -> "Frame":
        """Return the frame that suits the point at ``z`` (d,) from this frame's origin, noise ``ratio``.

        ``distribution`` is the one that this frame was made of.
        """
        shift = self.distribution.posterior_mean((z + self.offset)[None], 1.0, ratio)[0] - self.offset
        origin = (self.origin + shift).astype(np.float64)
        moved = _moved(distribution, origin)
        offset = origin if moved is None else np.zeros_like(origin)
        frame = Frame(distribution if moved is None else moved, origin, offset, 0.0)
        return dataclasses.replace(frame, width=frame._width(z + (self.origin - origin), ratio))

    def score(self, z: Array, ratio: float) -> Array:
        """Score of the density of ``z`` (d,) at noise ``ratio``, shape (d,)."""
        return np.asarray(self.distribution.score((z + self.offset)[None], 1.0, ratio)[0])

    def fisher(self, z: Array, ratio: float) -> Array:
        """Fisher information of the density of ``z``, shape (d, d)."""
        return np.asarray(self.distribution.fisher((z + self.offset)[None], 1.0, ratio)[0])

    def fisher_vector_product(self, z: Array, v: Array, ratio: float) -> Array:
        """Fisher information times ``v`` (d,), shape (d,)."""
        return np.asarray(self.distribution.fisher_vector_product((z + self.offset)[None], v[None], 1.0, ratio)[0])

    def fisher_trace(self, z: Array, ratio: float) -> float:
        """Trace of the Fisher information."""
        return float(self.distribution.fisher_trace((z + self.offset)[None], 1.0, ratio)[0])

    def log_density(self, z: Array, ratio: float) -> float:
        """Log density of ``z`` in nats."""
        return float(self.distribution.log_density((z + self.offset)[None], 1.0, ratio)[0])

    def _width(self, z: Array, ratio: float) -> float:
        # Inside of a box, say, the density is flat to the last digit, and more noise must tell how far that goes.
        while True:
            curvature = np.abs(np.linalg.eigvalsh(self.fisher(z, ratio).astype(np.float64))).max()
            # Where the density has an inflection the curvature vanishes, and its slope tells the scale.
            slope = float(np.square(self.score(z, ratio)).mean())
            inverse_square = max(float(curvature), slope)
            if inverse_square * ratio**2 > _NOTICEABLE:
                return math.sqrt(max(0.0, 1 / inverse_square - ratio**2))
            ratio *= 2


def _moved(distribution: Distribution, origin: Array) -> Distribution | None:
    """Return the distribution with ``origin`` subtracted from its data; None where there is no such thing."""
    if isinstance(distribution, DiracMixture):
        return dataclasses.replace(distribution, atoms=distribution.atoms - origin)
    if isinstance(distribution, GaussianMixture):
        return dataclasses.replace(distribution, means=distribution.means - origin)
    return None
