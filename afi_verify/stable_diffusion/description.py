"""What a pipeline is, in numbers that JSON can hold."""

from typing import Any

from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.levels import spread_times
from afi_verify.stable_diffusion.loading import network_of


def describe(pipeline: Any) -> dict[str, Any]:
    """Return the family, the network, its prediction and latents, and noise levels over the scheduler's range."""
    denoiser, network = Denoiser(pipeline), network_of(pipeline)
    return {
        "family": type(pipeline).__name__,
        "network": type(network).__name__,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "dtype": str(network.dtype).removeprefix("torch."),
        "device": str(network.device),
        "scheduler": type(pipeline.scheduler).__name__,
        "prediction": denoiser.prediction,
        "latents": list(denoiser.event_shape),
        "vae_scaling": float(pipeline.vae.config.scaling_factor),
        "vae_shift": float(pipeline.vae.config.get("shift_factor") or 0),
        "levels": [
            {"t": t, "alpha": denoiser.alpha(t), "sigma": denoiser.sigma(t)} for t in spread_times(denoiser.schedule, 5)
        ],
    }
