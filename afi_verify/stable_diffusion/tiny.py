"""Small pipelines with random weights, one of every supported kind: to try the harness without a download."""

from __future__ import annotations

import string
from typing import Any

import torch

from afi_verify.errors import UnusableError

KINDS = ("sd15", "sd2", "sd2-v", "sdxl", "sd3", "flux")
"""Stable Diffusion 1.5, 2-base, 2 with v-prediction, XL, 3, and Flux."""

_STEPS = {"num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def tiny_pipeline(kind: str, size: int = 8, seed: int = 0) -> Any:
    """Build a pipeline of the architecture of ``kind``, small and with random weights.

    Parameters
    ----------
    kind
        One of :data:`KINDS`.
    size
        Height and width of the latents, a multiple of 4.
    seed
        Of the weights.

    Raises
    ------
    UnusableError
        If the kind is not known.
    """
    if kind not in KINDS:
        raise UnusableError(f"The kind {kind!r} is not known; choose one of: {', '.join(KINDS)}.")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return {"sdxl": _sdxl, "sd3": _sd3, "flux": _flux}.get(kind, lambda s: _sd(s, kind))(size)


def _sd(size: int, kind: str) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    prediction = "v_prediction" if kind == "sd2-v" else "epsilon"
    scheduler = DDIMScheduler(
        **_STEPS, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type=prediction
    )
    return StableDiffusionPipeline(
        vae=_vae(4, 0.18215),
        text_encoder=_clip(),
        tokenizer=_tokenizer(),
        unet=_unet(size),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl(size: int) -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    unet = _unet(
        size, 64, addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=80
    )
    return StableDiffusionXLPipeline(
        vae=_vae(4, 0.13025),
        text_encoder=_clip(),
        text_encoder_2=_clip(projected=True),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        unet=unet,
        scheduler=EulerDiscreteScheduler(**_STEPS, steps_offset=1, timestep_spacing="leading"),
        add_watermarker=False,
    )


def _sd3(size: int) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    transformer = SD3Transformer2DModel(
        sample_size=size,
        patch_size=2,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        out_channels=4,
        pos_embed_max_size=64,
    )
    return StableDiffusion3Pipeline(
        vae=_vae(4, 1.5305, 0.0609),
        text_encoder=_clip(projected=True),
        text_encoder_2=_clip(projected=True),
        text_encoder_3=None,
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        tokenizer_3=None,
        transformer=_randomised(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def _flux(size: int) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
    )
    transformer.register_to_config(sample_size=size)
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    tokenizer = T5Tokenizer(vocab=[*words, *((letter, -3.0) for letter in string.ascii_lowercase)], extra_ids=0)
    text = T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4)
    return FluxPipeline(
        vae=_vae(4, 0.3611, 0.1159),
        text_encoder=_clip(),
        text_encoder_2=T5EncoderModel(text).eval(),
        tokenizer=_tokenizer(),
        tokenizer_2=tokenizer,
        transformer=_randomised(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
    )


def _unet(size: int, text: int = 32, **more: Any) -> Any:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=size,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=4,
        cross_attention_dim=text,
        attention_head_dim=4,
        **more,
    )
    return _randomised(unet)


def _vae(channels: int, scale: float, shift: float | None = None) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(4, 8),
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=2,
        sample_size=16,
        scaling_factor=scale,
        shift_factor=shift,
    ).eval()


def _clip(*, projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=1000,
        hidden_size=32,
        intermediate_size=37,
        projection_dim=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def _tokenizer() -> Any:
    from transformers import CLIPTokenizer

    # Letters for words: each maps to a number of its own, which is all that a random text encoder needs.
    pieces = ["<|startoftext|>", "<|endoftext|>", *string.ascii_lowercase]
    pieces += [f"{letter}</w>" for letter in string.ascii_lowercase]
    tokenizer = CLIPTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])
    tokenizer.model_max_length = 77
    return tokenizer


def _randomised(network: Any) -> Any:
    """Fill the layers that begin at zero: a network that returns zero tests nothing."""
    for parameter in network.parameters():
        if parameter.ndim > 1 and not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.05)
    return network.eval()
