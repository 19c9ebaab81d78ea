"""Further mistakes on the side of diffusers: around guidance, prompts, scaling, packing and precision."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch

from afi_verify.stable_diffusion.conditioning import expanded
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.examine import Subject
from afi_verify.stable_diffusion.examples import clustered_latents
from afi_verify.stable_diffusion.latents import Latents
from tests.stable_diffusion.mutants import SHAPE, Bench, Moved, right

Made = tuple[Subject, Latents]


class _Wrong(Denoiser):
    """A denoiser whose call of the network is changed by ``call``, or whose output by ``out``."""

    call: Callable[..., Any] | None = None

    def _call(self, x, times, condition):
        inner = super()._call
        return inner(x, times, condition) if self.call is None else self.call(inner, x, times, condition)


def _wrong(bench: Bench, call: Callable[..., Any], kind: str = "sd15", **options: Any) -> Made:
    subject, latents = right(bench, kind, **options)
    denoiser = _Wrong(subject.denoiser.pipeline, "a cat", **options)
    denoiser.call = call
    return dataclasses.replace(subject, denoiser=denoiser), latents


def beta_for_alpha(bench: Bench) -> Made:
    """1 - beta_t for alphas_cumprod[t]."""
    subject, latents = right(bench)
    betas = subject.denoiser.pipeline.scheduler.betas.double()
    base = subject.denoiser.schedule

    def alpha(t: Any) -> Any:
        beta = betas[t.long() if isinstance(t, torch.Tensor) else int(t)]
        return (1 - beta) ** 0.5 if isinstance(t, torch.Tensor) else math.sqrt(1 - float(beta))

    subject.denoiser.schedule = Moved(base, alpha, base.sigma)
    return subject, latents


def sigma_of_the_sampler(bench: Bench) -> Made:
    """sigma / alpha, the noise of Euler's variance-exploding form, for sigma."""
    subject, latents = right(bench, "sdxl")
    base = subject.denoiser.schedule
    subject.denoiser.schedule = Moved(base, base.alpha, lambda t: base.sigma(t) / base.alpha(t))
    return subject, latents


def spacing_of_the_timesteps(bench: Bench) -> Made:
    """The network is told the trailing timestep of 50 steps, alpha and sigma are of the leading one."""
    return _wrong(bench, lambda inner, x, times, condition: inner(x, (times + 19).clamp(max=999), condition))


def index_of_the_step_for_the_timestep(bench: Bench) -> Made:
    """The network is told which of 50 steps it is."""
    return _wrong(bench, lambda inner, x, times, condition: inner(x, (times / 20).floor(), condition))


def guidance_doubled(bench: Bench) -> Made:
    """The guidance scale is applied to what is guided already."""
    subject, latents = right(bench, guidance=3.0)
    denoiser = subject.denoiser
    output = denoiser.output

    def twice(x, t):
        plain = Denoiser(denoiser.pipeline, "").output(x, t)
        return plain + denoiser.guidance * (output(x, t) - plain)

    denoiser.output = twice
    return subject, latents


def halves_swapped(bench: Bench) -> Made:
    """The halves of the batch are taken for one another: guidance away from the prompt."""
    subject, latents = right(bench, guidance=3.0)
    denoiser = subject.denoiser
    denoiser.conditions = denoiser.conditions[::-1]
    return subject, latents


def negative_prompt_ignored(bench: Bench) -> Made:
    """The empty prompt in place of the negative one."""
    subject, latents = right(bench, guidance=3.0, negative_prompt="a dog")
    denoiser = subject.denoiser
    denoiser.conditions = denoiser.conditions[0], Denoiser(denoiser.pipeline, "a cat").conditions[1]
    return subject, latents


def negative_prompt_ignored_in_the_jacobian(bench: Bench) -> Made:
    """The Jacobian is that of guidance against the empty prompt."""
    subject, latents = right(bench, guidance=3.0, negative_prompt="a dog")
    other = Denoiser(subject.denoiser.pipeline, "a cat", guidance=3.0)
    return dataclasses.replace(subject, jacobian_of=other.eps), latents


def unguided_half_detached(bench: Bench) -> Made:
    """The unguided half of the batch is computed without a graph."""
    subject, latents = right(bench, guidance=3.0)
    denoiser = subject.denoiser

    def eps(x, t):
        with_it, without = (expanded(condition, len(x)) for condition in denoiser.conditions)
        times = torch.as_tensor(t, dtype=torch.float64).expand(len(x))
        plain = denoiser._call(x, times, without).detach()
        return plain + denoiser.guidance * (denoiser._call(x, times, with_it) - plain)

    return dataclasses.replace(subject, jacobian_of=eps), latents


def prompt_of_before(bench: Bench) -> Made:
    """The embedding of the prompt before is still there."""
    subject, latents = right(bench)
    subject.denoiser.conditions = Denoiser(subject.denoiser.pipeline, "two dogs on a lawn").conditions
    return subject, latents


def latents_of_the_prompt_before(bench: Bench) -> Made:
    """The clean latents are those of another prompt, which has none in common with this one."""
    subject, latents = right(bench)
    others = clustered_latents(len(latents.values), SHAPE, seed=9)
    return subject, dataclasses.replace(latents, values=others.to(latents.values))


