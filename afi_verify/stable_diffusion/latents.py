"""Clean latents to begin from: given, made of images, drawn from the model, or those that an exact model holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from afi_verify.errors import UnusableError
from afi_verify.stable_diffusion.denoiser import Denoiser, unpack
from afi_verify.stable_diffusion.exact import ExactDenoiser
from afi_verify.stable_diffusion.loading import quiet_libraries
from afi_verify.stable_diffusion.products import normal


@dataclass(frozen=True)
class Latents:
    """Clean latents, scaled as the network knows them.

    Attributes
    ----------
    values
        Shape (N, C, H, W), float64.
    weights
        Shape (N,), summing to 1.
    is_law
        They are all that the law of the data consists of, rather than a sample of it. Statistics over draws from a
        sample have as many independent values as there are latents; over draws from the law, as there are draws.
    """

    values: Tensor
    weights: Tensor
    is_law: bool

    def noised(self, count: int, alpha: float, sigma: float, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw ``count`` points at a noise level.

        Returns
        -------
        tuple of Tensor
            The points and their noise, shape (count, C, H, W), and the index of the latent of each, (count,).
        """
        if self.is_law:
            index = torch.multinomial(self.weights.cpu(), count, replacement=True, generator=generator)
        else:
            index = torch.arange(count) % len(self.values)
        index = index.to(self.values.device)
        noise = normal(count, tuple(self.values.shape[1:]), generator, self.values)
        return alpha * self.values[index] + sigma * noise, noise, index


def of_the_model(denoiser: Denoiser) -> Latents | None:
    """Return the latents of an exact model with the weights that the prompt gives them; None for any other."""
    network = denoiser.network
    if not isinstance(network, ExactDenoiser):
        return None
    law = network.law(denoiser.conditions[0]["encoder_hidden_states"])
    weights = torch.as_tensor(law.weights, dtype=torch.float64, device=denoiser.device)
    return Latents(network.latents.detach().double(), weights, is_law=True)


def a_sample(values: Tensor) -> Latents:
    """Return latents that are a sample of a law that is not known."""
    return Latents(values.double(), torch.full((len(values),), 1 / len(values), device=values.device), is_law=False)


def read_latents(file: Path, denoiser: Denoiser) -> Latents:
    """Read ``latents``, shape (N, C, H, W), of a safetensors file.

    Raises
    ------
    UnusableError
        If the file cannot be read, or holds no latents of the model's shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise UnusableError(f"{file} cannot be read as safetensors: {error}") from None
    if "latents" not in tensors:
        raise UnusableError(f"{file} holds no tensor 'latents', but {', '.join(tensors) or 'nothing'}.")
    values = tensors["latents"]
    if tuple(values.shape[1:]) != denoiser.event_shape or not len(values) or not bool(values.isfinite().all()):
        raise UnusableError(
            f"{file}: latents must be finite and of shape (N, {', '.join(map(str, denoiser.event_shape))}) for this "
            f"model; got {tuple(values.shape)}."
        )
    return a_sample(values.to(denoiser.device))


def encode_images(folder: Path, denoiser: Denoiser) -> Latents:
    """Encode the images of a folder: the mean of the VAE's posterior, shifted and scaled as the pipeline does.

    Raises
    ------
    UnusableError
        If the folder holds no image that can be read.
    """
    from PIL import Image, UnidentifiedImageError

    pipeline = denoiser.pipeline
    _, height, width = denoiser.event_shape
    size = (width * pipeline.vae_scale_factor, height * pipeline.vae_scale_factor)
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in {".png", ".jpg", ".jpeg", ".webp"})
    if not files:
        raise UnusableError(f"{folder} holds no image (.png, .jpg, .webp).")
    encoded = []
    for file in files:
        try:
            with Image.open(file) as image:
                small = image.convert("RGB").resize(size)
        except (OSError, UnidentifiedImageError) as error:
            raise UnusableError(f"{file} cannot be read as an image: {error}") from None
        pixels = pipeline.image_processor.preprocess(small).to(denoiser.device, pipeline.vae.dtype)
        encoded.append(encode_pixels(pipeline, pixels))
    return a_sample(torch.cat(encoded))


def encode_pixels(pipeline: Any, pixels: Tensor) -> Tensor:
    """Return the latents of images (B, 3, H, W) in [-1, 1], as the network knows them."""
    configuration = pipeline.vae.config
    with torch.no_grad():
        mean = pipeline.vae.encode(pixels.to(pipeline.vae.dtype)).latent_dist.mode()
    return (mean - (configuration.get("shift_factor") or 0.0)) * configuration.scaling_factor


def decode(pipeline: Any, latents: Tensor) -> Tensor:
    """Return the images (B, 3, H, W) in [-1, 1] of latents; differentiable."""
    configuration = pipeline.vae.config
    if pipeline.vae.dtype == torch.float16 and configuration.get("force_upcast"):
        # That of Stable Diffusion XL overflows in float16. It stays: a backward pass may need these very weights.
        with quiet_libraries():
            pipeline.vae.to(torch.float32)
    unscaled = latents / configuration.scaling_factor + (configuration.get("shift_factor") or 0.0)
    return pipeline.vae.decode(unscaled.to(pipeline.vae.dtype), return_dict=False)[0]


def generate(denoiser: Denoiser, count: int, seed: int, steps: int) -> Latents:
    """Draw latents with the pipeline itself, for the prompt and guidance of ``denoiser``; one seed after another."""
    pipeline = denoiser.pipeline
    _, height, width = denoiser.event_shape
    side = pipeline.vae_scale_factor
    guidance = {} if denoiser.packed and not denoiser.distilled else {"guidance_scale": denoiser.guidance}
    drawn = []
    for k in range(count):
        values = pipeline(
            denoiser.prompt,
            num_inference_steps=steps,
            height=height * side,
            width=width * side,
            output_type="latent",
            generator=torch.Generator().manual_seed(seed * 100_003 + k),
            **guidance,
        ).images
        drawn.append(unpack(values, height, width) if denoiser.packed else values)
    return a_sample(torch.cat(drawn))
