"""Identities between means over noisy latents: what trace, score, denoising error, endpoint and head owe one another.

Written for ``C = I - sigma^2 F = alpha^2 / sigma^2 Cov[x_0 | x_t]``: in many dimensions its trace is a small share of
d, and identities of the whole trace would hold to a fraction of a percent without it. With n the noise in x_t, e the
predicted one and z random signs, each of these has the same mean, ``E tr C``:

==========  ===================================  ==================================================================
quantity    per draw                             mean equals E tr C for
==========  ===================================  ==================================================================
trace       ``d - sigma <z, J z>``               the definition, by Hutchinson
stein       ``<n, n - e>``                       any function e (Stein's lemma): is this the Jacobian of this e?
score       ``|n|^2 - |e|^2``                    the score of the noised data (``E tr F = E|score|^2``)
denoising   ``|n - e|^2``                        the same (mean posterior variance = mean squared error)
endpoint    ``<z, C_EA z>``                      the same: eq. 20 is right in the mean over x_0, whatever its skill
head        ``alpha^2/sigma^2 (d head - |y|^2)`` an exact trace head (eq. 17, corrected)
==========  ===================================  ==================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from afi_verify.implementations.torch_dirac import fisher_trace_matching, fisher_vector_product_endpoint
from afi_verify.stable_diffusion.findings import Finding, Tolerances, interval, judge_mean, not_provided, within
from afi_verify.stable_diffusion.latents import Latents
from afi_verify.stable_diffusion.products import Products, dot, signs

_FORMULA = 1e-6
"""Of two evaluations of one formula in float64, relative to terms that may cancel."""

_AT_ONCE = 2**20
"""Numbers in one array of draws: 64 latents of 4x64x64."""

HeadFn = Callable[[Tensor, Any], Tensor]
_NAMES = {"stein": "stein", "score": "squared-score", "denoising": "denoising-error"}
_WORDS = {
    "stein": "E d - sigma tr J against E <n, n - eps>, which holds for any function, over its size",
    "score": "mean trace against mean squared score, over the covariance's share",
    "denoising": "mean trace against mean denoising error, over the covariance's share",
}


@dataclass(frozen=True)
class Formulas:
    """The formulas under test that turn predictions into Fisher information; replaced where they are to be wrong."""

    trace_matching: Callable[..., Tensor] = fisher_trace_matching
    endpoint: Callable[..., Tensor] = fisher_vector_product_endpoint


@dataclass
class _Draws:
    """Values per draw, by quantity."""

    values: dict[str, list[Tensor]] = field(default_factory=dict)
    clusters: list[Tensor] = field(default_factory=list)

    def add(self, index: Tensor, **values: Tensor) -> None:
        self.clusters.append(index.cpu())
        for name, value in values.items():
            self.values.setdefault(name, []).append(value.double().cpu())

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        return torch.cat(self.values[name]).numpy()

    def __contains__(self, name: str) -> bool:
        return name in self.values

    @property
    def index(self) -> np.ndarray[Any, Any]:
        return torch.cat(self.clusters).numpy()


def check_identities(
    products: Products,
    latents: Latents,
    level: tuple[float, float, float],
    tolerances: Tolerances,
    seed: int,
    *,
    samples: int,
    unit: float,
    head: HeadFn | None = None,
    is_score: bool = True,
    formulas: Formulas | None = None,
) -> list[Finding]:
    """Estimate every mean from the same draws, doubling them until each identity is decided or ``samples`` are used.

    Parameters
    ----------
    latents
        The clean latents to noise.
    level
        ``(t, alpha, sigma)``.
    samples
        Most draws.
    unit
        Rounding unit of the network.
    head
        A trace head.
    is_score
        Whether the prediction is meant as the score of a distribution.
    """
    t, alpha, sigma = level
    formulas = Formulas() if formulas is None else formulas
    generator = torch.Generator().manual_seed(seed)
    draws, used, findings = _Draws(), 0, []
    # Some twenty arrays of this many numbers are alive at once.
    together = max(1, min(256, _AT_ONCE // latents.values[0].numel()))
    while used < samples:
        count = min(max(32, used), samples - used)
        for start in range(0, count, together):
            part = min(together, count - start)
            _draw(products, latents, t, alpha, sigma, part, generator, draws, head, formulas)
        used += count
        findings = _judge(draws, latents, sigma, tolerances, unit, head is not None, is_score)
        if all(finding.verdict != "undecided" for finding in findings):
            break
    return findings


def _draw(
    products: Products,
    latents: Latents,
    t: float,
    alpha: float,
    sigma: float,
    count: int,
    generator: torch.Generator,
    draws: _Draws,
    head: HeadFn | None,
    formulas: Formulas,
) -> None:
    x, noise, index = latents.noised(count, alpha, sigma, generator)
    z = signs(count, tuple(x.shape[1:]), generator, x)
    eps, product = products.eps_and_vjp(x, z, t)
    d = x[0].numel()
    missing = noise - eps
    values = {
        "trace": d - sigma * dot(z, product),
        "stein": dot(noise, missing),
        "score": dot(missing, noise + eps),
        "denoising": dot(missing, missing),
        "total": sigma * dot(z, product),
        "squared_score": dot(eps, eps) / sigma**2,
    }
    # Eq. 20 with the endpoint that x was made of. Its product is x0 (x0 - y) z z + ..., whose part that has mean zero
    # given x (and would drown the rest) is taken away: <z, y> <z, x0 - y> twice.
    x0 = latents.values[index]
    mean = (x - sigma * eps) / alpha
    product_ea = formulas.endpoint(x, z, x0, eps, alpha, sigma)
    quadratic = d - sigma**2 * dot(z, product_ea)
    values["endpoint"] = quadratic - 2 * (alpha / sigma) ** 2 * dot(z, mean) * dot(z, x0 - mean)
    of_model, trivial = product / sigma, z / sigma**2
    terms = [(alpha / sigma**2) ** 2 * _along(y, z) for y in (x0, mean)]
    plain = z / sigma**2 - terms[0] + terms[1]
    size = sum(term.flatten(1).norm(dim=1) for term in terms)
    values["formula"] = (product_ea - plain).flatten(1).norm(dim=1) / size
    values["ea_error"] = (product_ea - of_model).flatten(1).norm(dim=1)
    values["trivial_error"] = (trivial - of_model).flatten(1).norm(dim=1)
    if head is not None:
        with torch.no_grad():
            said = torch.cat([head(part, t) for part in torch.split(x, products.rows)]).to(x)
        values["head_trace"] = d - sigma**2 * formulas.trace_matching(x, alpha, sigma, eps, said)
        values["head_gap"] = (said * d - x0.flatten(1).square().sum(dim=1)) / d
        values["head"] = said
    draws.add(index, **values)


def _along(y: Tensor, z: Tensor) -> Tensor:
    """Return ``y y^T z`` of each row."""
    return dot(y, z).reshape(-1, *[1] * (y.ndim - 1)) * y


def _judge(
    draws: _Draws,
    latents: Latents,
    sigma: float,
    tolerances: Tolerances,
    unit: float,
    has_head: bool,
    is_score: bool,
) -> list[Finding]:
    clusters = None if latents.is_law else draws.index
    d = latents.values[0].numel()
    share = interval(draws["trace"], clusters)
    numbers = {
        "share": share.mean,
        "draws": float(len(draws["trace"])),
        "trace": float(draws["total"].mean()) / sigma**2,
        "squared_score": float(draws["squared_score"].mean()),
    }
    # Rounding of the network's inputs (unit / sigma, in units of the noise) and outputs, entry by entry.
    floor = 16 * (d**0.5 * unit * (1 + 1 / sigma) + d * (unit / sigma) ** 2)
    findings = []
    for name in ("stein", "score", "denoising"):
        check = _NAMES[name]
        if name != "stein" and not is_score:
            findings.append(not_provided(check, "a guided prediction is not the score of a distribution"))
            continue
        findings.append(_judge_share(check, draws, name, clusters, floor, tolerances.share, _WORDS[name], numbers, d))
    findings.append(_positive(draws, d, unit, sigma, is_score, clusters, tolerances))
    if is_score:
        findings.append(_endpoint(draws, clusters, floor, tolerances, numbers, d))
    else:
        findings.append(not_provided("endpoint-operator", "a guided prediction is not the score of a distribution"))
    findings += _heads(draws, clusters, floor, tolerances, numbers, d, has_head, is_score)
    return findings


def _judge_share(
    check: str,
    draws: _Draws,
    name: str,
    clusters: Any,
    floor: float,
    tolerance: float,
    words: str,
    numbers: dict[str, Any],
    d: int,
) -> Finding:
    gap = interval(draws["trace"] - draws[name], clusters)
    size = max(abs(float(draws["trace"].mean())), abs(float(draws[name].mean())))
    numbers = {**numbers, name: float(draws[name].mean())}
    if size <= floor and np.isfinite(draws[name]).all() and np.isfinite(size):
        why = f"{words}: the covariance's share, {size:.1g} of {d}, is below the rounding of the network"
        return Finding(check, "vacuous", size, floor, why, numbers)
    return judge_mean(check, gap, size, tolerance, words, **numbers)


def _positive(
    draws: _Draws, d: int, unit: float, sigma: float, is_score: bool, clusters: Any, tolerances: Tolerances
) -> Finding:
    """``F <= I / sigma^2``: the trivial operator bounds the model's, since a covariance is positive."""
    if not is_score:
        return not_provided("trivial-bound", "a guided prediction is not the score of a distribution")
    lowest = float(draws["trace"].min()) / d
    return within(
        "trivial-bound",
        max(0.0, -lowest) if np.isfinite(lowest) else np.nan,
        tolerances.trace + 16 * unit / sigma,
        "how far <z, F z> exceeds |z|^2 / sigma^2, over the latter",
        useless=0.5,
    )


