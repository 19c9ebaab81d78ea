"""The likelihood of a Gaussian mixture by the flow, with the exact trace: how fast each solver converges to the truth.

Everything but the solver is exact, so that what is left is its error: the score, the trace, the density at the end. The
error that the prior ``N(0, sigma_end^2 I)`` makes in the place of that density is measured apart.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from afi_reference import GaussianMixture
from afi_reference.schedules import RectifiedFlow, Schedule, VPCosine, VPLinear
from afi_verify.implementations.torch_likelihood import flow_and_log_determinant, normal_log_density
from afi_verify.implementations.torch_solvers import ORDERS

SCHEMA = "afi-verify/likelihood/1"

SPANS: tuple[tuple[Schedule, float, float], ...] = (
    (VPLinear(), 0.01, 1.0),
    (VPCosine(), 0.05, 0.99),
    (RectifiedFlow(), 0.05, 0.98),
)
"""Schedules, where the data are taken to be, and where the noise."""

DIMENSIONS = (2, 16)
STEPS = (5, 10, 20, 40, 80, 160, 320, 640)
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
GOAL = 1e-3
"""Bits per dimension."""

COMPONENTS = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Mixture:
    """A Gaussian mixture for a batch of points at once, with a count of the calls of epsilon."""

    law: GaussianMixture
    schedule: Schedule
    calls: list[int] = dataclasses.field(default_factory=lambda: [0])
    last: list[Any] = dataclasses.field(default_factory=list)  # where parts were last computed, and what they are

    @classmethod
    def drawn(cls, dimension: int, schedule: Schedule, seed: int) -> "Mixture":
        """Return a mixture of four components of various shapes, about two standard deviations apart."""
        rng = np.random.default_rng([seed, dimension])
        shape = (COMPONENTS, dimension, dimension)
        factors = rng.normal(size=shape) / math.sqrt(dimension)
        covariances = 0.15 * (factors @ factors.swapaxes(1, 2)) + 0.025 * np.eye(dimension)
        means = rng.normal(size=(COMPONENTS, dimension))
        return cls(GaussianMixture(means, covariances + covariances.swapaxes(1, 2), np.full(4, 0.25)), schedule)

    def sample(self, count: int, t: float, seed: int) -> Tensor:
        """Return ``count`` points of the diffused mixture at ``t``, (count, d)."""
        rng = np.random.default_rng([seed, 1])
        alpha, sigma = float(self.schedule.alpha(t)), float(self.schedule.sigma(t))
        d = self.law.dimension
        roots = np.linalg.cholesky(alpha**2 * self.law.covariances + sigma**2 * np.eye(d))
        chosen = rng.integers(COMPONENTS, size=count)
        noise = np.einsum("bij,bj->bi", roots[chosen], rng.normal(size=(count, d)))
        return torch.tensor(alpha * self.law.means[chosen] + noise)

    def log_density(self, x: Tensor, t: float) -> Tensor:
        """Return ``log q_t``, (B,), in nats, from the oracle."""
        level = float(self.schedule.alpha(t)), float(self.schedule.sigma(t))
        return torch.tensor(np.asarray(self.law.log_density(x.numpy(), *level), dtype=np.float64))

    def epsilon(self, x: Tensor, t: float) -> Tensor:
        """Return the exact noise prediction, (B, d)."""
        self.calls[0] += 1
        return -float(self.schedule.sigma(t)) * self._parts(x, t)[0]

    def trace(self, x: Tensor, t: float) -> Tensor:
        """Return the exact trace of the Fisher matrix, (B,)."""
        score, posterior, precisions, scores = self._parts(x, t)
        inner = torch.einsum("kii->k", precisions) - scores.square().sum(2)
        return (posterior * inner).sum(1) + score.square().sum(1)

    def _parts(self, x: Tensor, t: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if self.last and self.last[0] is x and self.last[1] == t:
            return self.last[2]
        alpha, sigma = float(self.schedule.alpha(t)), float(self.schedule.sigma(t))
        wide = alpha**2 * torch.tensor(self.law.covariances) + sigma**2 * torch.eye(x.shape[1], dtype=x.dtype)
        precisions = torch.linalg.inv(wide)
        away = x[:, None] - alpha * torch.tensor(self.law.means)
        scores = -torch.einsum("kij,bkj->bki", precisions, away)
        posterior = ((scores * away).sum(2) / 2 - torch.logdet(wide) / 2).softmax(1)
        found = (posterior[:, :, None] * scores).sum(1), posterior, precisions, scores
        self.last[:] = x, t, found
        return found


def run_likelihood(
    *,
    dimensions: Sequence[int] = DIMENSIONS,
    steps: Sequence[int] = STEPS,
    tolerances: Sequence[float] = TOLERANCES,
    points: int = 64,
    seed: int = 0,
    listen: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure the error of each solver, in bits per dimension, on every schedule and in every dimension.

    Returns
    -------
    dict
        Plain data: ``fixed``, a row per schedule, dimension and solver (errors by number of steps, order);
        ``adaptive``, a row per schedule, dimension and tolerance; ``prior``, the error of the prior alone.
    """
    fixed, adaptive, prior = [], [], []
    for schedule, start, end in SPANS:
        for dimension in dimensions:
            mixture = Mixture.drawn(dimension, schedule, seed)
            x = mixture.sample(points, start, seed)
            truth = mixture.log_density(x, start)
            case = {"schedule": schedule.name, "dimension": dimension}

            def errors(
                steps: int, mixture: Mixture = mixture, x: Tensor = x, truth: Tensor = truth, **options: Any
            ) -> tuple[float, float, float, int]:
                before = mixture.calls[0]
                far, change = flow_and_log_determinant(
                    x,
                    mixture.epsilon,
                    mixture.trace,
                    mixture.schedule,
                    start,  # noqa: B023 - called within the loop
                    end,  # noqa: B023
                    steps,
                    **options,
                )
                unit = x.shape[1] * math.log(2)
                exact_end = mixture.log_density(far, end)  # noqa: B023
                off = (exact_end + change - truth) / unit
                gap = (normal_log_density(far, float(mixture.schedule.sigma(end))) - exact_end) / unit  # noqa: B023
                largest = float(off.abs().max())
                calls = mixture.calls[0] - before
                return largest, float(off.square().mean().sqrt()), float(gap.abs().mean()), calls

            for solver in ORDERS:
                listen(f"{schedule.name}, d={dimension}: {solver}")
                rows = [errors(count, solver=solver) for count in steps]
                fixed.append(
                    {
                        **case,
                        "solver": solver,
                        "steps": list(steps),
                        "largest": [row[0] for row in rows],
                        "rms": [row[1] for row in rows],
                        "evaluations": [row[3] for row in rows],
                        "order": observed_order(steps, [row[1] for row in rows]),
                    }
                )
            listen(f"{schedule.name}, d={dimension}: adaptive")
            for tolerance in tolerances:
                largest, rms, gap, calls = errors(1, solver="adaptive", tolerance=tolerance)
                adaptive.append({**case, "tolerance": tolerance, "largest": largest, "rms": rms, "evaluations": calls})
            prior.append({**case, "mean": gap})
    return {"fixed": fixed, "adaptive": adaptive, "prior": prior, "points": points, "seed": seed}


def observed_order(steps: Sequence[int], errors: Sequence[float]) -> float:
    """Return the order of convergence between the last two numbers of steps."""
    return math.log(errors[-2] / errors[-1]) / math.log(steps[-1] / steps[-2])


def steps_for(row: dict[str, Any], goal: float = GOAL) -> int | None:
    """Return the least number of steps tried from which on no point is off by more than ``goal``; None if none is."""
    enough = None
    for count, error in zip(reversed(row["steps"]), reversed(row["largest"]), strict=True):
        if error > goal:
            break
        enough = count
    return enough
