"""What a network is told besides the latents and the time: the prompt, in the terms of each family of pipelines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from afi_verify.errors import UnusableError

Condition: TypeAlias = dict[str, Any]
"""Keyword arguments of the network: tensors of one sample (first axis 1), or a dictionary of such."""


def read_prompts(file: Path) -> list[str]:
    """Return the prompts of a text file, one a line; empty lines and lines that begin with ``#`` do not count.

    Raises
    ------
    UnusableError
        If the file cannot be read or holds no prompt.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableError(f"{file} cannot be read as prompts, one a line, in UTF-8: {error}") from None
    prompts = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not prompts:
        raise UnusableError(f"{file} holds no prompt: one a line is expected.")
    return prompts


def encode(pipeline: Any, prompt: str, negative_prompt: str, size: tuple[int, int]) -> tuple[Condition, Condition]:
    """Return what the network is told for the prompt, and for the negative one, with latents of this size."""
    import torch

    with torch.no_grad():
        return _ENCODERS[type(pipeline).__name__](pipeline, prompt, negative_prompt, size)


def _sd(pipeline: Any, prompt: str, negative: str, _size: tuple[int, int]) -> tuple[Condition, Condition]:
    device = pipeline._execution_device
    with_it, without = pipeline.encode_prompt(prompt, device, 1, True, negative_prompt=negative)
    return {"encoder_hidden_states": with_it}, {"encoder_hidden_states": without}


def _sdxl(pipeline: Any, prompt: str, negative: str, size: tuple[int, int]) -> tuple[Condition, Condition]:
    import torch

    with_it, without, pooled, pooled_without = pipeline.encode_prompt(
        prompt,
        device=pipeline._execution_device,
        do_classifier_free_guidance=True,
        negative_prompt=negative or None,  # which makes it zeros where the model was trained so; "" would not
    )
    height, width = (side * pipeline.vae_scale_factor for side in size)
    # Original size, crop and target size, as the pipeline says them of an image that is not cropped.
    times = torch.tensor([[height, width, 0, 0, height, width]], dtype=with_it.dtype, device=with_it.device)

    def condition(states: Any, pool: Any) -> Condition:
        return {"encoder_hidden_states": states, "added_cond_kwargs": {"text_embeds": pool, "time_ids": times}}

    return condition(with_it, pooled), condition(without, pooled_without)


def _sd3(pipeline: Any, prompt: str, negative: str, _size: tuple[int, int]) -> tuple[Condition, Condition]:
    with_it, without, pooled, pooled_without = pipeline.encode_prompt(
        prompt,
        None,
        None,
        device=pipeline._execution_device,
        negative_prompt=negative,
        do_classifier_free_guidance=True,
    )
    return (
        {"encoder_hidden_states": with_it, "pooled_projections": pooled},
        {"encoder_hidden_states": without, "pooled_projections": pooled_without},
    )


def _flux(pipeline: Any, prompt: str, negative: str, _size: tuple[int, int]) -> tuple[Condition, Condition]:
    def condition(text: str) -> Condition:
        states, pooled, _ids = pipeline.encode_prompt(text, None, device=pipeline._execution_device)
        return {"encoder_hidden_states": states, "pooled_projections": pooled}

    return condition(prompt), condition(negative)


_ENCODERS: dict[str, Callable[[Any, str, str, tuple[int, int]], tuple[Condition, Condition]]] = {
    "StableDiffusionPipeline": _sd,
    "StableDiffusionXLPipeline": _sdxl,
    "StableDiffusion3Pipeline": _sd3,
    "FluxPipeline": _flux,
}


def expanded(condition: Condition, batch: int) -> Condition:
    """Return the condition for ``batch`` samples."""
    return {
        name: expanded(value, batch) if isinstance(value, dict) else value.expand(batch, *value.shape[1:])
        for name, value in condition.items()
    }


def joined(first: Condition, second: Condition) -> Condition:
    """Return two conditions as one, the samples of the first before those of the second."""
    import torch

    return {
        name: joined(value, second[name]) if isinstance(value, dict) else torch.cat([value, second[name]])
        for name, value in first.items()
    }
