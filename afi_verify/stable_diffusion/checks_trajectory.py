"""Checks of whole trajectories: the likelihood with each trace, and the adjoint gradient against backpropagation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from afi_verify.implementations.torch_adjoint import Operator, adjoint_from_end, endpoint_operator, trivial_operator
from afi_verify.implementations.torch_likelihood import (
    TraceFn,
    flow_and_log_determinant,
    matching_trace,
    normal_log_density,
    trivial_trace,
)
from afi_verify.implementations.torch_solvers import level_at, step_times
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.findings import Finding, Tolerances, interval, not_provided
from afi_verify.stable_diffusion.products import Products, dot, signs

HeadFn = Callable[[Tensor, Any], Tensor]


def hutchinson_trace(products: Products, denoiser: Denoiser, z: Tensor) -> TraceFn:
    """Return ``<z, J z> / sigma`` of each row with its own signs ``z``, which stay the same along the trajectory."""
    return lambda x, t: products.quadratic(x, z, t) / denoiser.sigma(t)


def diagonal_trace(products: Products, denoiser: Denoiser) -> TraceFn:
    """Return the trace from every entry of the diagonal, d products per point."""

    def trace(x: Tensor, t: float) -> Tensor:
        indices = torch.arange(x[0].numel(), device=x.device)
        return torch.stack([products.diagonal(point[None], indices, t).sum() for point in x]) / denoiser.sigma(t)

    return trace


def check_likelihood(
    denoiser: Denoiser,
    products: Products,
    x: Tensor,
    t_start: float,
    t_end: float,
    tolerances: Tolerances,
    seed: int,
    *,
    num_steps: int = 8,
    probes: int = 16,
    head: HeadFn | None = None,
    diagonal: bool = False,
) -> list[Finding]:
    """Hold the log-determinants of the flow by different traces against one another, in bits per dimension.

    Parameters
    ----------
    x
        One point at ``t_start``, shape (1, C, H, W).
    num_steps
        Of Heun's method; doubled once, they tell the error of the steps.
    diagonal
        Compare with every entry of the diagonal, d products at each step, rather than with other probes.
    """
    d = x[0].numel()
    unit = 1 / (d * math.log(2))
    z = signs(probes, tuple(x.shape[1:]), torch.Generator().manual_seed(seed), x)

    def follow(points: Tensor, trace: TraceFn, steps: int) -> tuple[Tensor, Tensor]:
        return flow_and_log_determinant(points, products.eps, trace, denoiser.schedule, t_start, t_end, steps)

    rows = x.expand_as(z)
    trace = hutchinson_trace(products, denoiser, z)
    end, fine = follow(rows, trace, 2 * num_steps)
    coarse = follow(rows, trace, num_steps)[1]
    found = interval(fine.cpu().numpy() * unit)
    steps_error = abs(float((fine - coarse).mean())) * unit
    prior = float(normal_log_density(end[:1], denoiser.sigma(t_end))[0])
    numbers: dict[str, Any] = {
        "log_determinant": float(fine.mean()),
        "log_likelihood": prior + float(fine.mean()),
        "bits_per_dim": -(prior + float(fine.mean())) * unit,
        "half_width": found.half,
        "steps_error": steps_error,
        "trivial": float(follow(x, trivial_trace(denoiser.schedule), 2 * num_steps)[1][0]),
    }
    findings = []
    if diagonal:
        exact = float(follow(x, diagonal_trace(products, denoiser), 2 * num_steps)[1][0])
        words = "log-determinant of the flow by Hutchinson against every entry of the diagonal, bits per dimension"
        gap = abs(exact * unit - found.mean)
        findings.append(_bits("likelihood", gap, found.half, tolerances, words, {**numbers, "exact": exact}))
    else:
        other = signs(probes, tuple(x.shape[1:]), torch.Generator().manual_seed(seed + 1), x)
        again = follow(rows, hutchinson_trace(products, denoiser, other), 2 * num_steps)[1]
        second = interval(again.cpu().numpy() * unit)
        words = "log-determinant of the flow by two independent sets of probes, bits per dimension"
        half = math.hypot(found.half, second.half)
        findings.append(_bits("likelihood", abs(second.mean - found.mean), half, tolerances, words, numbers))
    if head is None:
        findings.append(not_provided("likelihood-head", "no trace head was given (--head)"))
    elif not denoiser.is_score_of_a_distribution:
        findings.append(not_provided("likelihood-head", "a guided prediction is not the score of a distribution"))
    else:
        by_head = matching_trace(denoiser.schedule, products.eps, lambda p, t: head(p, t).to(p))
        value = float(follow(x, by_head, 2 * num_steps)[1][0])
        words = "log-determinant of the flow by AFI-TM against Hutchinson, bits per dimension"
        gap = abs(value * unit - found.mean)
        findings.append(_bits("likelihood-head", gap, found.half, tolerances, words, {"log_determinant": value}))
    return findings


def _bits(check: str, gap: float, half: float, tolerances: Tolerances, words: str, numbers: dict[str, Any]) -> Finding:
    allowed = tolerances.trace
    if not math.isfinite(gap):
        return Finding(check, "fail", None, allowed, f"{words}: not a finite number", numbers)
    if gap - half > allowed / 10:
        return Finding(check, "fail", gap, allowed, f"{words}: outside of the interval", numbers)
    if gap + half > allowed:
        return Finding(check, "undecided", gap, allowed, f"{words}: known to ±{half:.2g} only", numbers)
    return Finding(check, "pass", gap, allowed, words, numbers)


def sample(x: Tensor, denoiser: Denoiser, eps: Callable[..., Tensor], times: list[float]) -> Tensor:
    """Follow Heun's steps (Karras et al. 2022) from ``times[0]`` to ``times[-1]``; differentiable in ``x``."""
    for here, there in itertools.pairwise(times):
        a, b = level_at(denoiser.schedule, here), level_at(denoiser.schedule, there)
        y, step = x / a.alpha, b.sigma / b.alpha - a.sigma / a.alpha
        first = eps(x, here)
        second = eps(b.alpha * (y + step * first), there)
        x = b.alpha * (y + step * (first + second) / 2)
    return x


