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
)
from afi_verify.implementations.torch_solvers import level_at, step_times
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.findings import (
    MULTIPLE,
    Finding,
    Interval,
    Tolerances,
    interval,
    judge_mean,
    not_provided,
)
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


def follow(x: Tensor, denoiser: Denoiser, eps: Any, trace: TraceFn, ends: tuple[float, float], steps: int) -> Any:
    """Follow the flow from ``ends[0]`` to ``ends[1]`` and the log-determinant of its Jacobian.

    ``f d + g^2 / 2 tr F = d (log sigma)' - g^2 / 2 (d / sigma^2 - tr F)``: the first part, which is nearly all of it in
    many dimensions, needs no solver, and steps are spent on what the covariance makes of it.

    Returns
    -------
    tuple of Tensor
        The end, of the shape of ``x``, and the log-determinants, shape (B,).
    """
    d, schedule = x[0].numel(), denoiser.schedule
    start, stop = (level_at(schedule, t) for t in ends)

    def beyond_trivial(points: Tensor, t: float) -> Tensor:
        return trace(points, t) - d / denoiser.sigma(t) ** 2

    end, found = flow_and_log_determinant(x, eps, beyond_trivial, schedule, *ends, steps)
    return end, found + d * (stop.log_ratio - start.log_ratio)


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

    def along(points: Tensor, trace: TraceFn, steps: int) -> Any:
        return follow(points, denoiser, products.eps, trace, (t_start, t_end), steps)

    rows = x.expand_as(z)
    trace = hutchinson_trace(products, denoiser, z)
    end, fine = along(rows, trace, 2 * num_steps)
    coarse = along(rows, trace, num_steps)[1]
    found = interval(fine.cpu().numpy() * unit)
    steps_error = abs(float((fine - coarse).mean())) * unit
    prior = float(normal_log_density(end[:1], denoiser.sigma(t_end))[0])
    numbers: dict[str, Any] = {
        "log_determinant": float(fine.mean()),
        "log_likelihood": prior + float(fine.mean()),
        "bits_per_dim": -(prior + float(fine.mean())) * unit,
        "half_width": found.half,
        "steps_error": steps_error,
        "trivial": d * math.log(denoiser.sigma(t_end) / denoiser.sigma(t_start)),
    }
    findings = []
    if diagonal:
        exact = float(along(x, diagonal_trace(products, denoiser), 2 * num_steps)[1][0])
        words = "log-determinant of the flow by Hutchinson against every entry of the diagonal"
        findings.append(_part("likelihood", exact, {**numbers, "exact": exact}, found.half / unit, tolerances, words))
    else:
        other = signs(probes, tuple(x.shape[1:]), torch.Generator().manual_seed(seed + 1), x)
        again = along(rows, hutchinson_trace(products, denoiser, other), 2 * num_steps)[1]
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
        value = float(along(x, by_head, 2 * num_steps)[1][0])
        words = "log-determinant of the flow by AFI-TM against Hutchinson"
        findings.append(_part("likelihood-head", value, numbers, found.half / unit, tolerances, words))
    return findings


def _part(
    check: str, value: float, numbers: dict[str, Any], half: float, tolerances: Tolerances, words: str
) -> Finding:
    """Hold a log-determinant against Hutchinson's, relative to the part of it that the covariance makes up.

    In many dimensions that is a small part of the whole, most of which the trivial trace gets right.
    """
    part = numbers["log_determinant"] - numbers["trivial"]
    gap = Interval(value - numbers["log_determinant"], half)
    size = max(abs(part), abs(value - numbers["trivial"]), np.finfo(float).tiny)
    told: dict[str, Any] = {
        "log_determinant": value,
        "part_told": value - numbers["trivial"],
        "part": part,
        **{name: numbers[name] for name in ("trivial", "exact") if name in numbers},
    }
    return judge_mean(check, gap, size, tolerances.share, f"{words}, over the covariance's part", **told)


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
    toward: Tensor | None = None,
    operator: Operator | None = None,
) -> list[Finding]:
    """Hold the adjoint gradient of a linear loss against backpropagation, and that against differences of the loss.

    Parameters
    ----------
    x
        One point at ``t_start``, the noisy end, shape (1, C, H, W).
    toward
        A direction among data, shape of ``x``, for half of the loss: the difference of two clean latents. Random signs
        alone hardly meet the few directions in which data differ from noise. Left out where omitted or zero.
    operator
        ``(x, t, v)`` to ``F^T v``: that under test; by VJP when omitted.
    """
    eps = products._differentiated
    c = signs(1, tuple(x.shape[1:]), torch.Generator().manual_seed(seed), x)
    if toward is not None and bool(toward.any()):
        c = c + toward / toward.square().mean().sqrt()
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
    numbers: dict[str, Any] = {"gradient_norm": float(fine.norm()), "gradient_along_loss": float(dot(c, fine)[0])}
    for name, other in (
        ("endpoint", endpoint_operator(denoiser.schedule, products.eps, end)),
        ("trivial", trivial_operator(denoiser.schedule)),
    ):
        told = gradient(other, 2 * num_steps)
        numbers[f"{name}_error"] = float((told - reverse_finer).norm()) / size
        numbers[f"{name}_cosine"] = float(dot(told, reverse_finer)[0]) / max(float(told.norm()) * size, 1e-300)
    value = float((fine - reverse_finer).norm()) / size
    return [*findings, _beyond_trivial(value, 2 * steps_error, MULTIPLE * unit, numbers, tolerances)]


def _beyond_trivial(
    value: float, steps_error: float, rounding: float, numbers: dict[str, Any], tolerances: Tolerances
) -> Finding:
    """Judge an error of the adjoint gradient relative to that of ``F = I / sigma^2``, small in many dimensions.

    All but the tolerances are relative to the gradient.
    """
    words = "adjoint gradient by VJP against backpropagation, over the error of F = I / sigma^2"
    scale = numbers["trivial_error"]
    numbers = {**numbers, "error": value, "steps_error": steps_error}
    if not (math.isfinite(value) and math.isfinite(scale)):
        return Finding("adjoint", "fail", None, tolerances.share, f"{words}: not a finite number", numbers)
    if scale <= rounding and value <= rounding + steps_error:
        return Finding("adjoint", "vacuous", scale, rounding, f"{words}: this is below rounding", numbers)
    scale = max(scale, 1e-300)
    value, unsure = value / scale, (steps_error + rounding) / scale
    allowed = tolerances.share + unsure
    if value > allowed:
        return Finding("adjoint", "fail", value, allowed, words, numbers)
    if unsure > 0.5:
        return Finding("adjoint", "undecided", value, allowed, f"{words}: more steps would tell", numbers)
    return Finding("adjoint", "pass", value, allowed, words, numbers)


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
