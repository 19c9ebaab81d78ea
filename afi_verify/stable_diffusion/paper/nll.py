"""Negative log-likelihood of latents along the flow, in bits per dimension (eq. 14 and 57)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from afi_verify.implementations.torch_likelihood import bits_per_dim, matching_trace, normal_log_density
from afi_verify.stable_diffusion.checks_trajectory import follow, hutchinson_trace
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.levels import spread_times
from afi_verify.stable_diffusion.products import Products, signs


def negative_log_likelihood(
    denoiser: Denoiser,
    products: Products,
    x0: Tensor,
    *,
    steps: int,
    probes: int,
    seed: int,
    head: Callable[[Tensor, Any], Tensor] | None = None,
) -> dict[str, float]:
    """Return bits per dimension of one latent (1, C, H, W), taken to the scheduler's second step without noise.

    By AFI-TM with a head, by Hutchinson's estimate otherwise, whose half-width at two standard errors is beside it.
    """
    times = spread_times(denoiser.schedule, 5)
    x, d = denoiser.alpha(times[0]) * x0, x0[0].numel()
    probed = head is None
    if head is None:
        z = signs(probes, tuple(x.shape[1:]), torch.Generator().manual_seed(seed), x)
        x, trace = x.expand_as(z), hutchinson_trace(products, denoiser, z)
    else:
        trace = matching_trace(denoiser.schedule, products.eps, lambda p, t: head(p, t).to(p))
    end, log_determinant = follow(x, denoiser, products.eps, trace, (times[0], times[-1]), steps)
    found = bits_per_dim(normal_log_density(end, denoiser.sigma(times[-1])) + log_determinant, d)
    error = float(2 * found.std() / probes**0.5) if probed and probes > 1 else 0.0
    return {"bits_per_dim": float(found.mean()), "error": error}
