"""What the one pass over the atoms is measured beside: its competitors, and what bounds it."""

import functools
import math
from collections.abc import Callable
from typing import Any

OURS = "ours"
BOUND = "two stacked products"

METHODS = {
    "ours": "F v, score and trace in one pass (afi_reference.accumulator)",
    "torch.func.jvp": "jvp of the score through a logsumexp over matrix products (no trace)",
    "torch.func.vjp": "vjp of the same (no trace)",
    "naive autograd": "double backward through differences of shape (B, N, d) (no trace)",
    "two products": "x @ Y.T and W @ Y, nothing else",
    "two stacked products": "the same with 2B rows, as score and F v need them, each the faster way around",
    "stacked, as written": "the same with 2B rows as x @ Y.T and W @ Y, the first of which is the slower way around",
    "one read": "the sum of all atoms",
}


def make_methods(batch: int, atoms: int, dimension: int, log_snr: float) -> dict[str, Callable[[], Any]]:
    """Return each of ``METHODS`` as a function of nothing, on the same data, with uniform weights."""
    import torch

    from afi_reference.accumulator import accumulate

    generator = torch.Generator().manual_seed(0)
    draw = functools.partial(torch.randn, generator=generator)
    y = draw(atoms, dimension)
    alpha, sigma = (1 + math.exp(-log_snr)) ** -0.5, (1 + math.exp(log_snr)) ** -0.5
    x = alpha * y[:batch] + sigma * draw(batch, dimension)
    v = draw(batch, dimension)
    stacked = torch.cat([x, v])
    weights = torch.rand(2 * batch, atoms, generator=generator)

    def log_density(points: torch.Tensor) -> torch.Tensor:
        distances = (points * points).sum(1, keepdim=True) - 2 * alpha * (points @ y.T) + alpha**2 * (y * y).sum(1)
        return torch.logsumexp(-distances / (2 * sigma**2), 1).sum()

    def naive_log_density(points: torch.Tensor) -> torch.Tensor:
        differences = points[:, None, :] - alpha * y
        return torch.logsumexp(-(differences * differences).sum(2) / (2 * sigma**2), 1).sum()

    score: Callable[[torch.Tensor], torch.Tensor] = torch.func.grad(log_density)

    def by_vjp() -> Any:
        value, pull_back = torch.func.vjp(score, x)[:2]
        return value, pull_back(v)

    def by_naive_autograd() -> Any:
        points = x.clone().requires_grad_()
        (value,) = torch.autograd.grad(naive_log_density(points), points, create_graph=True)
        return value, torch.autograd.grad(value, points, v)

    return {
        "ours": lambda: accumulate(x, alpha, sigma, y, v=v),
        "torch.func.jvp": lambda: torch.func.jvp(score, (x,), (v,)),
        "torch.func.vjp": by_vjp,
        "naive autograd": by_naive_autograd,
        "two products": lambda: (x @ y.T, weights[:batch] @ y),
        "two stacked products": lambda: (y @ stacked.T, weights @ y),
        "stacked, as written": lambda: (stacked @ y.T, weights @ y),
        "one read": lambda: y.sum(),
    }


def make_ours_and_bound(batch: int, atoms: int, dimension: int, log_snr: float) -> dict[str, Callable[[], Any]]:
    """Return the one pass and its bound alone, as functions of nothing on the same data."""
    methods = make_methods(batch, atoms, dimension, log_snr)
    return {name: methods[name] for name in (OURS, BOUND)}


def make_numpy_methods(batch: int, atoms: int, dimension: int, log_snr: float) -> dict[str, Callable[[], Any]]:
    """Return the one pass and the two stacked products as functions of nothing, on NumPy's arrays in float32."""
    import numpy as np

    from afi_reference.accumulator import accumulate

    rng = np.random.default_rng(0)
    draw = functools.partial(rng.standard_normal, dtype=np.float32)
    y: Any = draw((atoms, dimension))
    alpha, sigma = (1 + math.exp(-log_snr)) ** -0.5, (1 + math.exp(log_snr)) ** -0.5
    x = np.float32(alpha) * y[:batch] + np.float32(sigma) * draw((batch, dimension))
    v = draw((batch, dimension))
    stacked, weights = np.concatenate([x, v]), rng.random((2 * batch, atoms), dtype=np.float32)
    return {
        OURS: lambda: accumulate(x, alpha, sigma, y, v=v),
        BOUND: lambda: (y @ stacked.T, weights @ y),
    }
