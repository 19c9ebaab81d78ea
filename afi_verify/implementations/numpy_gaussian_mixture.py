"""Analytical Fisher information of a diffused Gaussian mixture, in NumPy.

``q_t(x) = sum_k weights_k N(x; alpha mu_k, C_k)`` with ``C_k = alpha^2 Sigma_k + sigma^2 I``, and
``F = -Hessian log q_t`` (Prop. 3). With component scores ``s_k = -C_k^{-1} (x - alpha mu_k)`` and posterior
weights ``gamma_k``, ``F = sum_k gamma_k C_k^{-1} - Cov_gamma(s)``: Diracs (eq. 11) are ``Sigma_k = 0``.

Common to all functions: ``x`` and ``v`` have shape (B, *event_shape), d values each; ``alpha`` and ``sigma``
are floats or arrays of shape (B,); ``means`` has shape (K, *event_shape), ``covariances`` (K, d, d), positive
semidefinite; ``weights`` (K,), not negative, need not sum to one, None means uniform. Arithmetic and
results are in the dtype of ``x`` (float16: see `_point_dtype`); no input is changed.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class _Posterior(NamedTuple):
    """The components of positive weight, seen from one point."""

    alpha: Any
    means: Array  # (K, d)
    covariances: Array  # (K, d, d)
    whitening: Array  # (K, d, d): inverse Cholesky factors W_k, C_k^{-1} = W_k^T W_k
    weights: Array  # (K,): gamma
    scores: Array  # (K, d): s_k
    score: Array  # (d,): their mean, the score of q_t

    def deviations(self) -> Array:
        """``sqrt(gamma_k) (s_k - score)``, shape (K, d): centred, so that nothing cancels in Cov(s)."""
        result: Array = np.sqrt(self.weights)[:, None] * (self.scores - self.score)
        return result


def _point_dtype(x: Array) -> Any:
    # LAPACK has no half-precision Cholesky: float16 is computed in float32 and rounded once, at the end.
    return np.float32 if x.dtype == np.float16 else x.dtype


def _per_sample(value: float | Array, name: str, x: Array) -> Array:
    noise = np.asarray(value).astype(x.dtype).astype(_point_dtype(x))
    if noise.ndim and noise.shape != x.shape[:1]:
        raise ValueError(f"{name} must be a float or have shape ({len(x)},), not {noise.shape}.")
    return noise


def _directions(v: Array, x: Array) -> Array:
    if v.shape != x.shape:
        raise ValueError(f"v must have the shape of x, {x.shape}, not {v.shape}.")
    return v.astype(_point_dtype(x)).reshape(len(x), -1)


def _posteriors(
    x: Array,
    alpha: float | Array,
    sigma: float | Array,
    means: Array,
    covariances: Array,
    weights: Array | None,
) -> Iterator[_Posterior]:
    if not np.issubdtype(x.dtype, np.floating) or x.ndim < 2:
        raise ValueError(f"x must be floating point of shape (B, *event_shape), not {x.dtype} {x.shape}.")
    k, d, dtype = len(means), x[:1].size, _point_dtype(x)
    if means.shape[1:] != x.shape[1:] or not k:
        raise ValueError(f"means must have shape (K, *{x.shape[1:]}) with K > 0, not {means.shape}.")
    if covariances.shape != (k, d, d):
        raise ValueError(f"covariances must have shape {(k, d, d)}, not {covariances.shape}.")
    weights = np.ones(k) if weights is None else np.asarray(weights)
    if weights.shape != (k,) or not (weights >= 0).all() or not (weights > 0).any():
        raise ValueError(f"weights must have shape ({k},), no negative and one positive entry.")
    alphas, sigmas = _per_sample(alpha, "alpha", x), _per_sample(sigma, "sigma", x)
    if not (sigmas > 0).all():
        raise ValueError(f"sigma must be positive in {x.dtype}.")
    used = weights > 0
    centres, spreads = means[used].reshape(-1, d).astype(dtype), covariances[used].astype(dtype)
    log_weights = np.log(weights[used]).astype(dtype)
    factors = None
    for b, point in enumerate(x.reshape(len(x), d).astype(dtype)):
        a = alphas[b] if alphas.ndim else alphas[()]
        s = sigmas[b] if sigmas.ndim else sigmas[()]
        # One factorisation serves the whole batch when the noise is shared.
        if factors is None or alphas.ndim or sigmas.ndim:
            factors = _whitening(a, s, spreads)
        yield _posterior(point, a, centres, spreads, *factors, log_weights)


def _whitening(alpha: Any, sigma: Any, covariances: Array) -> tuple[Array, Array]:
    """Return the inverse Cholesky factors of all C_k and half their log determinants."""
    eye = np.eye(covariances.shape[1], dtype=covariances.dtype)
    lower = np.linalg.cholesky(alpha * alpha * covariances + sigma * sigma * eye)
    half_log_det = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    return np.linalg.solve(lower, np.broadcast_to(eye, lower.shape)), half_log_det


def _posterior(
    x: Array,
    alpha: Any,
    means: Array,
    covariances: Array,
    whitening: Array,
    half_log_det: Array,
    log_weights: Array,
) -> _Posterior:
    white = (whitening @ (x - alpha * means)[:, :, None])[:, :, 0]
    distances = np.square(white).sum(axis=1)
    logits = log_weights - 0.5 * (distances - distances.min()) - half_log_det
    gamma = np.exp(logits - logits.max())
    gamma /= gamma.sum()
    scores = -(white[:, None, :] @ whitening)[:, 0, :]
    return _Posterior(alpha, means, covariances, whitening, gamma, scores, gamma @ scores)


def score(
    x: Array,
    alpha: float | Array,
    sigma: float | Array,
    means: Array,
    covariances: Array,
    weights: Array | None = None,
) -> Array:
    """Gradient of ``log q_t`` (eq. 35): ``sum_k gamma_k s_k``.

    Returns
    -------
    Array
        Shape and dtype of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``x`` is not floating point, ``sigma`` is not positive, or the weights are
        negative or all zero.
    numpy.linalg.LinAlgError
        If some ``alpha^2 Sigma_k + sigma^2 I`` is not positive definite in the dtype of the computation.
    """
    rows = [p.score for p in _posteriors(x, alpha, sigma, means, covariances, weights)]
    return np.stack(rows).reshape(x.shape).astype(x.dtype)


def posterior_mean(
    x: Array,
    alpha: float | Array,
    sigma: float | Array,
    means: Array,
    covariances: Array,
    weights: Array | None = None,
) -> Array:
    """``E[x_0 | x_t = x]`` (Prop. 4): ``sum_k gamma_k (mu_k - alpha Sigma_k s_k)``.

    Returns
    -------
    Array
        Shape and dtype of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    numpy.linalg.LinAlgError
        As `score`.
    """
    rows = []
    for p in _posteriors(x, alpha, sigma, means, covariances, weights):
        shifts = p.alpha * (p.covariances @ p.scores[:, :, None])[:, :, 0]
        # Offsets from the likeliest mean, as gamma sums to one only up to rounding.
        best = p.means[p.weights.argmax()]
        rows.append(best + p.weights @ (p.means - best - shifts))
    return np.stack(rows).reshape(x.shape).astype(x.dtype)


def fisher(
    x: Array,
    alpha: float | Array,
    sigma: float | Array,
    means: Array,
    covariances: Array,
    weights: Array | None = None,
) -> Array:
    """Fisher information as a matrix (eq. 13).

    Returns
    -------
    Array
        Shape (B, d, d), dtype of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    numpy.linalg.LinAlgError
        As `score`.
    """
    matrices = []
    for p in _posteriors(x, alpha, sigma, means, covariances, weights):
        weighted = (np.sqrt(p.weights)[:, None, None] * p.whitening).reshape(-1, p.score.size)
        deviations = p.deviations()
        matrices.append(weighted.T @ weighted - deviations.T @ deviations)
    return np.stack(matrices).astype(x.dtype)


def fisher_vector_product(
    x: Array,
    v: Array,
    alpha: float | Array,
    sigma: float | Array,
    means: Array,
    covariances: Array,
    weights: Array | None = None,
) -> Array:
    """Fisher information times ``v`` (eq. 13 as an operator), without forming the sum of matrices.

    Returns
    -------
    Array
        Shape and dtype of ``x``.

    Raises
    ------
    ValueError
        As `score`, or if the shape of ``v`` is not that of ``x``.
    numpy.linalg.LinAlgError
        As `score`.
    """
    directions, rows = _directions(v, x), []
    for b, p in enumerate(_posteriors(x, alpha, sigma, means, covariances, weights)):
        white = p.whitening @ directions[b]
        precise = p.weights @ (white[:, None, :] @ p.whitening)[:, 0, :]
        deviations = p.deviations()
        rows.append(precise - (deviations @ directions[b]) @ deviations)
    return np.stack(rows).reshape(x.shape).astype(x.dtype)


def fisher_trace(
    x: Array,
    alpha: float | Array,
    sigma: float | Array,
    means: Array,
    covariances: Array,
    weights: Array | None = None,
) -> Array:
    """Trace of the Fisher information: ``sum_k gamma_k (tr C_k^{-1} - |s_k - score|^2)``.

    Returns
    -------
    Array
        Shape (B,), dtype of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    numpy.linalg.LinAlgError
        As `score`.
    """
    traces = [
        p.weights @ np.square(p.whitening).sum(axis=(1, 2)) - np.square(p.deviations()).sum()
        for p in _posteriors(x, alpha, sigma, means, covariances, weights)
    ]
    return np.asarray(traces).astype(x.dtype)
