"""Operators and traces at points of each noise level: each method's distance from the exact Fisher information.

Errors are root mean squares over the points, in units of the root mean square of the truth: Frobenius norms for
operators. ``I / sigma^2`` is what remains of every method when the covariance is left out.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from afi_properties.problem import Array
from afi_properties.training import diffused_points
from afi_verify.experiments.ground_truth.problems import SCHEDULE, Networks, Problem, noise_at, time_at
from afi_verify.experiments.ground_truth.settings import Settings
from afi_verify.implementations.torch_autodiff import fisher_trace_hutchinson
from afi_verify.implementations.torch_dirac import fisher_trace_matching
from afi_verify.implementations.torch_solvers import EpsFn, solve_flow

ENDPOINT_STEPS = 20
ENDPOINT_LOG_SNR = 12.0


def measure_fields(problem: Problem, networks: Networks, seed: int, settings: Settings) -> list[dict[str, Any]]:
    """Return one row per noise level: relative errors by method, for operators and for traces."""
    rng = np.random.default_rng([seed, 20])
    return [_level(problem, networks, log_snr, rng, settings) for log_snr in settings.log_snrs]


def _level(
    problem: Problem, networks: Networks, log_snr: float, rng: np.random.Generator, settings: Settings
) -> dict[str, Any]:
    t = time_at(log_snr)
    alpha, sigma = noise_at(t)
    count, d = settings.points, problem.dimension
    levels = np.full(count, alpha), np.full(count, sigma)
    points = diffused_points(problem.law, *levels, rng)
    x = torch.from_numpy(points)
    truth = problem.law.fisher(points, alpha, sigma)
    jacobian = jacobians(networks.eps, x, t) / sigma
    trivial = np.broadcast_to(np.eye(d) / sigma**2, truth.shape)
    mean = _mean(x, networks.eps(x, t), alpha, sigma)
    exact_mean = _mean(x, problem.eps(x, t), alpha, sigma)
    operators = {
        "trivial": trivial,
        "VJP": np.swapaxes(jacobian, 1, 2),
        "symmetric part": (jacobian + np.swapaxes(jacobian, 1, 2)) / 2,
        "AFI-EA": _endpoint(endpoints(networks.eps, x, t), mean, alpha, sigma),
        "AFI-EA, exact eps": _endpoint(endpoints(problem.eps, x, t), exact_mean, alpha, sigma),
    }
    row: dict[str, Any] = {
        "log_snr": log_snr,
        "operator": {name: _relative(operator, truth) for name, operator in operators.items()},
        "asymmetry": _relative(jacobian, np.swapaxes(jacobian, 1, 2)),
        "trace": _traces(problem, networks, x, t, jacobian, np.trace(truth, axis1=1, axis2=2), rng, settings),
        "covariance_part": _relative(trivial, truth),
    }
    if problem.population is not None:
        whole = problem.population.fisher(points, alpha, sigma)
        row["population"] = {
            "exact, of the sample": _relative(truth, whole),
            "trivial": _relative(trivial, whole),
            "VJP": _relative(operators["VJP"], whole),
        }
    return row


def _traces(
    problem: Problem,
    networks: Networks,
    x: Tensor,
    t: float,
    jacobian: Array,
    truth: Array,
    rng: np.random.Generator,
    settings: Settings,
) -> dict[str, float]:
    alpha, sigma = noise_at(t)
    d = problem.dimension
    eps, exact_eps, head = networks.eps(x, t), problem.eps(x, t), networks.head(x, t)
    exact_head = torch.from_numpy(problem.law.posterior_second_moment(x.numpy(), alpha, sigma) / d)
    mean = _mean(x, eps, alpha, sigma).numpy()
    estimates = {
        "trivial": np.full(len(x), d / sigma**2),
        "full VJP": np.trace(jacobian, axis1=1, axis2=2),
        "AFI-TM": fisher_trace_matching(x, alpha, sigma, eps, head).numpy(),
        "AFI-TM, exact eps": fisher_trace_matching(x, alpha, sigma, exact_eps, head).numpy(),
        "AFI-TM, exact head": fisher_trace_matching(x, alpha, sigma, eps, exact_head).numpy(),
        "eq. 17 as printed": d / sigma**2 - d * alpha**2 / sigma**4 * (head.numpy() - (mean**2).sum(axis=1)),
    }
    for k in settings.probes:
        seed = int(rng.integers(2**31))
        estimates[f"Hutchinson, {k}"] = fisher_trace_hutchinson(networks.eps, x, t, sigma, k, seed).numpy()
    return {name: _relative(estimate, truth) for name, estimate in estimates.items()}


def jacobians(eps: EpsFn, x: Tensor, t: float) -> Array:
    """Return the Jacobian of ``eps`` at each point, (B, d, d)."""
    one = torch.func.jacrev(lambda point: eps(point[None], t)[0])
    matrices: Array = torch.func.vmap(one)(x).detach().numpy()
    return matrices


def endpoints(eps: EpsFn, x: Tensor, t: float) -> Tensor:
    """Return the x_0 of eq. 20: where the flow of ``eps`` takes ``x``, and the mean there, as samplers end.

    Without that last step the noise that is left, times ``alpha^2 / sigma^4``, would be all that is seen.
    """
    end = time_at(ENDPOINT_LOG_SNR)
    last = solve_flow(x, eps, SCHEDULE, t, end, ENDPOINT_STEPS, solver="ddim")
    return _mean(last, eps(last, end), *noise_at(end))


def _endpoint(x0: Tensor, mean: Tensor, alpha: float, sigma: float) -> Array:
    """Return the matrix of eq. 20, (B, d, d)."""
    outer = torch.einsum("bi,bj->bij", x0, x0) - torch.einsum("bi,bj->bij", mean, mean)
    return np.asarray(np.eye(x0.shape[1]) / sigma**2 - alpha**2 / sigma**4 * outer.numpy())


def _mean(x: Tensor, eps: Tensor, alpha: float, sigma: float) -> Tensor:
    return (x - sigma * eps) / alpha


def _relative(estimate: Array, truth: Array) -> float:
    return float(np.sqrt(((estimate - truth) ** 2).sum() / (truth**2).sum()))
