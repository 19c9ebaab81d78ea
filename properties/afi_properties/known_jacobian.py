"""A function that can play epsilon, with a Jacobian that is known and not symmetric.

The exact epsilon has a symmetric Jacobian, so it cannot tell ``J v`` from ``J^T v``; a trained one can.
"""

import dataclasses

import numpy as np

from afi_properties.problem import Array


@dataclasses.dataclass(frozen=True, eq=False)
class SkewEps:
    """``eps(x, t) = c(t) x + p tanh(<q, x - centre>)`` with ``c = 1 + sigma / (1 + sigma)``.

    Its Jacobian is ``c I + p q^T / cosh(<q, x - centre>)^2``: of rank one beside the identity, so that its
    products are exact in any dimension without a matrix.
    """

    p: Array  # (d,)
    q: Array  # (d,)
    centre: Array  # (d,)

    def scale(self, sigma: Array) -> Array:
        """``c`` at noise ``sigma`` (B,), shape (B,)."""
        return 1 + sigma / (1 + sigma)

    def slope(self, x: Array) -> Array:
        """Return the derivative of the tanh at ``x`` (B, d), shape (B,)."""
        return 1 / np.cosh((x - self.centre) @ self.q) ** 2

    def value(self, x: Array, sigma: Array) -> Array:
        """Return the function itself, shape (B, d)."""
        return self.scale(sigma)[:, None] * x + np.tanh((x - self.centre) @ self.q)[:, None] * self.p

    def jvp(self, x: Array, v: Array, sigma: Array) -> Array:
        """``J v``, shape (B, d)."""
        return self.scale(sigma)[:, None] * v + (self.slope(x) * (v @ self.q))[:, None] * self.p

    def vjp(self, x: Array, v: Array, sigma: Array) -> Array:
        """``J^T v``, shape (B, d)."""
        return self.scale(sigma)[:, None] * v + (self.slope(x) * (v @ self.p))[:, None] * self.q

    def trace(self, x: Array, sigma: Array) -> Array:
        """``tr J``, shape (B,)."""
        return self.scale(sigma) * x.shape[1] + self.slope(x) * (self.p @ self.q)

    def sum_of_entries(self, x: Array, sigma: Array) -> Array:
        """Sum of all entries of ``J``, shape (B,): what a sum over outputs differentiates to."""
        return self.scale(sigma) * x.shape[1] + self.slope(x) * self.p.sum() * self.q.sum()


def skew_eps_for(x: Array, sigma: Array, seed: int) -> SkewEps:
    """Draw a :class:`SkewEps` whose tanh is steep, not saturated, at the points ``x`` (B, d)."""
    rng = np.random.default_rng([seed, 1])
    centre = x.mean(axis=0)
    spread = max(float(np.abs(x - centre).max()), float(sigma.max()))
    p, q = rng.standard_normal((2, x.shape[1]))
    # |p| |q| grows like the identity's norm, so that the two parts of the Jacobian stay comparable.
    return SkewEps(p=p, q=q / max(1.0, spread * np.sqrt(x.shape[1])), centre=centre)


def lopsided_eps_for(x: Array, sigma: Array, seed: int) -> SkewEps:
    """Draw a :class:`SkewEps` all of whose ``p_i q_j`` are positive, of size ``1 / sqrt(d)``.

    The off-diagonal entries then sum to sqrt(d) times the trace or so, and have no more than its share of the norm.
    """
    rng = np.random.default_rng([seed, 1])
    centre = x.mean(axis=0)
    spread = max(1.0, float(np.abs(x - centre).max()), float(sigma.max()))
    p, q = np.abs(rng.standard_normal((2, x.shape[1])))
    return SkewEps(p=p, q=q / (spread * np.sqrt(x.shape[1])), centre=centre)
