"""The network of a pipeline as a noise prediction ``eps(x, t)``, with the scheduler's own alpha and sigma."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from afi_reference.schedules.schedule import Schedule
from afi_verify.errors import UnusableError
from afi_verify.stable_diffusion.conditioning import Condition, encode, expanded, joined
from afi_verify.stable_diffusion.loading import network_of
from afi_verify.stable_diffusion.noise import Prediction, noise_prediction, prediction_of, schedule_of


class Denoiser:
    """A pipeline's noise prediction at latents, for one prompt and one guidance scale.

    Latents ``x`` have shape (B, *event_shape), scaled as the network knows them (``vae.config.scaling_factor``), in
    any floating dtype: the network computes in its own, everything else is in that of ``x``. So the quantities derived
    from a float16 network are float32 or float64, and ``sigma^-4`` overflows nowhere. The time ``t`` is the network's
    timestep, a float or a tensor (B,). Differentiable in ``x``.

    Parameters
    ----------
    pipeline
        As :func:`~afi_verify.stable_diffusion.load_pipeline` returns it.
    prompt, negative_prompt
        Text; ``""`` is the model without a prompt.
    guidance
        ``g`` of classifier-free guidance, ``eps(negative) + g (eps(prompt) - eps(negative))``: 1 is the model of the
        prompt alone, and the only one whose prediction is meant as the score of a distribution. For a network that has
        been distilled with guidance (Flux dev) it is handed to the network instead.
    latent_size
        Height and width of the latents; the network's own when omitted.
    schedule, prediction
        The scheduler's own when omitted.

    Attributes
    ----------
    event_shape
        Of one sample: (channels, height, width).
    schedule
        ``alpha(t)``, ``sigma(t)``, ``f(t)``, ``g2(t)``, ``log_snr(t)``: see :mod:`afi_reference.schedules`.
    prediction
        What the network returns.

    Raises
    ------
    UnusableError
        If the scheduler is not known, or the latent size does not fit the network.
    """

    def __init__(
        self,
        pipeline: Any,
        prompt: str = "",
        *,
        negative_prompt: str = "",
        guidance: float = 1.0,
        latent_size: tuple[int, int] | None = None,
        schedule: Schedule | None = None,
        prediction: Prediction | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.network = network_of(pipeline)
        self.packed = type(pipeline).__name__ == "FluxPipeline"
        self.guidance = float(guidance)
        self.prompt, self.negative_prompt = prompt, negative_prompt
        self.schedule = schedule_of(pipeline.scheduler) if schedule is None else schedule
        self.prediction = prediction_of(pipeline.scheduler) if prediction is None else prediction
        self.event_shape = _event_shape(pipeline, self.network, latent_size, packed=self.packed)
        size = self.event_shape[1], self.event_shape[2]
        self.conditions: tuple[Condition, Condition] = encode(pipeline, prompt, negative_prompt, size)
        self.distilled = bool(self.packed and self.network.config.get("guidance_embeds"))

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.device

    @property
    def dimension(self) -> int:
        """Numbers in a latent."""
        channels, height, width = self.event_shape
        return channels * height * width

    @property
    def is_score_of_a_distribution(self) -> bool:
        """Whether the prediction is meant as the score of a distribution: a guided one is not."""
        return self.guidance == 1 or self.distilled

    def alpha(self, t: float) -> float:
        """Signal scale of the scheduler at the network's time ``t``."""
        return float(self.schedule.alpha(float(t)))

    def sigma(self, t: float) -> float:
        """Noise scale of the scheduler at the network's time ``t``."""
        return float(self.schedule.sigma(float(t)))

    def noise(self, t: float | Tensor, x: Tensor) -> tuple[Any, Any]:
        """Return ``alpha`` and ``sigma``: floats, or for a tensor of times of a shape that multiplies ``x``."""
        if not isinstance(t, Tensor):
            return self.alpha(t), self.sigma(t)
        times = t.to(x.device, torch.float64)
        shape = (-1, *[1] * (x.ndim - 1)) if times.ndim else ()
        return tuple(level(times).reshape(shape).to(x.dtype) for level in (self.schedule.alpha, self.schedule.sigma))

    def output(self, x: Tensor, t: float | Tensor) -> Tensor:
        """Return what the network says at ``x``, guided, shape and dtype of ``x``: of the kind ``prediction``."""
        with_it, without = (expanded(condition, len(x)) for condition in self.conditions)
        times = torch.as_tensor(t, dtype=torch.float64, device=x.device).expand(len(x))
        if self.is_score_of_a_distribution:
            return self._call(x, times, with_it)
        both = self._call(torch.cat([x, x]), torch.cat([times, times]), joined(without, with_it))
        unguided, guided = both.chunk(2)
        return unguided + self.guidance * (guided - unguided)

    def eps(self, x: Tensor, t: float | Tensor) -> Tensor:
        """Predict the noise at ``x``, shape and dtype of ``x``."""
        alpha, sigma = self.noise(t, x)
        prediction: Tensor = noise_prediction(self.prediction, self.output(x, t), x, alpha, sigma)
        return prediction

    def score(self, x: Tensor, t: float) -> Tensor:
        """``-eps / sigma``, shape and dtype of ``x``."""
        return -self.eps(x, t) / self.sigma(t)

    def _call(self, x: Tensor, times: Tensor, condition: Condition) -> Tensor:
        sample = x.to(self.network.dtype)
        if not self.packed:
            name = "hidden_states" if type(self.pipeline).__name__ == "StableDiffusion3Pipeline" else "sample"
            answer = self.network(**{name: sample, "timestep": times}, **condition, return_dict=False)[0]
            return answer.to(x.dtype)
        batch, (_channels, height, width) = len(x), self.event_shape
        extra: dict[str, Any] = {
            "txt_ids": torch.zeros(condition["encoder_hidden_states"].shape[1], 3, device=x.device, dtype=sample.dtype),
            "img_ids": self.pipeline._prepare_latent_image_ids(1, height // 2, width // 2, x.device, sample.dtype),
        }
        if self.distilled:
            extra["guidance"] = torch.full((batch,), self.guidance, device=x.device, dtype=torch.float32)
        packed = pack(sample)
        # The scheduler's steps over its number of them, which the network multiplies by 1000 again.
        part = (times / 1000).to(torch.promote_types(sample.dtype, torch.float32))
        answer = self.network(hidden_states=packed, timestep=part, **condition, **extra, return_dict=False)[0]
        return unpack(answer, height, width).to(x.dtype)


def pack(x: Tensor) -> Tensor:
    """Return latents (B, C, H, W) as Flux takes them: (B, H W / 4, 4 C)."""
    batch, channels, height, width = x.shape
    blocks = x.reshape(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return blocks.reshape(batch, (height // 2) * (width // 2), channels * 4)


def unpack(x: Tensor, height: int, width: int) -> Tensor:
    """Undo :func:`pack`."""
    batch, _, channels = x.shape
    blocks = x.reshape(batch, height // 2, width // 2, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return blocks.reshape(batch, channels // 4, height, width)


def _event_shape(pipeline: Any, network: Any, size: tuple[int, int] | None, *, packed: bool) -> tuple[int, int, int]:
    channels = network.config.in_channels // (4 if packed else 1)
    own = network.config.get("sample_size")
    if size is None:
        own = pipeline.default_sample_size if own is None else own
        size = (own, own) if isinstance(own, int) else (int(own[0]), int(own[1]))
    multiple = 2 if packed else 1
    if min(size) < 1 or any(side % multiple for side in size):
        raise UnusableError(f"The latents' height and width must be positive multiples of {multiple}, not {size}.")
    return channels, size[0], size[1]
