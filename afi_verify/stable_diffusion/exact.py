"""A denoiser whose prediction is exact for given latents: the model whose Fisher information is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.cache_utils import CacheMixin
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from afi_reference import DiracMixture
from afi_reference.schedules import DiscreteVP
from afi_reference.schedules.schedule import Schedule
from afi_verify.errors import UnusableError
from afi_verify.stable_diffusion.denoiser import pack, unpack
from afi_verify.stable_diffusion.noise import PREDICTIONS, FlowSteps, prediction_of, schedule_of


class ExactDenoiser(ModelMixin, ConfigMixin, CacheMixin):  # type: ignore[misc]
    """A drop-in for ``unet`` or ``transformer`` of a diffusers pipeline that predicts exactly.

    Its law of clean latents is a weighted mixture of Diracs at the given latents ``y_i`` (eq. 10), so its prediction
    at ``(x, t)`` is ``(x - alpha E[y | x]) / sigma`` in closed form, and its Jacobian by automatic differentiation is
    sigma times the Fisher information of that mixture, to the rounding of float64, in which it computes whatever its
    dtype is. The truth to hold results against comes from :meth:`law`, which is written independently in NumPy.

    A prompt can matter, as it must where guidance is tested: with ``prompt_keys`` the weights are
    ``softmax(log_weights_i + <key_i, mean of encoder_hidden_states over the tokens>)``.

    Build it with :meth:`from_latents`; ``save_pretrained`` and ``from_pretrained`` are those of any diffusers model
    (safetensors). Those of a whole pipeline work, too, once ``afi_verify.stable_diffusion`` is imported.

    Memory is that of the latents three times (as loaded, in float64, and one block); for B samples and N latents
    (B, N) more. No (B, N, d) array exists.

    Parameters
    ----------
    event_shape
        (channels, height, width) of a latent.
    num_latents
        N.
    prediction_type
        ``epsilon``, ``v_prediction``, ``sample`` or ``flow``.
    alphas_cumprod
        The scheduler's table; None for flow matching.
    num_train_timesteps
        Steps of flow matching.
    key_size
        Numbers in a prompt key; 0 where the prompt does not matter.
    packed
        Takes and returns latents as Flux does, (B, H W / 4, 4 C), and the time over 1000.
    pooled_size, time_ids_size
        Sizes that the pipelines of SDXL and SD3 ask a network for.
    """

    # diffusers finds the class again under this name; under its own it would take the folder for one of its pipelines.
    __module__ = "afi_verify.stable_diffusion"
    _supports_gradient_checkpointing = False
    _no_split_modules: list[str] = []  # noqa: RUF012 - as diffusers declares it

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        event_shape: tuple[int, int, int] = (4, 64, 64),
        num_latents: int = 1,
        prediction_type: str = "epsilon",
        alphas_cumprod: list[float] | None = None,
        num_train_timesteps: int = 1000,
        key_size: int = 0,
        packed: bool = False,
        pooled_size: int = 32,
        time_ids_size: int = 8,
    ) -> None:
        super().__init__()
        if prediction_type not in PREDICTIONS:
            raise ValueError(f"prediction_type must be one of {', '.join(PREDICTIONS)}, not {prediction_type!r}.")
        channels, height, width = event_shape
        sides: Any = height if height == width else (height, width)
        # What pipelines ask the configuration of a network for.
        self.register_to_config(
            sample_size=sides,
            in_channels=channels * (4 if packed else 1),
            out_channels=channels * (4 if packed else 1),
            patch_size=1 if packed else 2,
            cross_attention_dim=key_size or 32,
            joint_attention_dim=key_size or 32,
            pooled_projection_dim=pooled_size,
            addition_time_embed_dim=time_ids_size,
            time_cond_proj_dim=None,
            guidance_embeds=False,
        )
        self.latents = nn.Parameter(torch.zeros(num_latents, *event_shape), requires_grad=False)
        self.log_weights = nn.Parameter(torch.zeros(num_latents), requires_grad=False)
        self.prompt_keys = nn.Parameter(torch.zeros(num_latents, key_size), requires_grad=False)
        self._prepared: tuple[Any, Tensor, Tensor, Tensor] | None = None
        self._schedule: Schedule | None = None

    @classmethod
    def from_latents(
        cls,
        latents: Tensor,
        scheduler: Any,
        *,
        weights: Tensor | None = None,
        prompt_keys: Tensor | None = None,
        packed: bool = False,
        **sizes: Any,
    ) -> ExactDenoiser:
        """Build the exact denoiser of a set of latents.

        Parameters
        ----------
        latents
            Shape (N, C, H, W), finite, scaled as the network of the pipeline knows them.
        scheduler
            A diffusers scheduler: its alpha and sigma, and the kind of prediction.
        weights
            Shape (N,), positive; uniform when omitted.
        prompt_keys
            Shape (N, D), D the size of the text encoder's hidden states; the prompt does not matter when omitted.
        packed
            For Flux.
        sizes
            ``pooled_size``, ``time_ids_size``.

        Raises
        ------
        ValueError
            If a shape does not fit, a number is not finite or a weight not positive.
        UnusableError
            If the scheduler is not known.
        """
        if latents.ndim != 4 or not len(latents) or not bool(latents.isfinite().all()):
            raise ValueError(f"latents must be finite, of shape (N, C, H, W) with N > 0; got {tuple(latents.shape)}.")
        weights = torch.ones(len(latents)) if weights is None else weights
        if weights.shape != latents.shape[:1] or not bool((weights > 0).all()):
            raise ValueError(f"weights must be positive, of shape ({len(latents)},); got {tuple(weights.shape)}.")
        schedule = schedule_of(scheduler)
        table = list(map(float, schedule.alphas_cumprod)) if isinstance(schedule, DiscreteVP) else None
        model = cls(
            event_shape=tuple(latents.shape[1:]),
            num_latents=len(latents),
            prediction_type=prediction_of(scheduler),
            alphas_cumprod=[float(value) for value in schedule.alphas_cumprod]
            if isinstance(schedule, DiscreteVP)
            else None,
            num_train_timesteps=int(schedule.t_max) if table is None else len(table),
            key_size=0 if prompt_keys is None else int(prompt_keys.shape[1]),
            packed=packed,
            **sizes,
        )
        model.latents.data = latents.detach().clone().to(torch.promote_types(latents.dtype, torch.float32))
        model.log_weights.data = (weights / weights.sum()).log().to(model.latents.dtype)
        if prompt_keys is not None:
            if prompt_keys.shape[0] != len(latents):
                raise ValueError(f"prompt_keys must have one row per latent, {len(latents)}; got {len(prompt_keys)}.")
            model.prompt_keys.data = prompt_keys.detach().clone().to(model.latents.dtype)
        return model

    @property
    def schedule(self) -> Schedule:
        """Its alpha and sigma as functions of the timestep."""
        if self._schedule is None:
            table = self.config.alphas_cumprod
            self._schedule = FlowSteps(self.config.num_train_timesteps) if table is None else DiscreteVP(table)
        return self._schedule

    @property
    def add_embedding(self) -> Any:
        """What the pipeline of SDXL asks for the size of its additional embedding."""
        size = 6 * self.config.addition_time_embed_dim + self.config.pooled_projection_dim
        return SimpleNamespace(linear_1=SimpleNamespace(in_features=size))

    def law(self, encoder_hidden_states: Tensor | None = None) -> DiracMixture:
        """Return the law of the clean latents as the oracle knows it: points are latents flattened to (B, d).

        Parameters
        ----------
        encoder_hidden_states
            Of one prompt, shape (1, L, D); without a prompt's influence when omitted.
        """
        logits = self._log_prior(encoder_hidden_states)[0].cpu().numpy()
        weights = np.exp(logits - logits.max())
        return DiracMixture(
            self.latents.detach().double().cpu().numpy().reshape(len(logits), -1), weights / weights.sum()
        )

    def forward(
        self,
        sample: Tensor | None = None,
        timestep: Tensor | float | int = 0,
        encoder_hidden_states: Tensor | None = None,
        *,
        hidden_states: Tensor | None = None,
        return_dict: bool = True,
        **ignored: Any,
    ) -> Any:
        """Predict, with the arguments of ``UNet2DConditionModel`` or of the transformers of SD3 and Flux.

        Parameters
        ----------
        sample, hidden_states
            The noisy latents, under either name: (B, C, H, W), or packed.
        timestep
            A number, or a tensor of shape () or (B,).
        encoder_hidden_states
            (B, L, D): matters where there are prompt keys.
        return_dict
            False for a tuple.
        ignored
            Whatever else the pipelines hand to a network.
        """
        given = sample if sample is not None else hidden_states
        if given is None:
            raise ValueError("Give the noisy latents as sample or hidden_states.")
        channels, height, width = self.config.event_shape
        x = unpack(given, height, width) if self.config.packed else given
        if tuple(x.shape[1:]) != (channels, height, width):
            raise ValueError(f"The latents must have shape (B, {channels}, {height}, {width}), not {tuple(x.shape)}.")
        times = torch.as_tensor(timestep, device=x.device).double().reshape(-1).expand(len(x))
        if self.config.packed:
            times = times * 1000
        answer = self._predict(x.double(), times, encoder_hidden_states).to(given.dtype)
        answer = pack(answer) if self.config.packed else answer
        return Transformer2DModelOutput(sample=answer) if return_dict else (answer,)

    def posterior(self, x: Tensor, times: Tensor, states: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the posterior probabilities (B, N), and the posterior mean of the latents, of the shape of ``x``."""
        centre, latents, norms = self._centred()
        alpha, sigma = (level(times)[:, None] for level in (self.schedule.alpha, self.schedule.sigma))
        # |x - alpha y|^2 as a product of matrices, without the |x|^2 that all latents share. About the mean of the
        # latents, and in float64, so that what cancels are digits to spare.
        offset = x.flatten(1) - alpha * centre
        logits = (alpha * (offset @ latents.T) - 0.5 * alpha**2 * norms) / sigma**2
        weights = (self._log_prior(states) + logits).softmax(dim=1)
        return weights, (centre + weights @ latents).reshape(x.shape)

    def _predict(self, x: Tensor, times: Tensor, states: Tensor | None) -> Tensor:
        _, mean = self.posterior(x, times, states)
        alpha, sigma = (level(times)[:, None, None, None] for level in (self.schedule.alpha, self.schedule.sigma))
        eps = (x - alpha * mean) / sigma
        match self.config.prediction_type:
            case "epsilon":
                return eps
            case "v_prediction":
                return alpha * eps - sigma * mean
            case "sample":
                return mean
            case _:
                return eps - mean

    def _log_prior(self, states: Tensor | None) -> Tensor:
        prior = self.log_weights.double()[None]
        if states is None or not self.config.key_size:
            return prior
        return prior + states.double().mean(dim=1) @ self.prompt_keys.double().T

    def _centred(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the latents in float64 about their mean, made once for what is loaded now."""
        latents = self.latents
        version = latents.data_ptr(), latents._version, latents.dtype, latents.device
        if self._prepared is None or self._prepared[0] != version:
            flat = latents.detach().double().flatten(1)
            centre = flat.mean(dim=0)
            self._prepared = version, centre, flat - centre, (flat - centre).square().sum(dim=1)
        return self._prepared[1:]


def exact_pipeline(pipeline: Any, latents: Tensor, **options: Any) -> Any:
    """Put the exact denoiser of ``latents`` in the place of a pipeline's network, and return the pipeline.

    Parameters
    ----------
    pipeline
        Of a known family; its scheduler decides on noise levels and kind of prediction.
    latents
        Shape (N, C, H, W).
    options
        As :meth:`ExactDenoiser.from_latents`.

    Raises
    ------
    UnusableError
        If the pipeline is of no known family.
    """
    from afi_verify.stable_diffusion.preflight import FAMILIES

    family = type(pipeline).__name__
    if family not in FAMILIES:
        raise UnusableError(f"Pipelines of class {family} are not known here; known are {', '.join(FAMILIES)}.")
    options.setdefault("packed", family == "FluxPipeline")
    old = getattr(pipeline, FAMILIES[family])
    sizes = {"pooled_size": "pooled_projection_dim", "time_ids_size": "addition_time_embed_dim"}
    for ours, theirs in sizes.items():
        if (value := old.config.get(theirs)) is not None:
            options.setdefault(ours, value)
    if family == "StableDiffusionXLPipeline":
        text_size = old.add_embedding.linear_1.in_features - 6 * old.config.addition_time_embed_dim
        options["pooled_size"] = text_size
    model = ExactDenoiser.from_latents(latents, pipeline.scheduler, **options).to(old.device)
    pipeline.register_modules(**{FAMILIES[family]: model})
    return pipeline
