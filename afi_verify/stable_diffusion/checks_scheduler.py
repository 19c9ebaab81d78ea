"""Checks of the noise levels and of the kind of prediction, against the scheduler's own code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.findings import Finding, not_provided, within
from afi_verify.stable_diffusion.noise import PREDICTIONS, is_flow, network_output, noise_prediction

# Both sides compute in float64, from the same table.
_ROUNDING = 1e-6


def check_noising(denoiser: Denoiser, t: float, seed: int) -> Finding:
    """Hold ``alpha(t) x_0 + sigma(t) noise`` against the scheduler's own noising."""
    words = "alpha x_0 + sigma noise against the scheduler's noising, over the noise"
    if not _has_step(denoiser.pipeline.scheduler, t):
        return not_provided("noising", "the scheduler has no noise level between its steps")
    generator = torch.Generator().manual_seed(seed)
    data, noise = torch.randn(2, 1, *denoiser.event_shape, generator=generator, dtype=torch.float64)
    alpha, sigma = denoiser.alpha(t), denoiser.sigma(t)
    theirs = _their_noising(denoiser.pipeline.scheduler, data, noise, t)
    value = float((alpha * data + sigma * noise - theirs).norm() / (sigma * noise).norm())
    return within("noising", value, _ROUNDING, words)


def check_predictions(denoiser: Denoiser, x: Tensor, t: float) -> Finding:
    """Hold the clean latents that the noise prediction implies against those that the scheduler's step computes.

    And every kind of prediction, made of the noise and turned back, against the noise.
    """
    words = "clean latents from the noise prediction against those of the scheduler's step, over the noise in them"
    if not _has_step(denoiser.pipeline.scheduler, t):
        return not_provided("predictions", "the scheduler has no noise level between its steps")
    with torch.no_grad():
        output, eps = denoiser.output(x, t), denoiser.eps(x, t)
    alpha, sigma = denoiser.alpha(t), denoiser.sigma(t)
    implied = (x - sigma * eps) / alpha
    theirs = _their_data(denoiser.pipeline.scheduler, output.double().cpu(), x.double().cpu(), t).to(x)
    # In units of the noise: an error of the prediction of 1 % is 1 %, at every noise level.
    size = eps.norm().clamp(min=1e-30)
    value = float((implied - theirs).norm() / size) * alpha / sigma
    for kind in PREDICTIONS:
        again = noise_prediction(kind, network_output(kind, eps, x, alpha, sigma), x, alpha, sigma)
        value = max(value, float((again - eps).norm() / size))
    # A step of flow matching computes in float32 whatever it is given.
    lost = (
        16 * 2.0**-24 * max(1.0, float(x.square().mean().sqrt())) / sigma if is_flow(denoiser.pipeline.scheduler) else 0
    )
    return within("predictions", value, _ROUNDING + lost, words)


def _has_step(scheduler: Any, t: float) -> bool:
    return is_flow(scheduler) or float(t).is_integer()


def _their_noising(scheduler: Any, data: Tensor, noise: Tensor, t: float) -> Tensor:
    if is_flow(scheduler):
        return _flow(t, scheduler).scale_noise(data, torch.tensor([t], dtype=torch.float64), noise)
    return _ddim(scheduler).add_noise(data, noise, torch.tensor([round(t)]))


def _their_data(scheduler: Any, output: Tensor, x: Tensor, t: float) -> Tensor:
    if is_flow(scheduler):
        own = _flow(t, scheduler)
        return own.step(output, own.timesteps[0], x).prev_sample.double()
    own = _ddim(scheduler)
    own.set_timesteps(1000 if own.config.num_train_timesteps >= 1000 else own.config.num_train_timesteps)
    return own.step(output, round(t), x).pred_original_sample.double()


def _ddim(scheduler: Any) -> Any:
    """Return the scheduler of the same table and kind of prediction whose step tells the clean latents."""
    from diffusers import DDIMScheduler

    own = DDIMScheduler.from_config(scheduler.config, clip_sample=False, thresholding=False)
    own.alphas_cumprod = scheduler.alphas_cumprod.detach().cpu().double()
    return own


def _flow(t: float, scheduler: Any) -> Any:
    """Return a flow-matching scheduler whose only step goes from ``t`` to the data."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    own = FlowMatchEulerDiscreteScheduler(num_train_timesteps=int(scheduler.config.num_train_timesteps), shift=1.0)
    own.set_timesteps(sigmas=[t / scheduler.config.num_train_timesteps])
    own.timesteps = torch.tensor([t], dtype=torch.float64)
    own.sigmas = torch.tensor([t / scheduler.config.num_train_timesteps, 0.0], dtype=torch.float64)
    return own
