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
    "two stacked products": "the same with 2B rows: what score and F v in one pass do at least",
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
        "two stacked products": lambda: (stacked @ y.T, weights @ y),
        "one read": lambda: y.sum(),
    }


def make_ours(batch: int, atoms: int, dimension: int, log_snr: float) -> Callable[[], Any]:
    """Return the one pass alone as a function of nothing, on data of its own."""
    return make_methods(batch, atoms, dimension, log_snr)[OURS]
