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


def diffuse(covariances: Array, alpha: float, sigma: float) -> Array:
    """Covariances (K, d, d) of the components at a noise level."""
    return alpha**2 * covariances + sigma**2 * np.eye(covariances.shape[1], dtype=covariances.dtype)


def components(x: Array, centres: Array, diffused: Array, weights: Array, log_determinant: float = 1) -> Components:
    """Of a mixture with ``centres`` (K, d) and covariances ``diffused`` (K, d, d), by Cholesky factors.

    ``log_determinant`` multiplies the determinants' term of the logits.
    """
    factors = np.linalg.cholesky(diffused)
    inverses = np.linalg.inv(factors)
    whitened = np.einsum("kij,bkj->bki", inverses, x[:, None] - centres)
    halves = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    logits = np.log(weights) - (whitened**2).sum(axis=2) / 2 - log_determinant * halves
    scores = -np.einsum("kji,bkj->bki", inverses, whitened)
    return Components(softmax(logits), scores, inverses.swapaxes(1, 2) @ inverses)


def mixture_score(c: Components) -> Array:
    """Score of the mixture, (B, d)."""
    return np.asarray(np.einsum("bk,bkd->bd", c.posterior, c.scores))


def mixture_fisher(c: Components) -> Array:
    """Fisher matrix of the mixture, (B, d, d): mean of the precisions less the covariance of the scores."""
    spread = np.sqrt(c.posterior)[:, :, None] * (c.scores - mixture_score(c)[:, None])
    return np.asarray(np.einsum("bk,kde->bde", c.posterior, c.precisions) - spread.swapaxes(1, 2) @ spread)


def mixture_product(c: Components, v: Array) -> Array:
    """Fisher matrix of the mixture times ``v``, (B, d)."""
    inner = np.einsum("bkd,bd->bk", c.scores - mixture_score(c)[:, None], v)
    between = np.einsum("bk,bkd->bd", c.posterior * inner, c.scores - mixture_score(c)[:, None])
    return np.asarray(np.einsum("bk,kde,be->bd", c.posterior, c.precisions, v) - between)


def mixture_trace(c: Components) -> Array:
    """Trace of the mixture's Fisher matrix, (B,)."""
    spread = c.scores - mixture_score(c)[:, None]
    within = c.posterior @ np.trace(c.precisions, axis1=1, axis2=2)
    return np.asarray(within - (c.posterior * (spread**2).sum(axis=2)).sum(axis=1))
