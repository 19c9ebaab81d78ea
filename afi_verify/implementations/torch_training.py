"""Training on vectors: the trace head of AFI-TM (Algorithm 1), and a small noise prediction to go with it.

Both regress a target on the noisy point ``x_t = alpha(t) x_0 + sigma(t) noise``: the trace head ``|x_0|^2 / d``, whose
best predictor is ``E[|x_0|^2 | x_t] / d`` (Prop. 6), the noise prediction the noise itself, whose best predictor is
``-sigma(t) grad log q_t`` (Prop. 2 and 4).

Common to both functions: ``data`` is a tensor (N, d), or a function ``(count, generator) -> (count, d)`` that draws
points; ``weights`` (N,) need not sum to one, and None means uniform; ``schedule`` has ``alpha(t)`` and ``sigma(t)``,
elementwise on tensors, and ``t_min`` and ``t_max``. Times are uniform between these, one in each of as many equal parts
as the batch has points. On a CPU the result is determined by ``seed`` and the inputs; the global random state is left
as it was.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Draw: TypeAlias = Callable[[int, torch.Generator], Tensor]
Listener: TypeAlias = Callable[[int, float], None]

_FREQUENCIES = (0.5, 1.0, 2.0)


class VectorNetwork(nn.Module):
    """A small network of a vector and a time: an MLP with residual blocks.

    It sees ``x`` at unit variance and the log-SNR instead of the time, so that it works for any schedule.

    Parameters
    ----------
    schedule
        Where times get their noise levels from.
    dimension, outputs
        Of ``x``, and of the answer: with ``outputs=None`` the answer has shape (B,).
    spread
        Root of the mean square of a coordinate of the data.
    width, depth
        Units in a layer, and residual blocks.
    """

    def __init__(
        self,
        schedule: Any,
        dimension: int,
        outputs: int | None = None,
        *,
        spread: float = 1.0,
        width: int = 64,
        depth: int = 2,
    ) -> None:
        super().__init__()
        self.schedule, self.spread, self.scalar = schedule, spread, outputs is None
        features = 1 + 2 * len(_FREQUENCIES)
        self.enter = nn.Linear(dimension + features, width)
        self.blocks = nn.ModuleList(nn.Linear(width + features, width) for _ in range(depth))
        self.leave = nn.Linear(width, outputs or 1)

    def forward(self, x: Tensor, t: float | Tensor) -> Tensor:
        """Return the answer at points ``x`` (B, d) and times ``t``, a number or (B,)."""
        times = torch.as_tensor(t, dtype=x.dtype, device=x.device).expand(len(x))
        alpha, sigma = self.schedule.alpha(times), self.schedule.sigma(times)
        # Halves of the log-SNR in units of 4, kept finite at the ends of a schedule.
        level = ((alpha.clamp(min=1e-6).log() - sigma.clamp(min=1e-6).log()) / 2)[:, None]
        scaled = x / (alpha**2 * self.spread**2 + sigma**2).sqrt()[:, None]
        time = torch.cat([level, *(wave(level * k) for k in _FREQUENCIES for wave in (torch.sin, torch.cos))], dim=1)
        hidden = nn.functional.silu(self.enter(torch.cat([scaled, time], dim=1)))
        for block in self.blocks:
            hidden = hidden + nn.functional.silu(block(torch.cat([hidden, time], dim=1)))
        answer: Tensor = self.leave(hidden)
        return answer[:, 0] if self.scalar else answer


class TraceHead(nn.Module):
    """A network of standardised targets as a trace head: ``offset + scale * network(x, t)``."""

    offset: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, offset: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("offset", offset)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor, t: float | Tensor) -> Tensor:
        """Return the prediction of ``|x_0|^2 / d`` at ``x`` (B, d), shape (B,)."""
        answer = self.network(x, t)
        if answer.shape != x.shape[:1]:
            raise ValueError(f"network(x, t) must return shape {tuple(x.shape[:1])}, not {tuple(answer.shape)}.")
        return self.offset + self.scale * answer


class NoisePrediction(nn.Module):
    """A network as a noise prediction, right where there is next to no signal: there the noise is ``x_t / sigma``.

    ``eps = s x / n^2 + a c / n network(x, t)`` with a = alpha, s = sigma, c the spread of the data and
    ``n^2 = (a c)^2 + s^2``: the best linear prediction for centred data, and a correction that fades with the signal.
    """

    def __init__(self, network: VectorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: float | Tensor) -> Tensor:
        """Return the predicted noise at ``x`` (B, d), shape (B, d)."""
        times = torch.as_tensor(t, dtype=x.dtype, device=x.device).expand(len(x))
        schedule, spread = self.network.schedule, self.network.spread
        signal, sigma = schedule.alpha(times)[:, None] * spread, schedule.sigma(times)[:, None]
        variance = signal**2 + sigma**2
        answer: Tensor = sigma / variance * x + signal / variance.sqrt() * self.network(x, t)
        return answer


def train_trace_head(
    data: Tensor | Draw,
    schedule: Any,
    seed: int,
    *,
    weights: Tensor | None = None,
    network: nn.Module | None = None,
    num_steps: int = 1500,
    batch_size: int = 256,
    learning_rate: float = 1e-2,
    width: int = 64,
    listen: Listener | None = None,
) -> nn.Module:
    """Train a trace head (Algorithm 1): least squares on ``|x_0|^2 / d``.

    Parameters
    ----------
    data, schedule, weights, seed
        As in the module's description.
    network
        Any module ``(x, t) -> (B,)`` of batches and times (B,); it learns the standardised target, and is changed. A
        :class:`VectorNetwork` when left out.
    num_steps, batch_size, learning_rate, width
        Of Adam, whose rate falls to 0 along a cosine; units per layer of the default network.
    listen
        Called with each step and its loss, in units of the target's variance.

    Returns
    -------
    nn.Module
        The head, in evaluation mode: ``head(x, t)`` for points (B, d) in the dtype of the data and a time, a number or
        (B,), returns (B,).

    Raises
    ------
    ValueError
        If a shape does not fit, or there is nothing to train.
    """
    draw, sample = _source(data, weights, seed, num_steps)
    targets = sample.square().mean(dim=1)
    offset, scale = targets.mean(), targets.std(correction=0).clamp(min=1e-12)
    if network is None:
        with _seeded(seed):
            network = VectorNetwork(schedule, sample.shape[1], spread=_spread(sample), width=width).to(sample)
    head = TraceHead(network, offset, scale)

    def loss(x0: Tensor, _: Tensor, x: Tensor, t: Tensor) -> Tensor:
        return ((head(x, t) - x0.square().mean(dim=1)) / scale).square().mean()

    return _train(head, loss, draw, schedule, seed, num_steps, batch_size, learning_rate, listen)


def train_noise_prediction(
    data: Tensor | Draw,
    schedule: Any,
    seed: int,
    *,
    weights: Tensor | None = None,
    num_steps: int = 3000,
    batch_size: int = 256,
    learning_rate: float = 2e-3,
    width: int = 128,
    depth: int = 2,
    listen: Listener | None = None,
) -> nn.Module:
    """Train a noise prediction (eq. 4): least squares on the noise.

    Parameters
    ----------
    data, schedule, weights, seed
        As in the module's description.
    num_steps, batch_size, learning_rate, width, depth
        Of Adam, whose rate falls to 0 along a cosine; of the network.
    listen
        Called with each step and its loss, the mean square of a coordinate.

    Returns
    -------
    nn.Module
        ``eps(x, t)`` for points (B, d) and a time, a number or (B,), returns (B, d); in evaluation mode.

    Raises
    ------
    ValueError
        If a shape does not fit, or there is nothing to train.
    """
    draw, sample = _source(data, weights, seed, num_steps)
    d = sample.shape[1]
    with _seeded(seed):
        network = VectorNetwork(schedule, d, d, spread=_spread(sample), width=width, depth=depth).to(sample)
    prediction = NoisePrediction(network)

    def loss(_: Tensor, noise: Tensor, x: Tensor, t: Tensor) -> Tensor:
        return (prediction(x, t) - noise).square().mean()

    return _train(prediction, loss, draw, schedule, seed, num_steps, batch_size, learning_rate, listen)


def _train(
    module: nn.Module,
    loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    draw: Draw,
    schedule: Any,
    seed: int,
    num_steps: int,
    batch_size: int,
    learning_rate: float,
    listen: Listener | None,
) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    optimiser = _Adam([p for p in module.parameters() if p.requires_grad])
    module.train()
    # Dropout and the like draw from the global generator.
    with torch.enable_grad(), _seeded(seed + 1):
        for step in range(num_steps):
            x0 = draw(batch_size, generator)
            parts = torch.arange(batch_size) + torch.rand(batch_size, generator=generator)
            share = (parts / batch_size).to(x0).clamp(1e-6, 1 - 1e-6)
            t = schedule.t_min + (schedule.t_max - schedule.t_min) * share
            noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype).to(x0)
            x = schedule.alpha(t)[:, None] * x0 + schedule.sigma(t)[:, None] * noise
            value = loss(x0, noise, x, t)
            optimiser.step(value, learning_rate * (1 + math.cos(math.pi * step / num_steps)) / 2)
            if listen is not None:
                listen(step, float(value.detach()))
    return module.eval().requires_grad_(False)


class _Adam:
    """Adam (Kingma and Ba 2015): the first use of ``torch.optim`` imports torch's compiler, which takes seconds."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        if not parameters:
            raise ValueError("network has no parameters to train.")
        self.parameters = parameters
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]
        self.count = 0

    def step(self, loss: Tensor, rate: float, decays: tuple[float, float] = (0.9, 0.99), floor: float = 1e-8) -> None:
        """Descend ``loss``."""
        gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        self.count += 1
        bias, bias_of_squares = (1 - decay**self.count for decay in decays)
        with torch.no_grad():
            for p, gradient, m, v in zip(self.parameters, gradients, self.first, self.second, strict=True):
                if gradient is None:
                    continue
                m.lerp_(gradient, 1 - decays[0])
                v.lerp_(gradient.square(), 1 - decays[1])
                p.addcdiv_(m, (v / bias_of_squares).sqrt_().add_(floor), value=-rate / bias)


