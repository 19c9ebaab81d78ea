"""The map of the probability-flow ODE for Gaussian mixtures and its Jacobian (Theorem 1), in NumPy and SciPy.

In the coordinates ``n = x / sigma``, ``r = log(alpha / sigma)`` the probability-flow ODE (eq. 5) is ``dn/dr = a m``,
``a = e^r``, with ``m = E[x_0 | n, r]``, whatever the schedule. The Jacobian ``J = dn / dn_start`` follows
``dJ/dr = a^2 Cov[x_0 | n, r] J``. For a component with mean mu_k and covariance ``Sigma_k = Q diag(l) Q^T``,
``m_k = mu_k + a Sigma_k (a^2 Sigma_k + I)^{-1} (n - a mu_k)`` and ``Cov_k = Sigma_k (a^2 Sigma_k + I)^{-1}``.

Common to both functions: ``x`` has shape (B, *event_shape), d values each; ``means`` (K, *event_shape), ``covariances``
(K, d, d), positive semi-definite; ``weights`` (K,), not negative, need not sum to one, and None means uniform;
``schedule`` has the methods ``alpha`` and ``sigma`` of a time (floats); ``t_start`` may be before or after ``t_end``.
Arithmetic is in float64, results are in the dtype of ``x``; no input is changed. ``tolerance`` is that of one step.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TOLERANCE = 1e-11


class Schedule(Protocol):
    """The scales of time in ``x_t = alpha(t) x_0 + sigma(t) noise``."""

    def alpha(self, t: Any) -> Any:
        """Signal scale."""

    def sigma(self, t: Any) -> Any:
        """Noise scale."""


class _Mixture:
    """Components in their own axes: the posterior of x_0 at one point."""

    def __init__(self, x: Array, means: Array, covariances: Array, weights: Array | None) -> None:
        if not np.issubdtype(x.dtype, np.floating) or x.ndim < 2:
            raise ValueError(f"x must be floating point of shape (B, *event_shape), not {x.dtype} {x.shape}.")
        k, d = len(means), x[:1].size
        if means.shape[1:] != x.shape[1:] or not k:
            raise ValueError(f"means must have shape (K, *{x.shape[1:]}) with K > 0, not {means.shape}.")
        if covariances.shape != (k, d, d):
            raise ValueError(f"covariances must have shape {(k, d, d)}, not {covariances.shape}.")
        mass = np.ones(k) if weights is None else np.asarray(weights, dtype=np.float64)
        if mass.shape != (k,) or not (mass >= 0).all() or not (mass > 0).any():
            raise ValueError(f"weights must have shape ({k},), no negative and one positive entry.")
        used = mass > 0
        self.means = np.asarray(means, dtype=np.float64).reshape(k, d)[used]
        variances, self.axes = np.linalg.eigh(np.asarray(covariances, dtype=np.float64)[used])
        self.variances = np.maximum(variances, 0)  # rounding makes zeros negative
        self.log_weights = np.log(mass[used])

    def posterior(self, n: Array, a: float) -> tuple[Array, Array]:
        """Return mean (d,) and covariance (d, d) of x_0 given ``n = x / sigma`` (d,), a = alpha / sigma."""
        total = a * a * self.variances + 1
        away = ((n - a * self.means)[:, None] @ self.axes)[:, 0]  # (K, d), in each component's axes
        logits = self.log_weights - 0.5 * (away**2 / total + np.log(total)).sum(axis=1)
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        centres = self.means + np.einsum("kij,kj->ki", self.axes, a * self.variances / total * away)
        mean = shares @ centres
        inside = np.einsum("k,kij,kj,klj->il", shares, self.axes, self.variances / total, self.axes)
        apart = np.sqrt(shares)[:, None] * (centres - mean)
        return mean, inside + apart.T @ apart


def transport_map(
    x: Array,
    means: Array,
    covariances: Array,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    weights: Array | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Array:
    """Follow the probability-flow ODE from ``t_start`` to ``t_end`` (eq. 21).

    Returns
    -------
    Array
        Shape and dtype of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``x`` is not floating point, alpha or sigma is not positive at an end, or the weights
        are negative or all zero.
    RuntimeError
        If the integration cannot go on.
    """
    mixture = _Mixture(x, means, covariances, weights)

    def slope(r: float, n: Array) -> Array:
        a = float(np.exp(r))
        return np.asarray(a * mixture.posterior(n, a)[0])

    (_, sigma, first), (_, sigma_end, last) = (_level(schedule, t) for t in (t_start, t_end))
    points = x.reshape(len(x), -1).astype(np.float64) / sigma
    ends = np.stack([_integrate(slope, first, last, point, tolerance) for point in points])
    return np.asarray(sigma_end * ends).reshape(x.shape).astype(x.dtype)


def transport_jacobian(
    x: Array,
    means: Array,
    covariances: Array,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    weights: Array | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Array:
    """Jacobian of :func:`transport_map`, by the variational equation along the trajectory (eq. 53, corrected).

    Returns
    -------
    Array
        Shape (B, d, d), dtype of ``x``: rows belong to ``x_end``, columns to ``x_start``. Not symmetric in general.

    Raises
    ------
    ValueError, RuntimeError
        As :func:`transport_map`.
    """
    mixture, d = _Mixture(x, means, covariances, weights), x[:1].size

    def slope(r: float, state: Array) -> Array:
        a = float(np.exp(r))
        mean, covariance = mixture.posterior(state[:d], a)
        return np.concatenate([a * mean, (a * a * covariance @ state[d:].reshape(d, d)).ravel()])

    (_, sigma, first), (_, sigma_end, last) = (_level(schedule, t) for t in (t_start, t_end))
    result = np.empty((len(x), d, d))
    for b, point in enumerate(x.reshape(len(x), d).astype(np.float64)):
        state = np.concatenate([point / sigma, np.eye(d).ravel()])
        result[b] = _integrate(slope, first, last, state, tolerance)[d:].reshape(d, d)
    return np.asarray(sigma_end / sigma * result).astype(x.dtype)


def _level(schedule: Schedule, t: float) -> tuple[float, float, float]:
    """Return alpha, sigma and log(alpha / sigma)."""
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    if not (0 < alpha < np.inf and 0 < sigma < np.inf):
        raise ValueError(
            f"the flow needs 0 < alpha and 0 < sigma; they are {alpha} and {sigma} at t = {t}. Stop a little short of "
            "the end."
        )
    return alpha, sigma, float(np.log(alpha / sigma))


def _integrate(slope: Any, start: float, end: float, state: Array, tolerance: float) -> Array:
    # Here, because importing this module should not take what importing scipy.integrate takes.
    from scipy.integrate import solve_ivp

    if start == end:
        return state
    solution = solve_ivp(slope, (start, end), state, method="DOP853", rtol=tolerance, atol=tolerance, t_eval=[end])
    if not solution.success:
        raise RuntimeError(f"the flow was stopped between {start} and {end}: {solution.message}")
    final: Array = solution.y[:, -1]
    return final
