"""What the mutants in NumPy do right, where it is not their sin: plain NumPy, no part of the packages under test.

Shapes: ``x`` (B, d), ``alpha`` and ``sigma`` floats or (B,), ``data`` (N, d), ``weights`` (N,); for mixtures ``means``
(K, d), ``covariances`` (K, d, d).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def column(noise: float | Array) -> Any:
    """A noise level that multiplies rows: (B, 1), or the float itself."""
    return noise[:, None] if np.ndim(noise) else noise


def squared_distances(x: Array, alpha: float | Array, data: Array) -> Array:
    """``|x - alpha y|^2`` from differences, (B, N)."""
    alphas = np.broadcast_to(alpha, len(x)).astype(x.dtype)
    return np.stack([((point - a * data) ** 2).sum(axis=1) for point, a in zip(x, alphas, strict=True)])


def softmax(logits: Array) -> Array:
    """Over the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def posterior(x: Array, alpha: float | Array, sigma: float | Array, data: Array, weights: Array | None = None) -> Array:
    """Posterior weights of the atoms, (B, N)."""
    logits = -squared_distances(x, alpha, data) / (2 * column(sigma) ** 2)
    return softmax(logits if weights is None else logits + np.log(weights))


def mean(posterior: Array, data: Array) -> Array:
    """Posterior mean, (B, d), by offsets from the likeliest atom."""
    nearest = data[posterior.argmax(axis=1)]
    return np.stack([y + p @ (data - y) for p, y in zip(posterior, nearest, strict=True)])


def centred(posterior: Array, data: Array) -> Array:
    """Atoms less the posterior mean, (B, N, d)."""
    nearest = data[posterior.argmax(axis=1)]
    offsets = [data - y for y in nearest]
    return np.stack([o - p @ o for p, o in zip(posterior, offsets, strict=True)])


def variance(posterior: Array, data: Array) -> Array:
    """Trace of the posterior covariance, (B,)."""
    return np.asarray((posterior * (centred(posterior, data) ** 2).sum(axis=2)).sum(axis=1))


def covariance(posterior: Array, data: Array) -> Array:
    """Posterior covariance, (B, d, d)."""
    residuals = np.sqrt(posterior)[:, :, None] * centred(posterior, data)
    return np.asarray(residuals.swapaxes(1, 2) @ residuals)


def covariance_product(posterior: Array, data: Array, v: Array) -> Array:
    """Posterior covariance times ``v``, (B, d)."""
    residuals = centred(posterior, data)
    return np.stack([(p * (r @ u)) @ r for p, r, u in zip(posterior, residuals, v, strict=True)])


class Components(NamedTuple):
    """The components of a diffused Gaussian mixture at each point."""

    posterior: Array  # (B, K)
    scores: Array  # (B, K, d)
    precisions: Array  # (K, d, d): inverses of the diffused covariances


def components(
    x: Array, alpha: float, sigma: float, means: Array, covariances: Array, weights: Array, log_determinant: float = 1
) -> Components:
    """Of a mixture at one noise level, by Cholesky factors; ``log_determinant`` multiplies that term of the logits."""
    identity = np.eye(x.shape[1], dtype=x.dtype)
    factors = np.linalg.cholesky(alpha**2 * covariances + sigma**2 * identity)
    inverses = np.linalg.inv(factors)
    precisions = inverses.swapaxes(1, 2) @ inverses
    differences = x[:, None] - alpha * means
    whitened = np.einsum("kij,bkj->bki", inverses, differences)
    halves = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    logits = np.log(weights) - (whitened**2).sum(axis=2) / 2 - log_determinant * halves
    return Components(softmax(logits), -np.einsum("kji,bkj->bki", inverses, whitened), precisions)
