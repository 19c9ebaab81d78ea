"""Stochastic estimates of the trace of the Fisher matrix beside Hutchinson's with random signs.

Conventions are those of :mod:`afi_verify.implementations.torch_autodiff`. The probes depend on ``seed`` and the shape
of ``x`` only, not on its device, dtype or the chunks.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from afi_verify.implementations.torch_autodiff import EpsFn, as_noise, chunks, make_pullback


def fisher_trace_gaussian(
    eps_fn: EpsFn, x: Tensor, t: float | Tensor, sigma: float | Tensor, num_probes: int, seed: int
) -> Tensor:
    """Estimate ``tr J / sigma`` by the mean of ``<z, J^T z> / sigma`` over standard normal z.

    Unbiased, with variance ``2 / num_probes |S|^2``, S the symmetric part of ``J / sigma``.

    Returns
    -------
    Tensor
        Shape (B,), dtype and device of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``sigma`` is not positive, or ``num_probes`` is less than one.
    """
    noise, pullback = as_noise(sigma, x), make_pullback(eps_fn, x, t)
    generator = _generator(num_probes, seed)
    total = torch.zeros_like(noise)
    for chunk in chunks(num_probes, x):
        z = torch.stack([torch.randn(x.shape, generator=generator, dtype=torch.float64) for _ in chunk]).to(x)
        total = total + (z * torch.vmap(pullback)(z)).flatten(2).sum(dim=(0, 2))
    return total / num_probes / noise


def fisher_trace_hutch_plus_plus(
    eps_fn: EpsFn, x: Tensor, t: float | Tensor, sigma: float | Tensor, num_probes: int, seed: int
) -> Tensor:
    """Estimate ``tr J / sigma`` by Hutch++ (Meyer, Musco, Musco and Woodruff 2021) with ``num_probes`` products.

    A third of them finds a subspace that holds the large singular directions of J, a third gives the trace in it
    exactly, the rest estimates what is left outside of it. Unbiased; exact once the subspace is the whole space.

    Returns
    -------
    Tensor
        Shape (B,), dtype and device of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``sigma`` is not positive, or ``num_probes`` is less than one.
    """
    noise, pullback = as_noise(sigma, x), make_pullback(eps_fn, x, t)
    generator = _generator(num_probes, seed)
    batch, d = len(x), x[0].numel()
    kept = min(num_probes // 3, d)
    # Columns (B, d, k); kept in memory: the subspace is needed until the end.
    basis = torch.zeros(batch, d, 0, dtype=x.dtype, device=x.device)
    if kept:
        basis = torch.linalg.qr(_products(pullback, _signs(x, kept, generator), x))[0]
    inside = (basis * _products(pullback, basis, x)).sum(dim=(1, 2))
    rest = num_probes - 2 * kept
    probes = _signs(x, rest, generator)
    probes = probes - basis @ (basis.mT @ probes)
    outside = (probes * _products(pullback, probes, x)).sum(dim=(1, 2)) / rest
    return (inside + outside) / noise


def _generator(num_probes: int, seed: int) -> torch.Generator:
    if num_probes < 1:
        raise ValueError(f"num_probes must be at least 1, not {num_probes}.")
    return torch.Generator().manual_seed(seed)


def _signs(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    signs = torch.randint(0, 2, (count, len(x), x[0].numel()), generator=generator)
    return (2 * signs - 1).permute(1, 2, 0).to(x)


def _products(pullback: Callable[[Tensor], Tensor], columns: Tensor, x: Tensor) -> Tensor:
    """``J^T`` times each column, (B, d, k)."""
    directions = columns.permute(2, 0, 1).reshape(-1, *x.shape)
    parts = [torch.vmap(pullback)(directions[list(chunk)]) for chunk in chunks(len(directions), x)]
    products = torch.cat(parts) if parts else torch.empty_like(directions)
    return products.reshape(len(directions), len(x), -1).permute(1, 2, 0)
