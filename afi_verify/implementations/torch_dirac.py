"""Analytical Fisher information of a diffused mixture of Diracs, in torch.

``q_t(x) = sum_i weights_i N(x; alpha y_i, sigma^2 I)`` for atoms ``y_i`` (eq. 10), and
``F = -Hessian log q_t``.

Common to all functions: ``x`` and ``v`` have shape (B, *event_shape) and ``data`` (N, *event_shape), d values
each; ``alpha`` and ``sigma`` are floats or tensors of shape (B,); ``weights`` has shape (N,), is not negative
and need not sum to one, and None means uniform. Arithmetic and results are in the dtype and on the device of
``x``, to which everything else is rounded first; no input is changed. Memory grows with N d, never with B N d
(unless gradients are recorded: everything here is differentiable).
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class _Posterior(NamedTuple):
    """The posterior over the atoms at one point."""

    weights: Tensor  # (N,)
    nearest: Tensor  # (d,): the atom of the largest weight, from which offsets count
    offsets: Tensor  # (N, d), zero for an atom whose weight underflows to zero
    mean: Tensor  # (d,): an offset too


def _per_sample(value: float | Tensor, name: str, x: Tensor) -> Tensor:
    # The dtype at once: as_tensor(0.8) alone is float32, and float64 would get its rounding.
    noise = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    if noise.ndim and noise.shape != x.shape[:1]:
        raise ValueError(f"{name} must be a float or have shape ({len(x)},), not {tuple(noise.shape)}.")
    return noise.expand(x.shape[:1])


def _points(x: Tensor, alpha: float | Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if not x.is_floating_point() or x.ndim < 2:
        raise ValueError(f"x must be floating point (B, *event_shape), not {x.dtype} {tuple(x.shape)}.")
    noise = _per_sample(alpha, "alpha", x), _per_sample(sigma, "sigma", x)
    if not bool((noise[1] > 0).all()):
        raise ValueError(f"sigma must be positive in {x.dtype}.")
    return x.reshape(len(x), -1), *noise


def _like(value: Tensor, x: Tensor, name: str) -> Tensor:
    if value.shape != x.shape:
        raise ValueError(f"{name} must have the shape of x, {tuple(x.shape)}, not {tuple(value.shape)}.")
    return value.to(x).reshape(len(x), -1)


def _posteriors(
    x: Tensor, alpha: float | Tensor, sigma: float | Tensor, data: Tensor, weights: Tensor | None
) -> Iterator[tuple[Tensor, Tensor, Tensor, _Posterior]]:
    """Yield ``(x, alpha, sigma, posterior)`` point by point, so that no (B, N, d) tensor ever exists."""
    points, alphas, sigmas = _points(x, alpha, sigma)
    if data.shape[1:] != x.shape[1:] or not len(data):
        raise ValueError(f"data must be (N, *{tuple(x.shape[1:])}) with N > 0, not {tuple(data.shape)}.")
    atoms = data.to(x).reshape(len(data), -1)
    weights = atoms.new_ones(len(data)) if weights is None else weights.to(x.device)
    if weights.shape != (len(data),) or not bool((weights >= 0).all() and (weights > 0).any()):
        raise ValueError(f"weights must have shape ({len(data)},), no negative and one positive entry.")
    # An atom without weight must not set the scale of the distances either.
    atoms = atoms[weights > 0]
    # The logarithm first: a weight may be too small for float16 where its logarithm is not.
    log_weights = weights[weights > 0].log().to(x)
    for b in range(len(x)):
        yield points[b], alphas[b], sigmas[b], _posterior(points[b], alphas[b], sigmas[b], atoms, log_weights)


def _posterior(x: Tensor, alpha: Tensor, sigma: Tensor, atoms: Tensor, log_weights: Tensor) -> _Posterior:
    # Distances from differences: |x|^2 - 2<x, y> + |y|^2 loses the digits that an offset takes up.
    difference = x - alpha * atoms
    # In float16 a distance in units of sigma may overflow even for the nearest atom: enlarge the unit by
    # a power of two, which costs no rounding. What still overflows is farther by 60,000 and weighs nothing.
    room = 0.5 * math.log2(16.0 * x.numel() / torch.finfo(x.dtype).max)
    largest = difference.detach().abs().amax(dim=1).amin().log2() - sigma.detach().log2() + room
    unit = largest.ceil().clamp(min=0).exp2()
    distances = (difference / (sigma * unit)).square().sum(dim=1)
    excess = distances - distances.amin()
    # The nearest atom's 0 stays 0 where the unit itself overflows.
    logits = log_weights - torch.where(excess > 0, 0.5 * excess * unit * unit, 0)
    posterior = logits.softmax(dim=0)
    # Not indexing by a scalar tensor, which would wait for the device and which vmap refuses.
    nearest = atoms.index_select(0, posterior.argmax(dim=0, keepdim=True))[0]
    # 0 times an offset that overflows would be NaN.
    offsets = torch.where((posterior > 0)[:, None], atoms - nearest, 0)
    return _Posterior(posterior, nearest, offsets, posterior @ offsets)


def _covariance_root(posterior: _Posterior, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return R, shape (N, d), with ``R^T R = alpha^2 / sigma^2 Cov[x_0 | x_t]``, from centred residuals.

    The other ``1 / sigma^2`` of ``alpha^2 / sigma^4`` is applied last: float16 has no room for both at once.
    """
    # The root of a weight that underflowed has an infinite derivative: keep it out of the graph.
    kept = posterior.weights > 0
    scale = alpha / sigma * torch.where(kept, posterior.weights, 1).sqrt()
    return torch.where(kept[:, None], (posterior.offsets - posterior.mean) * scale[:, None], 0)


