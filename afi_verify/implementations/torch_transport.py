"""The map of the probability-flow ODE between two times, differentiable, in torch.

In the coordinates ``n = x / sigma``, ``a = alpha / sigma`` the probability-flow ODE (eq. 5) of a diffused mixture of
Diracs is ``dn/da = E[x_0 | n, a]``, whatever the schedule: of the schedule only alpha and sigma at both ends remain.

Common to all functions: ``x`` has shape (B, *event_shape) and ``data`` (N, *event_shape), d values each; ``schedule``
has the methods ``alpha`` and ``sigma`` of a time (floats); ``t_start`` may be before or after ``t_end``; ``weights``
has shape (N,), is not negative and need not sum to one, and None means uniform. Arithmetic is in
float64, since a thousand roundings of float32 would show; results are in the dtype and on the device of ``x``; no input
is changed. ``num_steps`` steps of equal length in log(alpha / sigma) are taken, each of order 8: an extrapolated
midpoint rule with 20 evaluations.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

_SUBSTEPS = (2, 4, 6, 8)


class Schedule(Protocol):
    """The scales of time in ``x_t = alpha(t) x_0 + sigma(t) noise``."""

    def alpha(self, t: Any) -> Any:
        """Signal scale."""

    def sigma(self, t: Any) -> Any:
        """Noise scale."""


def transport_map(
    x: Tensor,
    data: Tensor,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    weights: Tensor | None = None,
    num_steps: int = 64,
) -> Tensor:
    """Follow the probability-flow ODE from ``t_start`` to ``t_end`` (eq. 21), differentiably.

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``x`` is not floating point, alpha or sigma is not positive at an end, or the weights
        are negative or all zero.
    """
    _check(x, data, weights)
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, not {num_steps}.")
    atoms = data.to(x.device, torch.float64).reshape(len(data), -1)
    centre = atoms.mean(dim=0)
    atoms = atoms - centre
    log_weights = atoms.new_zeros(len(atoms)) if weights is None else weights.to(atoms).log()
    alpha, sigma = _level(schedule, t_start)
    alpha_end, sigma_end = _level(schedule, t_end)

    def slope(log_a: float, n: Tensor) -> Tensor:
        a = math.exp(log_a)
        # |n - a y|^2 without the part that all atoms share; atoms are centred, so little cancels.
        logits = a * (n @ atoms.T) + (log_weights - 0.5 * a * a * atoms.square().sum(dim=1))
        return a * (logits.softmax(dim=-1) @ atoms)

    n = (x.reshape(len(x), -1).to(atoms) - alpha * centre) / sigma
    first, last = math.log(alpha / sigma), math.log(alpha_end / sigma_end)
    h = (last - first) / num_steps
    for k in range(num_steps):
        n = _step(slope, first + k * h, n, h)
    return (alpha_end * centre + sigma_end * n).reshape(x.shape).to(x)


def transport_jacobian(
    x: Tensor,
    data: Tensor,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    weights: Tensor | None = None,
    num_steps: int = 64,
) -> Tensor:
    """Jacobian of :func:`transport_map`, by automatic differentiation through its steps (eq. 53).

    Returns
    -------
    Tensor
        Shape (B, d, d), dtype and device of ``x``: rows belong to ``x_end``, columns to ``x_start``.

    Raises
    ------
    ValueError
        As :func:`transport_map`.
    """
    _check(x, data, weights)
    with torch.enable_grad():
        points = x.detach().double().requires_grad_()
        ends = transport_map(points, data, schedule, t_start, t_end, weights, num_steps).reshape(len(x), -1)
    # A point's end depends on that point alone, so that the gradient of a sum over the batch has every row.
    rows = [torch.autograd.grad(ends[:, k].sum(), points, retain_graph=True)[0] for k in range(ends.shape[1])]
    return torch.stack(rows, dim=1).reshape(len(x), ends.shape[1], ends.shape[1]).to(x)


def _step(slope: Callable[[float, Tensor], Tensor], time: float, n: Tensor, h: float) -> Tensor:
    """One step of the midpoint rule, extrapolated over its substeps (Gragg 1965; Aitken and Neville)."""
    start = slope(time, n)
    table: list[Tensor] = []
    for row, count in enumerate(_SUBSTEPS):
        width = h / count
        before, now = n, n + width * start
        for k in range(1, count):
            before, now = now, before + 2 * width * slope(time + k * width, now)
        entry = (now + before + width * slope(time + h, now)) / 2
        fresh = [entry]
        for column in range(row):
            ratio = (count / _SUBSTEPS[row - column - 1]) ** 2
            fresh.append(fresh[column] + (fresh[column] - table[column]) / (ratio - 1))
        table = fresh
    return table[-1]


def _check(x: Tensor, data: Tensor, weights: Tensor | None) -> None:
    if not x.is_floating_point() or x.ndim < 2:
        raise ValueError(f"x must be floating point (B, *event_shape), not {x.dtype} {tuple(x.shape)}.")
    if data.shape[1:] != x.shape[1:] or not len(data):
        raise ValueError(f"data must be (N, *{tuple(x.shape[1:])}) with N > 0, not {tuple(data.shape)}.")
    if weights is not None and (
        weights.shape != (len(data),) or not bool((weights >= 0).all() and (weights > 0).any())
    ):
        raise ValueError(f"weights must have shape ({len(data)},), no negative and one positive entry.")


def _level(schedule: Schedule, t: float) -> tuple[float, float]:
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    if not (0 < alpha < math.inf and 0 < sigma < math.inf):
        raise ValueError(
            f"the flow needs 0 < alpha and 0 < sigma; they are {alpha} and {sigma} at t = {t}. Stop a little short of "
            "the end."
        )
    return alpha, sigma
