"""Analytical Fisher information of a diffused Gaussian mixture, in torch.

``q_t(x) = sum_k weights_k N(x; alpha mu_k, C_k)`` with ``C_k = alpha^2 Sigma_k + sigma^2 I``, and
``F = -Hessian log q_t`` (Prop. 3). With component scores ``s_k = -C_k^{-1} (x - alpha mu_k)`` and posterior
weights ``gamma_k``, ``F = sum_k gamma_k C_k^{-1} - Cov_gamma(s)``: Diracs (eq. 11) are ``Sigma_k = 0``.

Common to all functions: ``x`` and ``v`` have shape (B, *event_shape), d values each; ``alpha`` and ``sigma``
are floats or tensors of shape (B,); ``means`` has shape (K, *event_shape), ``covariances`` (K, d, d),
positive semidefinite; ``weights`` (K,), not negative, need not sum to one, None means uniform. Arithmetic and
results are in the dtype and on the device of ``x`` (float16 and bfloat16: see `_point_dtype`); no input is
changed.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class _Posterior(NamedTuple):
    """The components of positive weight, seen from one point."""

    alpha: Tensor
    means: Tensor  # (K, d)
    covariances: Tensor  # (K, d, d)
    whitening: Tensor  # (K, d, d): inverse Cholesky factors W_k, C_k^{-1} = W_k^T W_k
    weights: Tensor  # (K,): gamma
    scores: Tensor  # (K, d): s_k
    score: Tensor  # (d,): their mean, the score of q_t

    def deviations(self) -> Tensor:
        """``sqrt(gamma_k) (s_k - score)``, shape (K, d): centred, so that nothing cancels in Cov(s)."""
        # The root of a weight that underflowed has an infinite derivative: keep it out of the graph.
        kept = self.weights > 0
        roots = torch.where(kept, torch.where(kept, self.weights, 1).sqrt(), 0)
        return roots[:, None] * (self.scores - self.score)


def _point_dtype(x: Tensor) -> torch.dtype:
    # No backend has a half-precision Cholesky: float16 and bfloat16 are computed in float32 and rounded
    # once, at the end.
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype


def _per_sample(value: float | Tensor, name: str, x: Tensor) -> Tensor:
    # The dtype at once: as_tensor(0.8) alone is float32, and float64 would get its rounding.
    noise = torch.as_tensor(value, dtype=x.dtype, device=x.device).to(_point_dtype(x))
    if noise.ndim and noise.shape != x.shape[:1]:
        raise ValueError(f"{name} must be a float or have shape ({len(x)},), not {tuple(noise.shape)}.")
    return noise


def _directions(v: Tensor, x: Tensor) -> Tensor:
    if v.shape != x.shape:
        raise ValueError(f"v must have the shape of x, {tuple(x.shape)}, not {tuple(v.shape)}.")
    return v.to(x.device, _point_dtype(x)).reshape(len(x), -1)


def _posteriors(
    x: Tensor,
    alpha: float | Tensor,
    sigma: float | Tensor,
    means: Tensor,
    covariances: Tensor,
    weights: Tensor | None,
) -> Iterator[_Posterior]:
    if not x.is_floating_point() or x.ndim < 2:
        raise ValueError(f"x must be floating point (B, *event_shape), not {x.dtype} {tuple(x.shape)}.")
    k, d, dtype = len(means), x[0].numel(), _point_dtype(x)
    if means.shape[1:] != x.shape[1:] or not k:
        raise ValueError(f"means must be (K, *{tuple(x.shape[1:])}) with K > 0, not {tuple(means.shape)}.")
    if covariances.shape != (k, d, d):
        raise ValueError(f"covariances must have shape {(k, d, d)}, not {tuple(covariances.shape)}.")
    weights = torch.ones(k, device=x.device) if weights is None else weights.to(x.device)
    if weights.shape != (k,) or not bool((weights >= 0).all() and (weights > 0).any()):
        raise ValueError(f"weights must have shape ({k},), no negative and one positive entry.")
    alphas, sigmas = _per_sample(alpha, "alpha", x), _per_sample(sigma, "sigma", x)
    if not bool((sigmas > 0).all()):
        raise ValueError(f"sigma must be positive in {x.dtype}.")
    used = weights > 0
    centres = means.to(x.device, dtype).reshape(k, d)[used]
    spreads = covariances.to(x.device, dtype)[used]
    log_weights = weights[used].log().to(dtype)
    factors = None
    points = x.to(dtype).reshape(len(x), d)
    for b in range(len(x)):
        a = alphas[b] if alphas.ndim else alphas
        s = sigmas[b] if sigmas.ndim else sigmas
        # One factorisation serves the whole batch when the noise is shared.
        if factors is None or alphas.ndim or sigmas.ndim:
            factors = _whitening(a, s, spreads)
        yield _posterior(points[b], a, centres, spreads, *factors, log_weights)


def _whitening(alpha: Tensor, sigma: Tensor, covariances: Tensor) -> tuple[Tensor, Tensor]:
    """Return the inverse Cholesky factors of all C_k and half their log determinants."""
    eye = torch.eye(covariances.shape[1], dtype=covariances.dtype, device=covariances.device)
    lower = torch.linalg.cholesky(alpha * alpha * covariances + sigma * sigma * eye)
    half_log_det = lower.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    return torch.linalg.solve_triangular(lower, eye.expand_as(lower), upper=False), half_log_det


def _posterior(
    x: Tensor,
    alpha: Tensor,
    means: Tensor,
    covariances: Tensor,
    whitening: Tensor,
    half_log_det: Tensor,
    log_weights: Tensor,
) -> _Posterior:
    white = (whitening @ (x - alpha * means)[:, :, None])[:, :, 0]
    distances = white.square().sum(dim=1)
    logits = log_weights - 0.5 * (distances - distances.amin()) - half_log_det
    gamma = logits.softmax(dim=0)
    scores = -(white[:, None, :] @ whitening)[:, 0, :]
    return _Posterior(alpha, means, covariances, whitening, gamma, scores, gamma @ scores)


def score(
    x: Tensor,
    alpha: float | Tensor,
    sigma: float | Tensor,
    means: Tensor,
    covariances: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Gradient of ``log q_t`` (eq. 35): ``sum_k gamma_k s_k``.

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``x`` is not floating point, ``sigma`` is not positive, or the weights are
        negative or all zero.
    torch.linalg.LinAlgError
        If some ``alpha^2 Sigma_k + sigma^2 I`` is not positive definite in the dtype of the computation.
    """
    rows = [p.score for p in _posteriors(x, alpha, sigma, means, covariances, weights)]
    return torch.stack(rows).reshape(x.shape).to(x.dtype)


