"""Analytical Fisher information of a diffused mixture of Diracs, in NumPy.

``q_t(x) = sum_i weights_i N(x; alpha y_i, sigma^2 I)`` for atoms ``y_i`` (eq. 10), and
``F = -Hessian log q_t``.

Common to all functions: ``x`` and ``v`` have shape (B, *event_shape) and ``data`` (N, *event_shape), d values
each; ``alpha`` and ``sigma`` are floats or arrays of shape (B,); ``weights`` has shape (N,), is not negative
and need not sum to one, and None means uniform. Arithmetic and results are in the dtype of ``x`` (float16,
float32 or float64), to which everything else is rounded first; no input is changed.
Memory grows with N d, never with B N d.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class _Posterior(NamedTuple):
    """The posterior over the atoms at one point; atoms whose weight underflows to zero are left out."""

    weights: Array  # (n,)
    nearest: Array  # (d,): the atom of the largest weight, from which offsets count
    offsets: Array  # (n, d)
    mean: Array  # (d,): an offset too


def _per_sample(value: float | Array, name: str, x: Array) -> Array:
    noise = np.asarray(value).astype(x.dtype)
    if noise.ndim and noise.shape != x.shape[:1]:
        raise ValueError(f"{name} must be a float or have shape ({len(x)},), not {noise.shape}.")
    return np.broadcast_to(noise, x.shape[:1])


def _points(x: Array, alpha: float | Array, sigma: float | Array) -> tuple[Array, Array, Array]:
    if not np.issubdtype(x.dtype, np.floating) or x.ndim < 2:
        raise ValueError(f"x must be floating point of shape (B, *event_shape), not {x.dtype} {x.shape}.")
    noise = _per_sample(alpha, "alpha", x), _per_sample(sigma, "sigma", x)
    if not (noise[1] > 0).all():
        raise ValueError(f"sigma must be positive in {x.dtype}.")
    return np.ascontiguousarray(x).reshape(len(x), -1), *noise


def _like(value: Array, x: Array, name: str) -> Array:
    if value.shape != x.shape:
        raise ValueError(f"{name} must have the shape of x, {x.shape}, not {value.shape}.")
    return np.ascontiguousarray(value, dtype=x.dtype).reshape(len(x), -1)


def _posteriors(
    x: Array, alpha: float | Array, sigma: float | Array, data: Array, weights: Array | None
) -> Iterator[tuple[Array, Any, Any, _Posterior]]:
    """Yield ``(x, alpha, sigma, posterior)`` point by point, so that no (B, N, d) array ever exists."""
    points, alphas, sigmas = _points(x, alpha, sigma)
    if data.shape[1:] != x.shape[1:] or not len(data):
        raise ValueError(f"data must have shape (N, *{x.shape[1:]}) with N > 0, not {data.shape}.")
    # Contiguous, since only then does NumPy sum a row pairwise.
    atoms = np.ascontiguousarray(data, dtype=x.dtype).reshape(len(data), -1)
    weights = np.ones(len(data)) if weights is None else np.asarray(weights)
    if weights.shape != (len(data),) or not (weights >= 0).all() or not (weights > 0).any():
        raise ValueError(f"weights must have shape ({len(data)},), no negative and one positive entry.")
    # An atom without weight must not set the scale of the distances either.
    atoms = atoms[weights > 0]
    # The logarithm first: a weight may be too small for float16 where its logarithm is not.
    log_weights = np.log(weights[weights > 0]).astype(x.dtype)
    for point, a, s in zip(points, alphas, sigmas, strict=True):
        yield point, a, s, _posterior(point, a, s, atoms, log_weights)


def _posterior(x: Array, alpha: Any, sigma: Any, atoms: Array, log_weights: Array) -> _Posterior:
    # Distances from differences: |x|^2 - 2<x, y> + |y|^2 loses the digits that an offset takes up.
    difference = x - alpha * atoms
    # In float16 a distance in units of sigma may overflow even for the nearest atom: enlarge the unit by
    # a power of two, which costs no rounding. What still overflows is farther by 60,000 and weighs nothing.
    room = 0.5 * np.log2(16.0 * x.size / float(np.finfo(x.dtype).max))
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        largest = np.log2(np.abs(difference).max(axis=1).min()) - np.log2(sigma) + room
        unit = np.exp2(np.maximum(np.ceil(largest), 0)).astype(x.dtype)
        difference /= sigma * unit
        distances = np.square(difference, out=difference).sum(axis=1)
        excess = distances - distances.min()
        # The nearest atom's 0 stays 0 where the unit itself overflows.
        logits = log_weights - np.where(excess > 0, 0.5 * excess * unit * unit, 0)
    posterior = np.exp(logits - logits.max())
    nearest = atoms[posterior.argmax()]
    # Not only faster: 0 times an offset that overflows would be NaN.
    kept = posterior > 0
    posterior = posterior[kept] / posterior.sum()
    offsets = atoms[kept] - nearest
    return _Posterior(posterior, nearest, offsets, posterior @ offsets)


def _covariance_root(posterior: _Posterior, alpha: Any, sigma: Any) -> Array:
    """Return R, shape (n, d), with ``R^T R = alpha^2 / sigma^2 Cov[x_0 | x_t]``, from centred residuals.

    The other ``1 / sigma^2`` of ``alpha^2 / sigma^4`` is applied last: float16 has no room for both at once.
    """
    scale = alpha / sigma * np.sqrt(posterior.weights)
    residuals: Array = (posterior.offsets - posterior.mean) * scale[:, None]
    return residuals


def score(x: Array, alpha: float | Array, sigma: float | Array, data: Array, weights: Array | None = None) -> Array:
    """Gradient of ``log q_t`` (eq. 27).

    Returns
    -------
    Array
        Shape and dtype of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``x`` is not floating point, ``sigma`` is not positive, or the weights are
        negative or all zero.
    """
    result = np.empty((len(x), x[:1].size), x.dtype)
    for b, (point, a, s, p) in enumerate(_posteriors(x, alpha, sigma, data, weights)):
        result[b] = (a * p.mean - (point - a * p.nearest)) / s / s
    return result.reshape(x.shape)


def posterior_mean(
    x: Array, alpha: float | Array, sigma: float | Array, data: Array, weights: Array | None = None
) -> Array:
    """``E[x_0 | x_t = x]``, the y-prediction (Prop. 2).

    Returns
    -------
    Array
        Shape and dtype of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    """
    result = np.empty((len(x), x[:1].size), x.dtype)
    for b, (_, _, _, p) in enumerate(_posteriors(x, alpha, sigma, data, weights)):
        result[b] = p.nearest + p.mean
    return result.reshape(x.shape)


def fisher(x: Array, alpha: float | Array, sigma: float | Array, data: Array, weights: Array | None = None) -> Array:
    """Fisher information as a matrix (eq. 11), exactly symmetric.

    Returns
    -------
    Array
        Shape (B, d, d), dtype of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    """
    d = x[:1].size
    result = np.empty((len(x), d, d), x.dtype)
    for b, (_, a, s, p) in enumerate(_posteriors(x, alpha, sigma, data, weights)):
        root = _covariance_root(p, a, s)
        result[b] = (np.eye(d, dtype=x.dtype) - root.T @ root) / s / s
    return result


def fisher_vector_product(
    x: Array, v: Array, alpha: float | Array, sigma: float | Array, data: Array, weights: Array | None = None
) -> Array:
    """Fisher information times ``v`` (eq. 11 as an operator), without forming the matrix.

    Returns
    -------
    Array
        Shape and dtype of ``x``.

    Raises
    ------
    ValueError
        As `score`, or if the shape of ``v`` is not that of ``x``.
    """
    directions = _like(v, x, "v")
    result = np.empty_like(directions)
    for b, (_, a, s, p) in enumerate(_posteriors(x, alpha, sigma, data, weights)):
        root = _covariance_root(p, a, s)
        result[b] = (directions[b] - (root @ directions[b]) @ root) / s / s
    return result.reshape(x.shape)


def fisher_trace(
    x: Array, alpha: float | Array, sigma: float | Array, data: Array, weights: Array | None = None
) -> Array:
    """Trace of the Fisher information (eq. 16, with the second moment centred).

    As the difference of second moments that eq. 16 is, it would lose the digits that the two share.

    Returns
    -------
    Array
        Shape (B,), dtype of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    """
    result = np.empty(len(x), x.dtype)
    for b, (point, a, s, p) in enumerate(_posteriors(x, alpha, sigma, data, weights)):
        result[b] = (point.size - np.square(_covariance_root(p, a, s)).sum()) / s / s
    return result


def fisher_trace_matching(x: Array, alpha: float | Array, sigma: float | Array, eps: Array, head: Array) -> Array:
    """Trace of the Fisher information from a trace head (eq. 17, corrected).

    ``d / sigma^2 - alpha^2 / sigma^4 (d head - |ybar|^2)`` with ``ybar = (x - sigma eps) / alpha``. Eq. 17 as
    printed lacks the ``1 / d`` of ``|ybar|^2``: the head is trained on ``|x_0|^2 / d``.

    Parameters
    ----------
    x, alpha, sigma
        As in every function here; ``alpha`` must not be zero.
    eps
        The noise prediction at ``x``, shape of ``x``.
    head
        ``E[|x_0|^2 | x_t = x] / d``, shape (B,).

    Returns
    -------
    Array
        Shape (B,), dtype of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``x`` is not floating point or ``sigma`` is not positive.
    """
    points, a, s = _points(x, alpha, sigma)
    if head.shape != (len(x),):
        raise ValueError(f"head must have shape ({len(x)},), not {head.shape}.")
    mean = (points - s[:, None] * _like(eps, x, "eps")) / a[:, None]
    # A mean of squares, not a sum: with d = 16,384 a sum leaves the range of float16.
    variance = head.astype(x.dtype) - np.square(mean).mean(axis=1)
    trace: Array = (1 - a / s * (a / s * variance)) / s / s * points.shape[1]
    return trace


def fisher_vector_product_endpoint(
    x: Array, v: Array, x0: Array, eps: Array, alpha: float | Array, sigma: float | Array
) -> Array:
    """Endpoint approximation of the Fisher information times ``v`` (eq. 20).

    ``v / sigma^2 - alpha^2 / sigma^4 (<x0, v> x0 - <ybar, v> ybar)`` with ``ybar = (x - sigma eps) / alpha``.
    Exact only where ``x0 x0^T`` happens to be the posterior second moment: it is no estimate of F in general.

    Parameters
    ----------
    x, alpha, sigma
        As in every function here; ``alpha`` must not be zero.
    v, x0, eps
        Directions, endpoints and the noise prediction at ``x``, each of the shape of ``x``.

    Returns
    -------
    Array
        Shape and dtype of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``x`` is not floating point or ``sigma`` is not positive.
    """
    points, a, s = (array.reshape(len(x), -1) for array in _points(x, alpha, sigma))
    direction, endpoint = _like(v, x, "v"), _like(x0, x, "x0")
    mean = (points - s * _like(eps, x, "eps")) / a * (a / s)
    endpoint = endpoint * (a / s)
    # x0 x0^T - ybar ybar^T = gap x0^T + ybar gap^T: the two outer products of eq. 20 nearly cancel.
    gap = endpoint - mean
    along_endpoint = (endpoint * direction).sum(axis=1, keepdims=True)
    along_gap = (gap * direction).sum(axis=1, keepdims=True)
    product: Array = (direction - along_endpoint * gap - along_gap * mean) / s / s
    return product.reshape(x.shape)
