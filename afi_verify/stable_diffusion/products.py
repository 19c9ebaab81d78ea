"""Products with the Jacobian J of the noise prediction: backwards, forwards and by differences, in bounded memory.

Rows are independent: ``x`` and ``v`` have shape (R, C, H, W), one direction per point; many directions at one point are
that point many times. No graph is kept beyond one call of the network.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

EpsFn = Callable[[Tensor, Any], Tensor]


class Products:
    """Products with the Jacobian of a function, a few rows at a time.

    Parameters
    ----------
    eps
        ``(x, t)`` to the noise prediction, the shape of ``x``.
    rows
        Most rows of one call.
    jacobian_of
        The function to differentiate; ``eps`` when omitted. (They differ in code that is wrong.)
    """

    def __init__(self, eps: EpsFn, rows: int = 64, jacobian_of: EpsFn | None = None) -> None:
        self._eps = eps
        self._differentiated = eps if jacobian_of is None else jacobian_of
        self.rows = rows

    def eps(self, x: Tensor, t: float) -> Tensor:
        """Return the prediction, without a graph."""
        with torch.no_grad():
            return torch.cat([self._eps(part, t) for part in torch.split(x, self.rows)])

    def vjp(self, x: Tensor, v: Tensor, t: float) -> Tensor:
        """Return ``J^T v`` by reverse mode."""
        return self.eps_and_vjp(x, v, t)[1]

    def eps_and_vjp(self, x: Tensor, v: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Return the prediction and ``J^T v``, from one forward pass."""
        predictions, products = [], []
        for point, direction in zip(torch.split(x, self.rows), torch.split(v, self.rows), strict=True):
            with torch.enable_grad():
                point = point.detach().requires_grad_()
                output = self._differentiated(point, t)
                products.append(torch.autograd.grad(output, point, direction)[0])
            same = self._differentiated is self._eps
            predictions.append(output.detach() if same else self.eps(point.detach(), t))
        return torch.cat(predictions), torch.cat(products)

    def jvp(self, x: Tensor, v: Tensor, t: float) -> Tensor:
        """Return ``J v`` by forward mode, or by reverse mode twice where a layer has no forward mode."""
        # The fused kernels of attention have neither forward mode nor second derivatives.
        with sdpa_kernel(SDPBackend.MATH):
            # Contiguous: forward mode refuses rows that share memory.
            parts = list(
                zip(torch.split(x.contiguous(), self.rows), torch.split(v.contiguous(), self.rows), strict=True)
            )
            try:
                return torch.cat([self._forward(point, direction, t) for point, direction in parts])
            except (NotImplementedError, RuntimeError) as error:
                if "forward" not in str(error):
                    raise
                return torch.cat([self._twice(point, direction, t) for point, direction in parts])

    def _forward(self, x: Tensor, v: Tensor, t: float) -> Tensor:
        # The first use of forward mode compiles decompositions, at which torch warns of a part of its own.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
            tangent: Tensor = torch.func.jvp(lambda point: self._differentiated(point, t), (x,), (v,))[1]
        return tangent.detach()

    def _twice(self, x: Tensor, v: Tensor, t: float) -> Tensor:
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            output = self._differentiated(point, t)
            weights = torch.zeros_like(output, requires_grad=True)
            pulled = torch.autograd.grad(output, point, weights, create_graph=True)[0]
            return torch.autograd.grad(pulled, weights, v)[0]

    def difference(self, x: Tensor, v: Tensor, t: float, step: float) -> Tensor:
        """Return ``J v`` by a central difference of the prediction."""
        return (self.eps(x + step * v, t) - self.eps(x - step * v, t)) / (2 * step)

    def quadratic(self, x: Tensor, v: Tensor, t: float) -> Tensor:
        """Return ``<v, J v>``, shape (R,)."""
        return dot(v, self.vjp(x, v, t))

    def diagonal(self, x: Tensor, indices: Tensor, t: float) -> Tensor:
        """Return the entries ``J_ii`` at one point ``x``, shape (1, C, H, W), for (n,) indices: shape (n,)."""
        entries = []
        for part in torch.split(indices, self.rows):
            basis = torch.zeros(len(part), x[0].numel(), dtype=x.dtype, device=x.device)
            basis[torch.arange(len(part)), part] = 1
            rows = x.expand(len(part), *x.shape[1:])
            entries.append(self.quadratic(rows, basis.reshape(rows.shape), t))
        return torch.cat(entries)


def dot(u: Tensor, v: Tensor) -> Tensor:
    """Return the inner product of each row, shape (R,)."""
    return (u * v).flatten(1).sum(dim=1)


def signs(count: int, shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Return (count, *shape) random signs, the same on every device and in every dtype."""
    return (2 * torch.randint(0, 2, (count, *shape), generator=generator) - 1).to(like)


def normal(count: int, shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Return (count, *shape) normal numbers, the same on every device and, to rounding, in every dtype."""
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64).to(like)


def rows_for(eps: EpsFn, x: Tensor, t: float, budget: int | None, most: int = 64) -> int:
    """Return how many rows of one forward and backward pass fit into ``budget`` bytes.

    Measured by what one row's graph keeps, which is the same on every device.
    """
    if budget is None:
        return most
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        eps(x[:1].detach().requires_grad_(), t)
    # Twice: the backward pass makes a gradient of most of what is kept.
    return max(1, min(most, budget // max(1, 2 * kept)))