def input_not_scaled(bench: Bench) -> Made:
    """x / alpha is handed to the network: Euler's latents without scale_model_input."""
    subject, latents = right(bench, "sdxl")
    denoiser = _Wrong(subject.denoiser.pipeline, "a cat")
    denoiser.call = lambda inner, x, times, c: inner(x / denoiser.alpha(float(times[0])), times, c)
    return dataclasses.replace(subject, denoiser=denoiser), latents


def jacobian_in_other_coordinates(bench: Bench) -> Made:
    """The Jacobian is that with respect to x / alpha."""
    subject, latents = right(bench)
    denoiser = subject.denoiser

    def eps(x, t):
        alpha = denoiser.alpha(t)
        return denoiser.eps(x.detach() + (x - x.detach()) / alpha, t)

    return dataclasses.replace(subject, jacobian_of=eps), latents


def shift_of_the_vae_forgotten(bench: Bench) -> Made:
    """Latents are scaled, but the VAE's shift factor is not taken away first."""
    subject, latents = right(bench, "sd3")
    configuration = subject.denoiser.pipeline.vae.config
    return subject, dataclasses.replace(
        latents, values=latents.values + configuration.shift_factor * configuration.scaling_factor
    )


def shift_added_when_decoding_forgotten(bench: Bench) -> Made:
    """The image is decoded without the VAE's shift factor."""
    subject, latents = right(bench, "flux")

    def decode(pipeline, latents):
        return pipeline.vae.decode((latents / pipeline.vae.config.scaling_factor).to(pipeline.vae.dtype))[0]

    return dataclasses.replace(subject, decode=decode), latents


def latents_in_half_precision(bench: Bench) -> Made:
    """Latents are cast to bfloat16 on their way into the network."""
    return _wrong(bench, lambda inner, x, times, condition: inner(x.bfloat16().to(x), times, condition))


def timesteps_in_half_precision(bench: Bench) -> Made:
    """Timesteps are cast to bfloat16, which knows eight bits of them."""
    return _wrong(bench, lambda inner, x, times, condition: inner(x, times.bfloat16().to(times), condition), "sd3")


def channels_in_another_order(bench: Bench) -> Made:
    """The channels of the clean latents are reversed."""
    subject, latents = right(bench)
    return subject, dataclasses.replace(latents, values=latents.values.flip(1))


def height_for_width(bench: Bench) -> Made:
    """Patches are packed column by column, and unpacked row by row."""
    return _wrong(bench, lambda inner, x, times, condition: inner(x.transpose(2, 3), times, condition), "flux")


def time_not_divided(bench: Bench) -> Made:
    """Flux is told the time over 1000 once too often."""
    return _wrong(bench, lambda inner, x, times, condition: inner(x, times / 1000, condition), "flux")


def plus_for_minus_in_v(bench: Bench) -> Made:
    """alpha v - sigma x for alpha v + sigma x."""
    subject, latents = right(bench, "sd2-v")
    denoiser = subject.denoiser
    denoiser.eps = lambda x, t: denoiser.alpha(t) * denoiser.output(x, t) - denoiser.sigma(t) * x
    return subject, latents


def head_of_latents_not_scaled(bench: Bench) -> Made:
    """The trace head was trained on latents without the VAE's scaling factor."""
    subject, latents = right(bench)
    head, factor = subject.head, subject.denoiser.pipeline.vae.config.scaling_factor
    return dataclasses.replace(subject, head=lambda x, t: head(x, t) / factor**2), latents


def batch_leaks(bench: Bench) -> Made:
    """The prediction is normalised over the batch."""
    subject, latents = right(bench)
    denoiser = subject.denoiser
    eps = denoiser.eps
    denoiser.eps = lambda x, t: eps(x, t) - eps(x, t).mean(dim=0, keepdim=True) * (len(x) > 1) * 0.1
    return subject, latents


MORE_MUTANTS: dict[Callable[[Bench], Made], str] = {
    beta_for_alpha: "noising",
    sigma_of_the_sampler: "noising",
    spacing_of_the_timesteps: "pipeline",
    index_of_the_step_for_the_timestep: "pipeline",
    guidance_doubled: "pipeline",
    halves_swapped: "pipeline",
    negative_prompt_ignored: "pipeline",
    negative_prompt_ignored_in_the_jacobian: "jvp-and-differences",
    unguided_half_detached: "jvp-and-differences",
    prompt_of_before: "pipeline",
    latents_of_the_prompt_before: "denoising-error",
    input_not_scaled: "pipeline",
    jacobian_in_other_coordinates: "jvp-and-differences",
    shift_of_the_vae_forgotten: "denoising-error",
    shift_added_when_decoding_forgotten: "decoding",
    latents_in_half_precision: "pipeline",
    timesteps_in_half_precision: "pipeline",
    channels_in_another_order: "denoising-error",
    height_for_width: "pipeline",
    time_not_divided: "pipeline",
    plus_for_minus_in_v: "predictions",
    head_of_latents_not_scaled: "head-mean",
    batch_leaks: "vjp-and-jvp",
}
"""Each mutant, and the check that is there for its kind."""