def _source(data: Tensor | Draw, weights: Tensor | None, seed: int, num_steps: int) -> tuple[Draw, Tensor]:
    """Return how to draw points, and a sample (M, d) of them to take the scales of."""
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, not {num_steps}.")
    if not isinstance(data, Tensor):
        if weights is not None:
            raise ValueError("weights belong to a tensor of atoms; a function draws as it likes.")
        sample = data(4096, torch.Generator().manual_seed(seed))
        if sample.ndim != 2 or not sample.is_floating_point():
            raise ValueError(f"data(count, generator) must be floating point (count, d), not {tuple(sample.shape)}.")
        return data, sample
    if data.ndim != 2 or not len(data) or not data.is_floating_point():
        raise ValueError(f"data must be floating point (N, d) with N > 0, not {data.dtype} {tuple(data.shape)}.")
    if weights is None:
        weights = torch.ones(len(data))
    if weights.shape != (len(data),):
        raise ValueError(f"weights must have shape ({len(data)},), not {tuple(weights.shape)}.")
    chances = weights.to("cpu", torch.float64)

    def draw(count: int, generator: torch.Generator) -> Tensor:
        chosen = torch.multinomial(chances, count, replacement=True, generator=generator)
        return data[chosen.to(data.device)]

    return draw, draw(4096, torch.Generator().manual_seed(seed))


def _spread(sample: Tensor) -> float:
    return max(float(sample.square().mean().sqrt()), 1e-6)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generator of the CPU, and put it back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