def _endpoint(
    draws: _Draws, clusters: Any, floor: float, tolerances: Tolerances, numbers: dict[str, float], d: int
) -> Finding:
    # Where the covariance is below rounding both operators are right, and neither is better.
    known = numbers["share"] > floor
    skill = 1 - float(draws["ea_error"].mean()) / float(draws["trivial_error"].mean()) if known else None
    formula = float(draws["formula"].max())
    if not formula < _FORMULA:
        words = "AFI-EA against eq. 20 as it is written, over its terms"
        return within("endpoint-operator", formula, _FORMULA, words)
    words = "AFI-EA's mean over endpoints against the model's, over the covariance's share; its skill is beside it"
    extended: dict[str, Any] = {**numbers, "skill": skill}
    return _judge_share("endpoint-operator", draws, "endpoint", clusters, floor, tolerances.share, words, extended, d)


def _heads(
    draws: _Draws,
    clusters: Any,
    floor: float,
    tolerances: Tolerances,
    numbers: dict[str, float],
    d: int,
    has_head: bool,
    is_score: bool,
) -> list[Finding]:
    names = ("head-mean", "head-trace")
    if not has_head:
        return [not_provided(name, "no trace head was given (--head)") for name in names]
    if not is_score:
        return [not_provided(name, "a guided prediction is not the score of a distribution") for name in names]
    size = max(float(draws["head"].mean()), np.finfo(float).tiny)
    words = "mean of the trace head against mean of |x_0|^2 / d"
    mean = judge_mean("head-mean", interval(draws["head_gap"], clusters), size, tolerances.model, words)
    words = "AFI-TM against Hutchinson's estimate of the Jacobian's trace, over the covariance's share"
    return [
        mean,
        _judge_share("head-trace", draws, "head_trace", clusters, floor, tolerances.share, words, numbers, d),
    ]
