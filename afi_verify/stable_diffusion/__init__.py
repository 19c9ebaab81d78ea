"""The same checks on latent diffusion models, through diffusers: ``afi-verify sd``.

Importing this loads neither torch nor diffusers: the names below are fetched when they are first asked for.

====================  =============================================================================================
name                  what it is
====================  =============================================================================================
`load_pipeline`       a pipeline from a folder or the hub: safetensors only, every refusal a clear error
`Denoiser`            its network as a noise prediction ``eps(x, t)`` with ``alpha(t)`` and ``sigma(t)``
`ExactDenoiser`       a drop-in for the network of a pipeline whose prediction is exact for given latents
`exact_pipeline`      put one in the place of a pipeline's network
`ExactTraceHead`      the exact trace head for given latents
`UNetTraceHead`       a trace head to train: a U-Net read by an MLP
====================  =============================================================================================
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afi_verify.stable_diffusion.denoiser import Denoiser
    from afi_verify.stable_diffusion.exact import ExactDenoiser, exact_pipeline
    from afi_verify.stable_diffusion.exact_head import ExactTraceHead
    from afi_verify.stable_diffusion.loading import load_pipeline
    from afi_verify.stable_diffusion.trained_head import UNetTraceHead

_HOMES = {
    "Denoiser": "denoiser",
    "ExactDenoiser": "exact",
    "ExactTraceHead": "exact_head",
    "UNetTraceHead": "trained_head",
    "exact_pipeline": "exact",
    "load_pipeline": "loading",
}

__all__ = ["Denoiser", "ExactDenoiser", "ExactTraceHead", "UNetTraceHead", "exact_pipeline", "load_pipeline"]


def __getattr__(name: str) -> Any:
    if name == "ModelMixin":
        # diffusers asks the module of a component for it, to learn how the component is loaded.
        from diffusers import ModelMixin

        return ModelMixin
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
