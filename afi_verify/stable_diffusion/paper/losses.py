"""Scores of images for Fig. 2, 4 and 5, by weights that the user gives: CLIP, aesthetic, identity; or a target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from afi_verify.errors import UnusableError
from afi_verify.stable_diffusion.loading import quiet_libraries
from afi_verify.stable_diffusion.preflight import examine_weights, read_header

Score = Callable[[Tensor], Tensor]
"""Images (B, 3, H, W) in [-1, 1] to scores (B,), the higher the better; differentiable."""

# Of every CLIP model's preprocessing.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


class Clip:
    """A CLIP model of transformers from a local folder, safetensors only.

    Raises
    ------
    UnusableError
        If the folder holds no CLIP model with its tokenizer.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from transformers import CLIPModel, CLIPTokenizer

        examine_weights(folder)
        try:
            with quiet_libraries():
                self.model = CLIPModel.from_pretrained(folder, use_safetensors=True, local_files_only=True)
                self.tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # transformers raises all kinds
            raise UnusableError(f"{folder} cannot be loaded as a CLIP model: {type(error).__name__}: {error}") from None
        self.model.to(device).requires_grad_(False).eval()

    def image(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D) of length 1."""
        size = self.model.config.vision_config.image_size
        pixels = functional.interpolate(images.float() / 2 + 0.5, (size, size), mode="bilinear", antialias=True)
        mean, std = (torch.tensor(values, device=images.device).reshape(1, 3, 1, 1) for values in (_MEAN, _STD))
        hidden = self.model.vision_model(pixel_values=(pixels - mean) / std).pooler_output
        return functional.normalize(self.model.visual_projection(hidden), dim=1)

    def text(self, prompt: str) -> Tensor:
        """Return the embedding (1, D) of length 1."""
        longest = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer([prompt], truncation=True, max_length=longest, return_tensors="pt")
        hidden = self.model.text_model(input_ids=tokens.input_ids.to(self.model.device)).pooler_output
        return functional.normalize(self.model.text_projection(hidden), dim=1)


def clip_score(clip: Clip, prompt: str) -> Score:
    """Return the cosine of image and prompt."""
    text = clip.text(prompt)
    return lambda images: (clip.image(images) * text).sum(dim=1)


def identity_score(clip: Clip, reference: Tensor) -> Score:
    """Return the cosine of an image's embedding and a reference image's, (1, 3, H, W): identity, if it embeds faces."""
    wanted = clip.image(reference)
    return lambda images: (clip.image(images) * wanted).sum(dim=1)


def aesthetic_score(clip: Clip, file: Path) -> Score:
    """Return a linear score of the image's embedding: ``weight`` (1, D) or (D,), and ``bias``, of a safetensors file.

    Raises
    ------
    UnusableError
        If the file holds no weights of that shape.
    """
    from safetensors.torch import load_file

    read_header(file)
    tensors = load_file(file)
    size = clip.model.config.projection_dim
    weight = tensors.get("weight", torch.empty(0)).flatten().float().to(clip.model.device)
    if weight.shape != (size,):
        raise UnusableError(f"{file}: `weight` must hold {size} numbers for this CLIP model; got {weight.numel()}.")
    bias = tensors.get("bias", torch.zeros(1)).float().sum().to(weight)
    return lambda images: clip.image(images) @ weight + bias


def target_score(reference: Tensor) -> Score:
    """Return minus the mean square distance to a reference image (1, 3, H, W): needs no weights."""

    def score(images: Tensor) -> Tensor:
        wanted = functional.interpolate(reference.to(images), images.shape[-2:], mode="bilinear", antialias=True)
        return -(images - wanted).square().flatten(1).mean(dim=1)

    return score


def read_image(file: Path, device: Any) -> Tensor:
    """Return an image file as (1, 3, H, W) in [-1, 1].

    Raises
    ------
    UnusableError
        If it cannot be read.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    except (OSError, UnidentifiedImageError) as error:
        raise UnusableError(f"{file} cannot be read as an image: {error}") from None
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].to(device) / 127.5 - 1