def backpropagated(
    x: Tensor, direction: Tensor, denoiser: Denoiser, eps: Callable[..., Tensor], times: list[float]
) -> Tensor:
    """Return the gradient of ``<direction, sample(x)>``, step by step, with one step's graph at a time."""
    points = [x.detach()]
    with torch.no_grad():
        for here, there in itertools.pairwise(times):
            points.append(sample(points[-1], denoiser, eps, [here, there]))
    gradient = direction
    for point, here, there in reversed(list(zip(points[:-1], times[:-1], times[1:], strict=True))):
        with torch.enable_grad():
            leaf = point.requires_grad_()
            gradient = torch.autograd.grad(sample(leaf, denoiser, eps, [here, there]), leaf, gradient)[0]
    return gradient


def check_adjoint(
    denoiser: Denoiser,
    products: Products,
    x: Tensor,
    t_start: float,
    t_end: float,
    unit: float,
    tolerances: Tolerances,
    seed: int,
    *,
    num_steps: int = 8,
    operator: Operator | None = None,
) -> list[Finding]:
    """Hold the adjoint gradient of a linear loss against backpropagation, and that against differences of the loss.

    Parameters
    ----------
    x
        One point at ``t_start``, the noisy end, shape (1, C, H, W).
    operator
        ``(x, t, v)`` to ``F^T v``: that under test; by VJP when omitted.
    """
    eps = products._differentiated
    c = signs(1, tuple(x.shape[1:]), torch.Generator().manual_seed(seed), x)
    times = step_times(denoiser.schedule, t_start, t_end, num_steps)
    finer = step_times(denoiser.schedule, t_start, t_end, 2 * num_steps)
    reverse = backpropagated(x, c, denoiser, eps, times)
    reverse_finer = backpropagated(x, c, denoiser, eps, finer)

    # Against differences of the loss, along the gradient itself and along random signs.
    rough = unit * max(1.0, float(x.square().mean().sqrt()))
    step = 2 * rough ** (1 / 3) * denoiser.sigma(t_end)
    u = reverse / reverse.square().mean().sqrt()

    def slope(width: float) -> float:
        ends = [sample(x + way * width * u, denoiser, products.eps, times) for way in (1, -1)]
        return float(dot(c, ends[0] - ends[1])[0]) / (2 * width)

    with torch.no_grad():
        near, far = slope(step), slope(2 * step)
    along = float(dot(u, reverse)[0])
    spread = abs(near - far) / max(abs(along), 1e-300)
    gap = abs(near - along) / max(abs(along), 1e-300)
    words = "backpropagation through the sampler against differences of the loss, relative"
    findings = [_steps("backpropagation", gap, 4 * spread, tolerances, words)]

    def by_vjp(point: Tensor, t: float, v: Tensor) -> Tensor:
        return products.vjp(point, v, t) / denoiser.sigma(t)

    def gradient(apply: Operator, count: int) -> Tensor:
        with torch.no_grad():
            end = sample(x, denoiser, products.eps, step_times(denoiser.schedule, t_start, t_end, count))
        return adjoint_from_end(end, c, products.eps, apply, denoiser.schedule, t_start, t_end, count)

    apply = by_vjp if operator is None else operator
    size = max(float(reverse_finer.norm()), 1e-300)
    coarse, fine = gradient(apply, num_steps), gradient(apply, 2 * num_steps)
    steps_error = (float((fine - coarse).norm()) + float((reverse - reverse_finer).norm())) / size
    end = sample(x, denoiser, products.eps, finer).detach()
    numbers = {}
    for name, other in (
        ("endpoint", endpoint_operator(denoiser.schedule, products.eps, end)),
        ("trivial", trivial_operator(denoiser.schedule)),
    ):
        told = gradient(other, 2 * num_steps)
        numbers[f"{name}_error"] = float((told - reverse_finer).norm()) / size
        numbers[f"{name}_cosine"] = float(dot(told, reverse_finer)[0]) / max(float(told.norm()) * size, 1e-300)
    words = "adjoint gradient by VJP against backpropagation, relative"
    value = float((fine - reverse_finer).norm()) / size
    findings.append(_steps("adjoint", value, 2 * steps_error, tolerances, words, numbers))
    return findings


def _steps(
    check: str,
    value: float,
    steps_error: float,
    tolerances: Tolerances,
    words: str,
    numbers: dict[str, Any] | None = None,
) -> Finding:
    """Judge a deviation that shrinks with the steps: it may be what the steps explain, and the model's tolerance."""
    numbers = {**(numbers or {}), "steps_error": steps_error}
    allowed = tolerances.model + steps_error
    if not np.isfinite(value):
        return Finding(check, "fail", None, allowed, f"{words}: not a finite number", numbers)
    if value > allowed:
        return Finding(check, "fail", value, allowed, words, numbers)
    if steps_error > 0.5:
        return Finding(check, "undecided", value, allowed, f"{words}: more steps would tell", numbers)
    return Finding(check, "pass", value, allowed, words, numbers)
