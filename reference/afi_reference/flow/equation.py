"""The probability-flow ODE in the coordinates of a frame: a right-hand side without stiff ends."""

import math
from dataclasses import dataclass

import numpy as np

from afi_reference.distribution import Array
from afi_reference.flow.frame import Frame


@dataclass(frozen=True, eq=False)
class FlowEquation:
    """The flow (eq. 5) of the state ``n``, and its linearisation, in the time ``rho = log(sigma / alpha)``.

    With ``z = x / alpha`` and ``r = sigma / alpha``, f of eq. 2 drops out of eq. 5, and ``d rho / dt`` is
    ``g^2 / (2 sigma^2)``: what remains is ``dz / d rho = -r^2 score_z``, the same for every schedule. With
    ``n = (z - origin) / R`` and ``R^2 = width^2 + r^2`` (see :class:`~afi_reference.flow.Frame`)

        ``dn / d rho = -r^2 (score_z + (z - origin) / R^2) / R``,
        ``gradient = r^2 (F_z - I / R^2)``.

    Both vanish exponentially in ``|rho|`` at both ends, for Diracs and for smooth densities alike. In between
    the gradient is as large as ``Cov[x_0 | x] / r^2``. Where that is much larger than 1, between atoms far
    apart, the flow towards noise contracts as strongly (it is stiff), and towards data it expands as strongly
    (a rounding decides for one of the atoms).
    """

    frame: Frame

    def scale(self, rho: float) -> float:
        """``R``: the unit of the state, in units of the data."""
        return math.hypot(self.frame.width, math.exp(rho))

    def velocity(self, rho: float, n: Array) -> Array:
        """``dn / d rho``, shape (d,)."""
        r, scale = math.exp(rho), self.scale(rho)
        z = scale * n
        return np.asarray(-(r**2) * (self.frame.score(z, r) + z / scale**2) / scale)

    def gradient(self, rho: float, n: Array) -> Array:
        """Jacobian of the velocity, shape (d, d), symmetric."""
        r, scale = math.exp(rho), self.scale(rho)
        return np.asarray(r**2 * self.frame.fisher(scale * n, r) - (r / scale) ** 2 * np.eye(len(n)))

    def gradient_product(self, rho: float, n: Array, v: Array) -> Array:
        """Jacobian of the velocity times ``v``, shape (d,)."""
        r, scale = math.exp(rho), self.scale(rho)
        return np.asarray(r**2 * self.frame.fisher_vector_product(scale * n, v, r) - (r / scale) ** 2 * v)

    def divergence(self, rho: float, n: Array) -> float:
        """Trace of the Jacobian of the velocity."""
        r, scale = math.exp(rho), self.scale(rho)
        return r**2 * self.frame.fisher_trace(scale * n, r) - (r / scale) ** 2 * len(n)