def posterior_mean(
    x: Tensor,
    alpha: float | Tensor,
    sigma: float | Tensor,
    means: Tensor,
    covariances: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """``E[x_0 | x_t = x]`` (Prop. 4): ``sum_k gamma_k (mu_k - alpha Sigma_k s_k)``.

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    torch.linalg.LinAlgError
        As `score`.
    """
    rows = []
    for p in _posteriors(x, alpha, sigma, means, covariances, weights):
        shifts = p.alpha * (p.covariances @ p.scores[:, :, None])[:, :, 0]
        # Offsets from the likeliest mean, as gamma sums to one only up to rounding.
        best = p.means.index_select(0, p.weights.argmax(dim=0, keepdim=True))[0]
        rows.append(best + p.weights @ (p.means - best - shifts))
    return torch.stack(rows).reshape(x.shape).to(x.dtype)


def fisher(
    x: Tensor,
    alpha: float | Tensor,
    sigma: float | Tensor,
    means: Tensor,
    covariances: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Fisher information as a matrix (eq. 13).

    Returns
    -------
    Tensor
        Shape (B, d, d), dtype and device of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    torch.linalg.LinAlgError
        As `score`.
    """
    matrices = []
    for p in _posteriors(x, alpha, sigma, means, covariances, weights):
        precisions = (p.whitening.mT @ p.whitening) * p.weights[:, None, None]
        deviations = p.deviations()
        matrices.append(precisions.sum(dim=0) - deviations.T @ deviations)
    return torch.stack(matrices).to(x.dtype)


def fisher_vector_product(
    x: Tensor,
    v: Tensor,
    alpha: float | Tensor,
    sigma: float | Tensor,
    means: Tensor,
    covariances: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Fisher information times ``v`` (eq. 13 as an operator), without forming the sum of matrices.

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        As `score`, or if the shape of ``v`` is not that of ``x``.
    torch.linalg.LinAlgError
        As `score`.
    """
    directions, rows = _directions(v, x), []
    for b, p in enumerate(_posteriors(x, alpha, sigma, means, covariances, weights)):
        white = p.whitening @ directions[b]
        precise = p.weights @ (white[:, None, :] @ p.whitening)[:, 0, :]
        deviations = p.deviations()
        rows.append(precise - (deviations @ directions[b]) @ deviations)
    return torch.stack(rows).reshape(x.shape).to(x.dtype)


def fisher_trace(
    x: Tensor,
    alpha: float | Tensor,
    sigma: float | Tensor,
    means: Tensor,
    covariances: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Trace of the Fisher information: ``sum_k gamma_k (tr C_k^{-1} - |s_k - score|^2)``.

    Returns
    -------
    Tensor
        Shape (B,), dtype and device of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    torch.linalg.LinAlgError
        As `score`.
    """
    traces = [
        p.weights @ p.whitening.square().sum(dim=(1, 2)) - p.deviations().square().sum()
        for p in _posteriors(x, alpha, sigma, means, covariances, weights)
    ]
    return torch.stack(traces).to(x.dtype)
