"""Gaussian mixtures by other decompositions than a Cholesky factor per component."""

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from tests.zoo.innocent import innocent


def _responsibilities(distances, log_determinants, weights):
    """Posterior weights of the components, shape (K,)."""
    logits = np.log(weights) - (distances + log_determinants) / 2
    gamma = np.exp(logits - logits.max())
    return gamma / gamma.sum()


@innocent("eigen-decomposition", "fisher", "one eigen-decomposition per component, whatever the noise")
def eigen_decomposition(x, alpha, sigma, means, covariances, weights):
    values, vectors = np.linalg.eigh(covariances)
    values = alpha**2 * values + sigma**2  # (K, d)
    answer = []
    for point in x:
        turned = np.einsum("kde,kd->ke", vectors, point - alpha * means)
        gamma = _responsibilities((turned**2 / values).sum(axis=1), np.log(values).sum(axis=1), weights)
        scores = -np.einsum("kde,ke->kd", vectors, turned / values)
        deviations = scores - gamma @ scores
        precision = np.einsum("k,kde,ke,kfe->df", gamma, vectors, 1 / values, vectors)
        answer.append(precision - np.einsum("k,kd,ke->de", gamma, deviations, deviations))
    return np.stack(answer)


@innocent("precision-matrices", "fisher_vector_product", "explicit inverses and slogdet of the diffused covariances")
def precision_matrices(x, v, alpha, sigma, means, covariances, weights):
    diffused = alpha**2 * covariances + sigma**2 * np.eye(x.shape[1], dtype=x.dtype)
    precisions, log_determinants = np.linalg.inv(diffused), np.linalg.slogdet(diffused)[1]
    answer = np.empty_like(x)
    for b, (point, direction) in enumerate(zip(x, v, strict=True)):
        residuals = point - alpha * means
        scores = -np.einsum("kde,ke->kd", precisions, residuals)
        gamma = _responsibilities(-(scores * residuals).sum(axis=1), log_determinants, weights)
        deviations = scores - gamma @ scores
        answer[b] = gamma @ (precisions @ direction) - (gamma * (deviations @ direction)) @ deviations
    return answer


@innocent("triangular-solves", "fisher_trace", "scipy's triangular solves; traces as norms of inverse factors")
def triangular_solves(x, alpha, sigma, means, covariances, weights):
    identity = np.eye(x.shape[1], dtype=x.dtype)
    factors = [np.linalg.cholesky(alpha**2 * c + sigma**2 * identity) for c in covariances]
    traces = np.array([(solve_triangular(f, identity, lower=True) ** 2).sum() for f in factors], x.dtype)
    log_determinants = np.array([2 * np.log(np.diag(f)).sum() for f in factors], x.dtype)
    answer = np.empty(len(x), x.dtype)
    for b, point in enumerate(x):
        white = np.stack(
            [solve_triangular(f, point - alpha * m, lower=True) for f, m in zip(factors, means, strict=True)]
        )
        gamma = _responsibilities((white**2).sum(axis=1), log_determinants, weights)
        scores = -np.stack([solve_triangular(f, w, lower=True, trans="T") for f, w in zip(factors, white, strict=True)])
        answer[b] = gamma @ traces - gamma @ ((scores - gamma @ scores) ** 2).sum(axis=1)
    return answer


@innocent(
    "posterior-of-each-component", "posterior_mean", "Kalman gains: mean + gain (x - alpha mean), then their mixture"
)
def posterior_of_each_component(x, alpha, sigma, means, covariances, weights):
    identity = np.eye(x.shape[1], dtype=x.dtype)
    factors = [cho_factor(alpha**2 * c + sigma**2 * identity, lower=True) for c in covariances]
    gains = np.stack([cho_solve(f, alpha * c).T for f, c in zip(factors, covariances, strict=True)])
    log_determinants = np.array([2 * np.log(np.diag(f[0])).sum() for f in factors], x.dtype)
    rows = []
    for point in x:
        residuals = point - alpha * means
        distances = np.array([r @ cho_solve(f, r) for r, f in zip(residuals, factors, strict=True)], x.dtype)
        gamma = _responsibilities(distances, log_determinants, weights)
        rows.append(gamma @ (means + np.einsum("kde,ke->kd", gains, residuals)))
    return np.stack(rows)


@innocent("all-components-at-once", "fisher", "batched over points and components, Cholesky inverses", backend="torch")
def all_components_at_once(x, alpha, sigma, means, covariances, weights):
    diffused = alpha**2 * covariances + sigma**2 * torch.eye(x.shape[1], dtype=x.dtype)
    factors = torch.linalg.cholesky(diffused)
    precisions = torch.cholesky_inverse(factors)
    residuals = x[:, None] - alpha * means  # (B, K, d)
    scores = -torch.einsum("kde,bke->bkd", precisions, residuals)
    half_log_determinants = factors.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    logits = weights.log() + (scores * residuals).sum(dim=2) / 2 - half_log_determinants
    gamma = logits.softmax(dim=1)
    deviations = scores - (gamma[:, :, None] * scores).sum(dim=1, keepdim=True)
    expected = torch.einsum("bk,kde->bde", gamma, precisions)
    return expected - torch.einsum("bk,bkd,bke->bde", gamma, deviations, deviations)


@innocent("scaled-mixture", "score", "in units of sigma: covariances times SNR plus the identity")
def scaled_mixture(x, alpha, sigma, means, covariances, weights):
    scaled = (alpha / sigma) ** 2 * covariances + np.eye(x.shape[1], dtype=x.dtype)
    answer = np.empty_like(x)
    for b, point in enumerate(x):
        residuals = (point - alpha * means) / sigma
        solved = np.linalg.solve(scaled, residuals[:, :, None])[:, :, 0]
        gamma = _responsibilities((residuals * solved).sum(axis=1), np.linalg.slogdet(scaled)[1], weights)
        answer[b] = -(gamma @ solved) / sigma
    return answer
