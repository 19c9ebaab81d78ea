"""All checks of a model at one noise level, and of trajectories, as findings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from afi_verify.stable_diffusion.checks_identities import Formulas, check_identities
from afi_verify.stable_diffusion.checks_jacobian import check_products, check_traces
from afi_verify.stable_diffusion.checks_pipeline import check_pipeline
from afi_verify.stable_diffusion.checks_scheduler import check_noising, check_predictions
from afi_verify.stable_diffusion.checks_time import check_fokker_planck
from afi_verify.stable_diffusion.checks_trajectory import check_adjoint, check_likelihood
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.findings import Finding, Tolerances, not_provided
from afi_verify.stable_diffusion.latents import Latents, decode
from afi_verify.stable_diffusion.products import Products, rows_for

LEVEL_CHECKS = (
    "noising",
    "predictions",
    "pipeline",
    "decoding",
    "vjp-and-jvp",
    "jvp-and-differences",
    "symmetry",
    "traces",
    "fokker-planck",
    "stein",
    "squared-score",
    "denoising-error",
    "trivial-bound",
    "endpoint-operator",
    "head-mean",
    "head-trace",
)
"""What :func:`examine_level` finds, in this order."""

TRAJECTORY_CHECKS = ("likelihood", "likelihood-head", "backpropagation", "adjoint")
"""What :func:`examine_trajectory` finds, in this order."""

HeadFn = Callable[[Tensor, Any], Tensor]


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much to spend.

    Attributes
    ----------
    samples
        Most draws of the statistical identities at one noise level.
    probes
        Directions of each estimate of a trace.
    steps
        Solver steps of trajectories; they are doubled once.
    diagonal
        Compare likelihoods with every entry of the diagonal, d products at each step.
    """

    samples: int = 64
    probes: int = 48
    steps: int = 8
    diagonal: bool = False


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is examined: a denoiser, and the formulas on top of it, which the tests replace by wrong ones.

    Attributes
    ----------
    denoiser
        The network of a pipeline for one prompt.
    head
        A trace head, if there is one.
    jacobian_of
        The function whose Jacobian is taken; the denoiser's own prediction when None.
    formulas
        Those that turn predictions into Fisher information.
    decode
        From a pipeline and latents to images.
    """

    denoiser: Denoiser
    head: HeadFn | None = None
    jacobian_of: Callable[[Tensor, Any], Tensor] | None = None
    formulas: Formulas = dataclasses.field(default_factory=Formulas)
    decode: Callable[[Any, Tensor], Tensor] = decode

    def products(self, x: Tensor, t: float, budget: int | None) -> Products:
        """Return its products, with as many rows at once as fit into ``budget`` bytes."""
        rows = rows_for(self.denoiser.eps, x, t, budget)
        return Products(self.denoiser.eps, rows, self.jacobian_of)

    @property
    def unit(self) -> float:
        """Rounding unit of the network."""
        return float(torch.finfo(self.denoiser.network.dtype).eps)


def examine_level(
    subject: Subject,
    latents: Latents,
    t: float,
    seed: int,
    *,
    effort: Effort | None = None,
    tolerances: Tolerances | None = None,
    budget: int | None = None,
) -> list[Finding]:
    """Run every check at one noise level.

    Parameters
    ----------
    latents
        Clean latents to noise.
    t
        The network's timestep.
    seed
        Of noise and probes.
    budget
        Bytes that one forward and backward pass may keep.
    """
    effort, tolerances = effort or Effort(), tolerances or Tolerances()
    denoiser, unit = subject.denoiser, subject.unit
    alpha, sigma = denoiser.alpha(t), denoiser.sigma(t)
    x = latents.noised(1, alpha, sigma, torch.Generator().manual_seed(seed))[0]
    products = subject.products(x, t, budget)
    is_score = denoiser.is_score_of_a_distribution
    stages: list[tuple[tuple[str, ...], Callable[[], list[Finding]]]] = [
        (("noising",), lambda: [check_noising(denoiser, t, seed)]),
        (("predictions",), lambda: [check_predictions(denoiser, x, t)]),
        (LEVEL_CHECKS[2:4], lambda: check_pipeline(denoiser, x, t, subject.decode)),
        (LEVEL_CHECKS[4:7], lambda: check_products(products, x, t, sigma, unit, tolerances, seed)),
        (("traces",), lambda: [check_traces(products, x, t, sigma, tolerances, seed, effort.probes, effort.samples)]),
        (("fokker-planck",), lambda: [_fokker_planck(subject, products, x, t, tolerances, seed)]),
        (
            LEVEL_CHECKS[9:],
            lambda: check_identities(
                products,
                latents,
                (t, alpha, sigma),
                tolerances,
                seed,
                samples=effort.samples,
                unit=unit,
                head=subject.head,
                is_score=is_score,
                formulas=subject.formulas,
            ),
        ),
    ]
    return [finding for names, stage in stages for finding in _guarded(names, stage)]


def examine_trajectory(
    subject: Subject,
    latents: Latents,
    times: tuple[float, float],
    seed: int,
    *,
    effort: Effort | None = None,
    tolerances: Tolerances | None = None,
    budget: int | None = None,
) -> list[Finding]:
    """Run the checks of the flow between the timesteps ``times``, little noise first."""
    effort, tolerances = effort or Effort(), tolerances or Tolerances()
    denoiser, (low, high) = subject.denoiser, times
    generator = torch.Generator().manual_seed(seed)
    near = latents.noised(1, denoiser.alpha(low), denoiser.sigma(low), generator)[0]
    far, _, index = latents.noised(1, denoiser.alpha(high), denoiser.sigma(high), generator)
    apart = latents.values - latents.values[index]
    toward = apart[apart.flatten(1).square().sum(dim=1).argmax()][None].to(far)
    products = subject.products(near, low, budget)
    stages: list[tuple[tuple[str, ...], Callable[[], list[Finding]]]] = [
        (
            TRAJECTORY_CHECKS[:2],
            lambda: check_likelihood(
                denoiser,
                products,
                near,
                low,
                high,
                tolerances,
                seed,
                num_steps=effort.steps,
                probes=effort.probes,
                head=subject.head,
                diagonal=effort.diagonal,
            ),
        ),
        (
            TRAJECTORY_CHECKS[2:],
            lambda: check_adjoint(
                denoiser,
                products,
                far,
                high,
                low,
                subject.unit,
                tolerances,
                seed,
                num_steps=effort.steps,
                toward=toward,
            ),
        ),
    ]
    return [finding for names, stage in stages for finding in _guarded(names, stage)]


def _fokker_planck(
    subject: Subject, products: Products, x: Tensor, t: float, tolerances: Tolerances, seed: int
) -> Finding:
    if not subject.denoiser.is_score_of_a_distribution:
        return not_provided("fokker-planck", "a guided prediction is not the score of a distribution")
    return check_fokker_planck(subject.denoiser, products, x, t, subject.unit, tolerances, seed)


def _guarded(names: tuple[str, ...], stage: Callable[[], list[Finding]]) -> list[Finding]:
    """Turn what a network raises into findings: one check that breaks must not cost the others."""
    try:
        return stage()
    except (ArithmeticError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        if "out of memory" in said.lower():
            said += " (lower --max-memory)"
        return [Finding(name, "error", None, None, said[:400]) for name in names]
