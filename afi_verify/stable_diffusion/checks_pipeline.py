"""What the pipeline computes by its own code (prompts, guidance, packing, decoding) against what is checked here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from afi_verify.stable_diffusion.denoiser import Denoiser, pack, unpack
from afi_verify.stable_diffusion.findings import Finding, not_provided, within
from afi_verify.stable_diffusion.latents import decode
from afi_verify.stable_diffusion.loading import quiet_libraries

CHECKS = ("pipeline", "decoding")
_ROUNDINGS = 16
"""How many roundings of the network two orders of the same operations may be apart."""


class _OneStep:
    """A scheduler of one step at a time ``t`` that keeps what the pipeline hands to it and leaves the latents alone."""

    order = 1
    init_noise_sigma = 1.0

    def __init__(self, config: Any, t: float, device: torch.device) -> None:
        self.config = config
        self.timesteps = torch.tensor([t], dtype=torch.float64, device=device)
        self.output: Tensor | None = None

    def set_timesteps(
        self,
        num_inference_steps: Any = None,
        device: Any = None,
        timesteps: Any = None,
        sigmas: Any = None,
        mu: Any = None,
    ) -> None:
        """Change nothing: the pipelines look for these names."""

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Change nothing."""

    def scale_model_input(self, sample: Tensor, _timestep: Any = None) -> Tensor:
        """Return the latents: they are scaled as the network knows them."""
        return sample

    def step(self, model_output: Tensor, _timestep: Any, sample: Tensor, **_options: Any) -> tuple[Tensor]:
        """Keep the guided output."""
        self.output = model_output
        return (sample,)


def check_pipeline(
    denoiser: Denoiser, x: Tensor, t: float, decode: Callable[[Any, Tensor], Tensor] = decode
) -> list[Finding]:
    """Run one step of the pipeline at a point (1, C, H, W), and hold its output and its image against ours.

    The prompt, the negative one, the guidance and the size are those of ``denoiser``; the pipeline encodes and combines
    them by its own code, which is nobody's who wrote the code under test.
    """
    if not denoiser.is_score_of_a_distribution and denoiser.guidance <= 1:
        why = "pipelines guide with scales above 1 only"
        return [not_provided(name, why) for name in CHECKS]
    pipeline, dtype = denoiser.pipeline, denoiser.network.dtype
    sample = x.to(dtype)
    with torch.no_grad():
        with quiet_libraries():
            theirs, image = _run(denoiser, sample, t)
        ours = denoiser.output(sample, t)
        decoded = (decode(pipeline, sample).double() / 2 + 0.5).clamp(0, 1)
    unit = _ROUNDINGS * float(torch.finfo(dtype).eps)
    told = within(
        "pipeline",
        float((ours - theirs).double().norm() / theirs.double().norm().clamp(min=1e-30)),
        unit,
        "the guided output at this prompt against what the pipeline hands to its scheduler, over its size",
        useless=0.5,
    )
    off = float((decoded - image.to(decoded)).abs().max())
    words = "the image of the latents against the pipeline's, largest difference of colours in [0, 1]"
    return [told, within("decoding", off, unit, words, useless=0.5)]


def _run(denoiser: Denoiser, sample: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """Return what the pipeline hands to its scheduler, (1, C, H, W), and the image that it makes of ``sample``."""
    pipeline = denoiser.pipeline
    _, height, width = denoiser.event_shape
    guided = not denoiser.is_score_of_a_distribution
    options: dict[str, Any] = {"guidance_scale": denoiser.guidance}
    if guided:
        options["negative_prompt"] = denoiser.negative_prompt or None
    if denoiser.packed and guided:
        options |= {"guidance_scale": 1.0, "true_cfg_scale": denoiser.guidance}
        options["negative_prompt"] = denoiser.negative_prompt
    if pipeline.vae.dtype != sample.dtype:
        with quiet_libraries():
            pipeline.vae.to(sample.dtype)
    scheduler = pipeline.scheduler
    stand_in = _OneStep(scheduler.config, t, sample.device)
    # Past the pipeline's own setter, which would write the stand-in into its configuration.
    vars(pipeline)["scheduler"] = stand_in
    try:
        image = pipeline(
            denoiser.prompt,
            height=height * pipeline.vae_scale_factor,
            width=width * pipeline.vae_scale_factor,
            num_inference_steps=1,
            latents=pack(sample) if denoiser.packed else sample,
            output_type="pt",
            return_dict=False,
            **options,
        )[0]
    finally:
        vars(pipeline)["scheduler"] = scheduler
    assert stand_in.output is not None
    output = unpack(stand_in.output, height, width) if denoiser.packed else stand_in.output
    return output, image
