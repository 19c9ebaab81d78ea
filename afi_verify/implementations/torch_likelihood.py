"""The likelihood along the probability-flow ODE (eq. 14), with the trace of the Fisher matrix by any method.

Along a trajectory of the flow ``d log q_t(x_t) / dt = -tr(dh/dx) = -f d - g2 / 2 tr F`` (eq. 14, which holds along the
flow, not at a fixed x). Hence, from ``t_start`` to ``t_end``,

    ``log q_start(x_start) = log q_end(x_end) + integral of (f d + g2 / 2 tr F) dt``,

and the integral is the log-determinant of the flow's Jacobian. In practice ``q_end`` is not known, and the prior
``N(0, sigma_end^2 I)`` is put in its place: the answer is then the likelihood of the model that samples from the prior.

Conventions are those of :mod:`afi_verify.implementations.torch_solvers`. ``trace_fn(x, t)`` returns tr F, shape (B,).
Start at a ``t_start`` above 0: where the data have no density tr F grows like ``1 / sigma^2``, and the likelihood with
it. The functions that make a ``trace_fn`` are below.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from afi_verify.implementations import torch_autodiff, torch_dirac, torch_gaussian_mixture, torch_stochastic
from afi_verify.implementations.torch_solvers import EpsFn, Schedule, State, System, integrate, level_at

TraceFn = Callable[[Tensor, float], Tensor]


def log_likelihood(
    x: Tensor,
    eps_fn: EpsFn,
    trace_fn: TraceFn,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    num_steps: int = 50,
    *,
    solver: str = "heun",
    spacing: str = "log_snr",
    tolerance: float = 1e-6,
    prior_log_density: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return the log-likelihood of ``x`` at ``t_start`` in nats (eq. 14).

    Parameters
    ----------
    t_start, t_end
        The data's end and the noise's end.
    prior_log_density
        The log density of ``x_end``, (B, *event_shape) to (B,); that of ``N(0, sigma_end^2 I)`` when left out.

    Returns
    -------
    Tensor
        Shape (B,), dtype and device of ``x``.

    Raises
    ------
    ValueError
        If an argument is unusable.
    """
    end, log_determinant = flow_and_log_determinant(
        x,
        eps_fn,
        trace_fn,
        schedule,
        t_start,
        t_end,
        num_steps,
        solver=solver,
        spacing=spacing,
        tolerance=tolerance,
    )
    prior = prior_log_density(end) if prior_log_density else normal_log_density(end, float(schedule.sigma(t_end)))
    return prior + log_determinant


def flow_and_log_determinant(
    x: Tensor,
    eps_fn: EpsFn,
    trace_fn: TraceFn,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    num_steps: int = 50,
    *,
    solver: str = "heun",
    spacing: str = "log_snr",
    tolerance: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """Follow the flow, and the log-determinant of its Jacobian.

    Returns
    -------
    tuple of Tensor
        ``x_end``, shape (B, *event_shape), and ``log|det d x_end / d x_start|``, shape (B,).

    Raises
    ------
    ValueError
        If an argument is unusable.
    """

    def drive(state: State, t: float) -> State:
        points = state[0]
        trace = trace_fn(points, t)
        if trace.shape != points.shape[:1]:
            raise ValueError(f"trace_fn must return shape ({len(points)},), not {tuple(trace.shape)}.")
        return eps_fn(points, t) / float(schedule.sigma(t)), trace.to(points)

    system = System(drive, (1, 0), (1, 0))
    zeros = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    end, determinant = integrate(
        system,
        (x, zeros),
        schedule,
        t_start,
        t_end,
        num_steps,
        solver=solver,
        spacing=spacing,
        tolerance=tolerance,
    )
    # The integral of f d needs no solver: f is the derivative of log alpha.
    stretch = math.log(level_at(schedule, t_end).alpha) - math.log(level_at(schedule, t_start).alpha)
    return end, determinant + x[0].numel() * stretch


def bits_per_dim(log_likelihood: Tensor, dimension: int) -> Tensor:
    """Return ``-log_likelihood / (d log 2)`` (eq. 57 before the mean), the shape of ``log_likelihood``, in nats."""
    return -log_likelihood / (dimension * math.log(2))


def normal_log_density(x: Tensor, sigma: float) -> Tensor:
    """Log density of ``N(0, sigma^2 I)`` in nats, (B, *event_shape) to (B,)."""
    flat = x.reshape(len(x), -1)
    normaliser = flat.shape[1] * (math.log(sigma) + math.log(2 * math.pi) / 2)
    return -flat.square().sum(dim=1) / (2 * sigma**2) - normaliser


def dirac_trace(schedule: Schedule, data: Tensor, weights: Tensor | None = None) -> TraceFn:
    """Return the exact trace for a weighted mixture of Diracs, ``data`` (N, *event_shape) (eq. 16)."""

    def trace(x: Tensor, t: float) -> Tensor:
        level = level_at(schedule, t)
        return torch_dirac.fisher_trace(x, level.alpha, level.sigma, data, weights)

    return trace


def gaussian_mixture_trace(schedule: Schedule, means: Tensor, covariances: Tensor, weights: Tensor) -> TraceFn:
    """Return the exact trace for a Gaussian mixture: ``means`` (K, d), ``covariances`` (K, d, d), ``weights`` (K,)."""

    def trace(x: Tensor, t: float) -> Tensor:
        level = level_at(schedule, t)
        return torch_gaussian_mixture.fisher_trace(x, level.alpha, level.sigma, means, covariances, weights)

    return trace


def matching_trace(schedule: Schedule, eps_fn: EpsFn, head_fn: Callable[[Tensor, float], Tensor]) -> TraceFn:
    """Return AFI-TM: the trace from a head trained by Algorithm 1, ``head_fn(x, t)`` (B,) (eq. 17, corrected)."""

    def trace(x: Tensor, t: float) -> Tensor:
        level = level_at(schedule, t)
        return torch_dirac.fisher_trace_matching(x, level.alpha, level.sigma, eps_fn(x, t), head_fn(x, t))

    return trace


def autodiff_trace(schedule: Schedule, eps_fn: EpsFn) -> TraceFn:
    """Return the full trace of the Jacobian of ``eps_fn``, d products per call (eq. 15)."""
    return lambda x, t: torch_autodiff.fisher_trace_autodiff(eps_fn, x, t, float(schedule.sigma(t)))


ESTIMATORS = {
    "signs": torch_autodiff.fisher_trace_hutchinson,
    "gaussian": torch_stochastic.fisher_trace_gaussian,
    "hutch++": torch_stochastic.fisher_trace_hutch_plus_plus,
}


def stochastic_trace(
    schedule: Schedule, eps_fn: EpsFn, num_probes: int, seed: int, estimator: str = "signs"
) -> TraceFn:
    """Return an estimate of the trace from ``num_probes`` products (App. C.5), with one of :data:`ESTIMATORS`.

    The probes are the same at all times of a trajectory: the integrand stays smooth, so that solvers keep their order,
    and the integral's mean is right all the same.
    """
    estimate = ESTIMATORS[estimator]
    return lambda x, t: estimate(eps_fn, x, t, float(schedule.sigma(t)), num_probes, seed)


def trivial_trace(schedule: Schedule) -> TraceFn:
    """Return ``d / sigma^2``, the trace without the covariance: the baseline."""

    def trace(x: Tensor, t: float) -> Tensor:
        return torch.full((len(x),), x[0].numel() / float(schedule.sigma(t)) ** 2, dtype=x.dtype, device=x.device)

    return trace
