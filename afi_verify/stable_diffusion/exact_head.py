"""The exact trace head (Prop. 6) for given latents, and the interface of every trace head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from afi_verify.errors import UnusableError
from afi_verify.stable_diffusion.exact import ExactDenoiser


class TraceHead(Protocol):
    """``head(x, t)``: an estimate of ``E[|x_0|^2 given x_t = x] / d``.

    ``x`` has shape (B, C, H, W), ``t`` is the network's timestep, a float or (B,); the answer has shape (B,).
    """

    def __call__(self, x: Tensor, t: Any) -> Tensor:
        """Estimate the head."""
        ...


class ExactTraceHead(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """The exact head of the latents of an :class:`ExactDenoiser`, which it holds; saved and loaded as any model."""

    __module__ = "afi_verify.stable_diffusion"

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, denoiser_config: dict[str, Any]) -> None:
        super().__init__()
        known = {name: value for name, value in denoiser_config.items() if not name.startswith("_")}
        self.denoiser = ExactDenoiser(**{name: known[name] for name in _ARGUMENTS if name in known})

    @classmethod
    def of(cls, denoiser: ExactDenoiser) -> ExactTraceHead:
        """Return the head of a denoiser's latents."""
        head = cls({name: denoiser.config[name] for name in _ARGUMENTS})
        head.denoiser.load_state_dict(denoiser.state_dict(), assign=True)
        return head.to(denoiser.device)

    def forward(self, x: Tensor, t: Any, encoder_hidden_states: Tensor | None = None) -> Tensor:
        """Return ``E[|x_0|^2 given x_t = x] / d``, shape (B,), dtype of ``x``."""
        times = torch.as_tensor(t, dtype=torch.float64, device=x.device).expand(len(x))
        weights, _ = self.denoiser.posterior(x.double(), times, encoder_hidden_states)
        squares = self.denoiser.latents.double().flatten(1).square().mean(dim=1)
        return (weights @ squares).to(x.dtype)


_ARGUMENTS = (
    "event_shape",
    "num_latents",
    "prediction_type",
    "alphas_cumprod",
    "num_train_timesteps",
    "key_size",
    "packed",
    "pooled_size",
    "time_ids_size",
)


def load_head(folder: Path, device: str = "cpu") -> TraceHead:
    """Load a trace head from a folder with ``config.json`` and safetensors.

    Raises
    ------
    UnusableError
        If the folder holds no head of a known class.
    """
    from afi_verify.stable_diffusion.loading import quiet_libraries
    from afi_verify.stable_diffusion.preflight import examine_weights
    from afi_verify.stable_diffusion.trained_head import UNetTraceHead

    classes: dict[str, Any] = {"ExactTraceHead": ExactTraceHead, "UNetTraceHead": UNetTraceHead}
    examine_weights(folder)
    named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    if named not in classes:
        raise UnusableError(f"{folder / 'config.json'}: class {named!r} is no trace head: {', '.join(classes)}.")
    try:
        with quiet_libraries():
            head = classes[named].from_pretrained(str(folder), use_safetensors=True, low_cpu_mem_usage=False)
    except Exception as error:
        raise UnusableError(f"{folder} cannot be loaded as {named}: {type(error).__name__}: {error}") from None
    return head.to(device).requires_grad_(False).eval()