def score(
    x: Tensor, alpha: float | Tensor, sigma: float | Tensor, data: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Gradient of ``log q_t`` (eq. 27).

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``x`` is not floating point, ``sigma`` is not positive, or the weights are
        negative or all zero.
    """
    rows = [
        (a * p.mean - (point - a * p.nearest)) / s / s for point, a, s, p in _posteriors(x, alpha, sigma, data, weights)
    ]
    return torch.stack(rows).reshape(x.shape)


def posterior_mean(
    x: Tensor, alpha: float | Tensor, sigma: float | Tensor, data: Tensor, weights: Tensor | None = None
) -> Tensor:
    """``E[x_0 | x_t = x]``, the y-prediction (Prop. 2).

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    """
    rows = [p.nearest + p.mean for _, _, _, p in _posteriors(x, alpha, sigma, data, weights)]
    return torch.stack(rows).reshape(x.shape)


def fisher(
    x: Tensor, alpha: float | Tensor, sigma: float | Tensor, data: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Fisher information as a matrix (eq. 11).

    Returns
    -------
    Tensor
        Shape (B, d, d), dtype and device of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    """
    matrices = []
    for point, a, s, p in _posteriors(x, alpha, sigma, data, weights):
        root = _covariance_root(p, a, s)
        matrices.append((torch.eye(len(point), dtype=x.dtype, device=x.device) - root.T @ root) / s / s)
    return torch.stack(matrices)


def fisher_vector_product(
    x: Tensor,
    v: Tensor,
    alpha: float | Tensor,
    sigma: float | Tensor,
    data: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Fisher information times ``v`` (eq. 11 as an operator), without forming the matrix.

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        As `score`, or if the shape of ``v`` is not that of ``x``.
    """
    directions = _like(v, x, "v")
    rows = []
    for b, (_, a, s, p) in enumerate(_posteriors(x, alpha, sigma, data, weights)):
        root = _covariance_root(p, a, s)
        rows.append((directions[b] - (root @ directions[b]) @ root) / s / s)
    return torch.stack(rows).reshape(x.shape)


def fisher_trace(
    x: Tensor, alpha: float | Tensor, sigma: float | Tensor, data: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Trace of the Fisher information (eq. 16, with the second moment centred).

    As the difference of second moments that eq. 16 is, it would lose the digits that the two share.

    Returns
    -------
    Tensor
        Shape (B,), dtype and device of ``x``.

    Raises
    ------
    ValueError
        As `score`.
    """
    traces = [
        (len(point) - _covariance_root(p, a, s).square().sum()) / s / s
        for point, a, s, p in _posteriors(x, alpha, sigma, data, weights)
    ]
    return torch.stack(traces)


def fisher_trace_matching(x: Tensor, alpha: float | Tensor, sigma: float | Tensor, eps: Tensor, head: Tensor) -> Tensor:
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
    Tensor
        Shape (B,), dtype and device of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``x`` is not floating point or ``sigma`` is not positive.
    """
    points, a, s = _points(x, alpha, sigma)
    if head.shape != (len(x),):
        raise ValueError(f"head must have shape ({len(x)},), not {tuple(head.shape)}.")
    mean = (points - s[:, None] * _like(eps, x, "eps")) / a[:, None]
    # A mean of squares, not a sum: with d = 16,384 a sum leaves the range of float16.
    variance = head.to(x) - mean.square().mean(dim=1)
    return (1 - a / s * (a / s * variance)) / s / s * points.shape[1]


def fisher_vector_product_endpoint(
    x: Tensor, v: Tensor, x0: Tensor, eps: Tensor, alpha: float | Tensor, sigma: float | Tensor
) -> Tensor:
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
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``x`` is not floating point or ``sigma`` is not positive.
    """
    points, a, s = (tensor.reshape(len(x), -1) for tensor in _points(x, alpha, sigma))
    direction, endpoint = _like(v, x, "v"), _like(x0, x, "x0")
    mean = (points - s * _like(eps, x, "eps")) / a * (a / s)
    endpoint = endpoint * (a / s)
    # x0 x0^T - ybar ybar^T = gap x0^T + ybar gap^T: the two outer products of eq. 20 nearly cancel.
    gap = endpoint - mean
    along_endpoint = (endpoint * direction).sum(dim=1, keepdim=True)
    along_gap = (gap * direction).sum(dim=1, keepdim=True)
    return ((direction - along_endpoint * gap - along_gap * mean) / s / s).reshape(x.shape)
