"""Checks of the Jacobian at one point, which need no data: whatever function the network is, or a gradient field."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor

from afi_verify.stable_diffusion.findings import MULTIPLE, Finding, Interval, Tolerances, interval, within
from afi_verify.stable_diffusion.products import Products, dot, signs

PROBES = 8
"""Directions of the checks of single products."""


def check_products(
    products: Products, x: Tensor, t: float, sigma: float, unit: float, tolerances: Tolerances, seed: int
) -> list[Finding]:
    """Hold ``J^T v``, ``J v`` and differences of the prediction against one another, and J against its transpose.

    Parameters
    ----------
    x
        One point, shape (1, C, H, W).
    sigma
        The noise at it, which differences are scaled by.
    unit
        Rounding unit of the network.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = tuple(x.shape[1:])
    u, v = (signs(PROBES, shape, generator, x) for _ in range(2))
    points = x.expand_as(u)
    backward, forward = products.vjp(points, u, t), products.jvp(points, v, t)
    tiny = torch.finfo(x.dtype).tiny
    size = _norm(forward).clamp(min=tiny)
    # What rounding the input alone changes: no product can be known better.
    nudge = 1 + unit * (2 * torch.rand(u.shape, generator=generator, dtype=torch.float64).to(x) - 1)
    moved = [(_norm(products.jvp(points * nudge, v, t) - forward) / size).max()]
    moved.append((_norm(products.vjp(points * nudge, u, t) - backward) / _norm(backward).clamp(min=tiny)).max())
    floor = float(max(moved)) + unit
    mismatch = (dot(u, forward) - dot(backward, v)).abs() / (_norm(u) * size)
    first = within(
        "vjp-and-jvp",
        float(mismatch.max()),
        MULTIPLE * floor,
        "<u, J v> by forward mode against <J^T u, v> by reverse mode, over |u| |J v|",
    )
    # Rounding grows as the step shrinks, the curvature's share as it grows: balanced for second-order differences.
    rough = unit * max(1.0, float(x.square().mean().sqrt()) / sigma)
    step = sigma * rough ** (1 / 3)
    near, far = products.difference(points, v, t, step), products.difference(points, v, t, 2 * step)
    error = float((_norm(far - near) / size).max())
    second = within(
        "jvp-and-differences",
        float((_norm(forward - near) / size).max()),
        MULTIPLE * (error + floor),
        "J v by forward mode against central differences, over |J v|",
        step=step,
    )
    pulled = products.vjp(points, v, t)
    asymmetry = math.sqrt(float(_norm(forward - pulled).square().sum() / size.square().sum()))
    third = within(
        "symmetry",
        asymmetry,
        tolerances.model + MULTIPLE * floor,
        f"|J - J^T| / |J| in Frobenius norm, by {PROBES} probes",
        useless=1.0,
    )
    return [first, second, third]


EXACT_UP_TO = 1024
"""Dimensions up to which every entry of the diagonal is computed rather than a sample."""


def check_traces(
    products: Products,
    x: Tensor,
    t: float,
    sigma: float,
    tolerances: Tolerances,
    seed: int,
    probes: int = 48,
    most: int = 48,
) -> Finding:
    """Hold Hutchinson's estimate, Hutch++ and a subset of the diagonal against one another, at one point.

    All of ``sigma tr J``, which is about d. Where the intervals are too wide the probes are doubled, up to ``most``.
    """
    while True:
        finding = _traces(products, x, t, sigma, tolerances.trace, seed, probes)
        if finding.verdict != "undecided" or 2 * probes > most:
            return finding
        probes *= 2


def _traces(products: Products, x: Tensor, t: float, sigma: float, allowed: float, seed: int, probes: int) -> Finding:
    generator = torch.Generator().manual_seed(seed)
    z = signs(probes, tuple(x.shape[1:]), generator, x)
    runs = [sigma * hutch_plus_plus(products, x, t, max(6, probes // 4), generator) for _ in range(8)]
    estimates = {
        "hutchinson": interval((sigma * products.quadratic(x.expand_as(z), z, t)).cpu().numpy()),
        "hutch++": interval(np.array(runs)),
        "diagonal": _diagonal(products, x, t, sigma, 2 * probes, generator),
    }
    numbers: dict[str, float | None] = {name: found.mean for name, found in estimates.items()}
    numbers |= {f"{name}_half_width": found.half for name, found in estimates.items()}
    numbers["probes"] = float(probes)
    scale = max(abs(estimates["diagonal"].mean), np.finfo(float).tiny)
    pairs = list(itertools.combinations(estimates.values(), 2))
    gaps = np.array([abs(one.mean - other.mean) for one, other in pairs]) / scale
    widths = np.array([math.hypot(one.half, other.half) for one, other in pairs]) / scale
    words = "largest difference of Hutchinson, Hutch++ and a diagonal's sample, over the trace"
    if not np.isfinite(gaps).all():
        return Finding("traces", "fail", None, allowed, f"{words}: not a finite number", numbers)
    worst = float(gaps.max())
    # A tenth of the tolerance beyond the intervals is what rounding may do.
    if bool((gaps - widths > allowed / 10).any()):
        return Finding("traces", "fail", worst, allowed, f"{words}: the intervals do not meet", numbers)
    if bool((gaps + widths > allowed).any()):
        more = f"{words}: known to ±{widths.max():.2g} only; more probes would decide"
        return Finding("traces", "undecided", worst, allowed, more, numbers)
    return Finding("traces", "pass", worst, allowed, words, numbers)


def _diagonal(
    products: Products, x: Tensor, t: float, sigma: float, count: int, generator: torch.Generator
) -> Interval:
    d = x[0].numel()
    count = d if d <= EXACT_UP_TO else count
    indices = torch.randperm(d, generator=generator)[:count].to(x.device)
    found = interval((d * sigma * products.diagonal(x, indices, t)).cpu().numpy())
    # All of the entries are the trace; some are a sample without replacement.
    return Interval(found.mean, 0.0 if count == d else found.half * math.sqrt(1 - count / d))


def hutch_plus_plus(products: Products, x: Tensor, t: float, probes: int, generator: torch.Generator) -> float:
    """Estimate ``tr J`` at one point by Hutch++ (Meyer, Musco, Musco and Woodruff 2021) with ``probes`` products."""
    shape, d = tuple(x.shape[1:]), x[0].numel()
    kept = min(probes // 3, d)

    def multiplied(rows: Tensor) -> Tensor:
        points = x.expand(len(rows), *shape)
        return products.vjp(points, rows.reshape(points.shape), t).flatten(1)

    basis = torch.linalg.qr(multiplied(signs(kept, shape, generator, x)).T)[0].T
    inside = (basis * multiplied(basis)).sum()
    rest = max(1, probes - 2 * kept)
    z = signs(rest, shape, generator, x).flatten(1)
    z = z - (z @ basis.T) @ basis
    return float(inside + (z * multiplied(z)).sum() / rest)


def _norm(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)
