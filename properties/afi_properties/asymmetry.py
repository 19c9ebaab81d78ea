"""How far the Jacobian of the map along the flow is from symmetric: exactly, and for Diracs by a coarse integration."""

import numpy as np

from afi_properties.problem import Array

NUMERICAL = 1e-8
"""Asymmetry below this is rounding and the error of the integration."""

_COARSE_STEPS = 48


def estimate_asymmetry(x: Array, levels: Array, centres: Array, weights: Array) -> Array:
    """Return ``|J - J^T| / |J|`` for Diracs at the points ``x`` (B, d), to a digit or two, (B,).

    Classical Runge-Kutta of ``dn/da = m``, ``dM/da = a Cov M``, n = x / sigma, in the time log a, a = alpha / sigma.
    ``levels`` holds alpha and sigma of both ends, shape (2, 2).
    """
    count, d = x.shape
    logs, half_squares = np.log(weights), np.square(centres).sum(axis=1) / 2

    def slope(time: float, n: Array, M: Array) -> tuple[Array, Array]:
        a = np.exp(time)
        logits = logs + a * (n @ centres.T) - a * a * half_squares
        posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
        mean = posterior @ centres
        second = np.einsum("bn,ni,nj->bij", posterior, centres, centres)
        return a * mean, a * a * (second - mean[:, :, None] * mean[:, None]) @ M

    n, M = x / levels[0, 1], np.broadcast_to(np.eye(d), (count, d, d))
    ends: Array = np.log(levels[:, 0] / levels[:, 1])
    time, last = ends.tolist()
    h = (last - time) / _COARSE_STEPS
    for _ in range(_COARSE_STEPS):
        first = slope(time, n, M)
        second = slope(time + h / 2, n + h / 2 * first[0], M + h / 2 * first[1])
        third = slope(time + h / 2, n + h / 2 * second[0], M + h / 2 * second[1])
        fourth = slope(time + h, n + h * third[0], M + h * third[1])
        n, M = (
            value + h / 6 * (one + 2 * two + 2 * three + four)
            for value, one, two, three, four in zip((n, M), first, second, third, fourth, strict=True)
        )
        time += h
    return asymmetry(M)


def asymmetry(jacobian: Array) -> Array:
    """Return ``|J - J^T| / |J|`` in Frobenius norms, (B, d, d) to (B,)."""
    sizes = np.sqrt(np.square(jacobian).sum(axis=(1, 2)))
    return np.asarray(np.sqrt(np.square(jacobian - jacobian.swapaxes(1, 2)).sum(axis=(1, 2))) / sizes)
