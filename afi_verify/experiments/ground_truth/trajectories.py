"""Along trajectories: likelihoods in bits per dimension, adjoint gradients, and what guidance by them reaches."""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from afi_properties.training import diffused_points
from afi_verify.experiments.ground_truth.problems import SCHEDULE, Networks, Problem, noise_at, time_at
from afi_verify.experiments.ground_truth.settings import Settings
from afi_verify.implementations import torch_adjoint, torch_likelihood
from afi_verify.implementations.torch_adjoint import Operator
from afi_verify.implementations.torch_solvers import EpsFn, solve_flow

NOISE = -8.0
"""Log-SNR of the prior's end."""

ADJOINT_START = -4.0
GUIDANCE_STEPS = 20
WINDOW = range(6, 14)


def measure_likelihood(problem: Problem, networks: Networks, seed: int, settings: Settings) -> list[dict[str, Any]]:
    """Return errors of the log-likelihood at ``problem.end``, in bits per dimension, by method and steps.

    ``error`` is the root mean square over the points, ``bias`` that of the mean: what a reported average is off by.
    """
    rng = np.random.default_rng([seed, 21])
    start, end = time_at(problem.end), time_at(NOISE)
    alpha, sigma = noise_at(start)
    points = diffused_points(problem.law, np.full(settings.points, alpha), np.full(settings.points, sigma), rng)
    truth = torch.from_numpy(problem.law.log_density(points, alpha, sigma))
    x, eps = torch.from_numpy(points), networks.eps
    methods: dict[str, tuple[EpsFn, torch_likelihood.TraceFn]] = {
        "exact": (problem.eps, problem.trace()),
        "exact trace, trained eps": (eps, problem.trace()),
        "full VJP": (eps, torch_likelihood.autodiff_trace(SCHEDULE, eps)),
        **{
            f"Hutchinson, {k}": (eps, torch_likelihood.stochastic_trace(SCHEDULE, eps, k, seed))
            for k in settings.probes[:2]
        },
        "AFI-TM": (eps, torch_likelihood.matching_trace(SCHEDULE, eps, networks.head)),
        "trivial": (eps, torch_likelihood.trivial_trace(SCHEDULE)),
    }
    rows = []
    for name, (follow, trace) in methods.items():
        for steps in settings.steps:
            found = torch_likelihood.log_likelihood(x, follow, trace, SCHEDULE, start, end, steps, solver="heun")
            off = torch_likelihood.bits_per_dim(found - truth, problem.dimension)
            rows.append(
                {
                    "method": name,
                    "steps": steps,
                    "error": float(off.square().mean().sqrt()),
                    "bias": float(off.mean()),
                }
            )
    return rows


def measure_adjoint(problem: Problem, networks: Networks, seed: int, settings: Settings) -> dict[str, Any]:
    """Return the mean cosine between each method's gradient and the true one, and the ratio of their lengths.

    The loss is linear, with a random gradient at the end; the true gradient follows the exact flow with the exact
    operator in many steps.
    """
    rng = np.random.default_rng([seed, 22])
    start, end = time_at(ADJOINT_START), time_at(problem.end)
    alpha, sigma = noise_at(start)
    count = settings.points
    x = torch.from_numpy(diffused_points(problem.law, np.full(count, alpha), np.full(count, sigma), rng))
    v = torch.from_numpy(rng.standard_normal(x.shape))
    steps = settings.steps[-1]

    def gradient(eps: EpsFn, operator: Operator, steps: int = steps) -> Tensor:
        return torch_adjoint.adjoint(x, v, eps, operator, SCHEDULE, start, end, steps)

    truth = gradient(problem.eps, problem.operator(), settings.reference_steps)
    found = {}
    for name, (eps, make) in _operators(problem, networks).items():
        x0 = _denoised(eps, solve_flow(x, eps, SCHEDULE, start, end, steps), end)
        estimate = gradient(eps, make(x0))
        cosines = torch.nn.functional.cosine_similarity(estimate, truth, dim=1)
        ratio = (estimate.norm(dim=1).log() - truth.norm(dim=1).log()).mean().exp()
        found[name] = {"cosine": _finite(cosines.mean()), "length": _finite(ratio)}
    return found


def measure_guidance(problem: Problem, networks: Networks, seed: int, settings: Settings) -> dict[str, float | None]:
    """Return the mean loss reached by guided samples: the mean squared distance of half of the coordinates to a target.

    All start from the same noise; ``"none"`` is not guided. ``None`` stands for a loss that is not finite.
    """
    rng = np.random.default_rng([seed, 23])
    count, d = settings.points, problem.dimension
    target = torch.from_numpy(diffused_points(problem.law, np.ones(1), np.full(1, 1e-12), rng))[:, : d // 2]
    noise = torch.from_numpy(rng.standard_normal((count, d)))
    times = [time_at(v) for v in np.linspace(ADJOINT_START, problem.end, GUIDANCE_STEPS + 1)]

    def loss(x: Tensor) -> Tensor:
        return (x[:, : d // 2] / noise_at(times[-1])[0] - target).square().mean(dim=1)

    x = noise  # of variance 1, that of the schedule with data of variance 1
    reached: dict[str, float | None] = {}
    for name, (eps, make) in _operators(problem, networks).items():
        sample = torch_adjoint.guided_sample(
            x,
            eps,
            functools.partial(_at_endpoint, make, eps, times[-1]),
            SCHEDULE,
            times,
            loss,
            window=WINDOW,
        )
        reached[name] = _finite(loss(sample).mean())
    for name, eps in (("none", networks.eps), ("none, exact", problem.eps)):
        reached[name] = _finite(loss(solve_flow(x, eps, SCHEDULE, times[0], times[-1], GUIDANCE_STEPS)).mean())
    return reached


def _finite(value: Tensor) -> float | None:
    """Return a number that JSON can hold, or ``None`` where a method left the finite ones."""
    return float(value) if bool(torch.isfinite(value)) else None


def _at_endpoint(make: Any, eps: EpsFn, end: float, x: Tensor) -> Operator:
    operator: Operator = make(_denoised(eps, x, end))
    return operator


def _denoised(eps: EpsFn, x: Tensor, t: float) -> Tensor:
    alpha, sigma = noise_at(t)
    return (x - sigma * eps(x, t)) / alpha


def _operators(problem: Problem, networks: Networks) -> dict[str, tuple[EpsFn, Any]]:
    """By method: what the flow follows, and the operator from endpoints in units of the data."""
    eps = networks.eps
    return {
        "exact": (problem.eps, lambda x0: problem.operator()),
        "exact operator, trained eps": (eps, lambda x0: problem.operator()),
        "VJP": (eps, lambda x0: torch_adjoint.vjp_operator(SCHEDULE, eps)),
        "AFI-EA": (eps, lambda x0: torch_adjoint.endpoint_operator(SCHEDULE, eps, x0)),
        "trivial": (eps, lambda x0: torch_adjoint.trivial_operator(SCHEDULE)),
    }
