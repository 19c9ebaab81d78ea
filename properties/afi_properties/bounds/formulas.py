r"""The bounds as functions of arrays, shape (B,) each.

``delta_1`` bounds the error of the trace head, ``|t_theta - E[|x_0|^2 | x_t] / d|``, and ``delta_2`` the Euclidean norm
of the error of the noise prediction; the y-prediction is then off by at most ``r = sigma delta_2 / alpha``.

**Trace.** With ``y = m + k``, ``|k| <= r``: ``|y|^2 - |m|^2 = 2 <m, k> + |k|^2``, of which ``2 |m| r + r^2`` is the
largest value, attained by ``k`` along ``m``; the head adds ``d delta_1``, with a sign of its own. So the bound is
attained for every ``m``.

**Operator.** The error is ``alpha^2 / sigma^4 (P - Q)`` with ``P = Cov + y y^T`` and ``Q = x_0 x_0^T``, both positive
semi-definite, so that ``tr(P Q) >= 0`` and ``|P - Q|^2 <= |P|^2 + |Q|^2 <= (tr P)^2 + |x_0|^4``; and
``tr P = M - |m|^2 + |m + k|^2 <= M + 2 |m| r + r^2`` with ``M = E[|x_0|^2 | x_t]``. In two or more dimensions it is
attained for every ``M``, ``|m|``, ``|x_0|`` and ``r``: atoms on a line through the origin, ``k`` along it, ``x_0`` at a
right angle. By ``M <= D^2`` and ``|m| <= D`` it is at most ``sqrt((D + r)^4 + D^4)``.
"""

import numpy as np

from afi_reference.distribution import Array


def printed_trace_bound(alpha: Array, sigma: Array, delta_1: Array, delta_2: Array) -> Array:
    """Return the bound of Prop. 7 as printed."""
    return alpha**2 / sigma**4 * delta_1 + delta_2**2 / sigma**2


def trace_bound(alpha: Array, sigma: Array, d: int, mean_norm: Array, delta_1: Array, delta_2: Array) -> Array:
    """Return the corrected bound of Prop. 7, for eq. 17 with its 1/d.

    Parameters
    ----------
    alpha, sigma : Array
        The noise level.
    d : int
        The dimension.
    mean_norm : Array
        The norm of the posterior mean. The norm of the y-prediction gives a bound, too, and one that can be computed.
    delta_1, delta_2 : Array
        The errors of the trace head and of the noise prediction.

    Returns
    -------
    Array
        ``alpha^2 d delta_1 / sigma^4 + 2 alpha mean_norm delta_2 / sigma^3 + delta_2^2 / sigma^2``.
    """
    return alpha**2 * d * delta_1 / sigma**4 + 2 * alpha * mean_norm * delta_2 / sigma**3 + delta_2**2 / sigma**2


def printed_operator_bound(alpha: Array, sigma: Array, d: int, radius: Array, delta_2: Array) -> Array:
    """Return the bound of Prop. 8 as printed."""
    return alpha**2 / sigma**3 * (2 * radius**2 + np.sqrt(d) * delta_2)


def operator_bound(
    alpha: Array, sigma: Array, second_moment: Array, mean_norm: Array, end_norm: Array, delta_2: Array
) -> Array:
    """Return the corrected bound of Prop. 8 in the Hilbert-Schmidt norm, by what is known about the posterior.

    Parameters
    ----------
    alpha, sigma : Array
        The noise level.
    second_moment : Array
        ``E[|x_0|^2 | x_t]``.
    mean_norm, end_norm : Array
        The norms of the posterior mean and of the endpoint.
    delta_2 : Array
        The error of the noise prediction.

    Returns
    -------
    Array
        ``alpha^2 / sigma^4 sqrt((second_moment + 2 mean_norm r + r^2)^2 + end_norm^4)``, ``r = sigma delta_2 / alpha``.
    """
    r = sigma * delta_2 / alpha
    return alpha**2 / sigma**4 * np.hypot(second_moment + 2 * mean_norm * r + r**2, end_norm**2)


def operator_bound_by_radius(alpha: Array, sigma: Array, radius: Array, delta_2: Array) -> Array:
    """Return the corrected bound of Prop. 8 for atoms and an endpoint in a ball around the origin.

    Parameters
    ----------
    alpha, sigma : Array
        The noise level.
    radius : Array
        The radius of the ball, D_y of eq. 10.
    delta_2 : Array
        The error of the noise prediction.

    Returns
    -------
    Array
        ``alpha^2 / sigma^4 sqrt((radius + r)^4 + radius^4)``, ``r = sigma delta_2 / alpha``.
    """
    return operator_bound(alpha, sigma, radius**2, radius, radius, delta_2)
