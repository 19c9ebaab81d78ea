"""A trace head of the shape of the paper's: a U-Net whose output is read by a small network (Algorithm 1)."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class UNetTraceHead(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """``t_theta(x, t)``: a U-Net over the latents, then an MLP to one number per sample, which is not negative.

    Parameters
    ----------
    event_shape
        (channels, height, width) of a latent.
    block_out_channels
        Channels of the U-Net from the finest level to the coarsest; the size must be divisible by two as often as
        there are levels less one.
    hidden
        Width of the MLP.
    """

    __module__ = "afi_verify.stable_diffusion"

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        event_shape: tuple[int, int, int] = (4, 64, 64),
        block_out_channels: tuple[int, ...] = (32, 64),
        hidden: int = 128,
    ) -> None:
        super().__init__()
        channels, height, width = event_shape
        levels = len(block_out_channels)
        self.unet = UNet2DModel(
            sample_size=(height, width),
            in_channels=channels,
            out_channels=channels,
            block_out_channels=tuple(block_out_channels),
            layers_per_block=1,
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
            norm_num_groups=4,
            add_attention=False,
        )
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * height * width, hidden), nn.SiLU(), nn.Linear(hidden, 1), nn.Softplus()
        )

    def forward(self, x: Tensor, t: Any) -> Tensor:
        """Return the estimate of ``E[|x_0|^2 given x_t = x] / d``, shape (B,), dtype of ``x``."""
        times = torch.as_tensor(t, dtype=torch.float32, device=x.device).expand(len(x))
        features = self.unet(x.to(self.dtype), times, return_dict=False)[0]
        return self.mlp(features)[:, 0].to(x.dtype)
