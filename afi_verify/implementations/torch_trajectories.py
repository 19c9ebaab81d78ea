"""The likelihood and the adjoint state as functions of data, a schedule and two times: the solvers with their traces.

They fill the roles ``log_likelihood`` and ``adjoint`` of an adapter, one combination of method and solver each; any
other is a line like these. Shapes, errors and the meaning of the arguments are those of
:mod:`~afi_verify.implementations.torch_likelihood` and :mod:`~afi_verify.implementations.torch_adjoint`.
"""

from collections.abc import Callable

from torch import Tensor

from afi_verify.implementations import torch_adjoint, torch_gaussian_mixture, torch_likelihood
from afi_verify.implementations.torch_solvers import EpsFn, Schedule, level_at


def exact_log_likelihood(
    x: Tensor,
    eps_fn: EpsFn,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    num_steps: int,
    data: Tensor,
    weights: Tensor,
) -> Tensor:
    """Log-likelihood with the exact trace of a mixture of Diracs, by Heun's method; (B,), nats."""
    trace = torch_likelihood.dirac_trace(schedule, data, weights)
    return torch_likelihood.log_likelihood(x, eps_fn, trace, schedule, t_start, t_end, num_steps, solver="heun")


def mixture_log_likelihood(
    x: Tensor,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    num_steps: int,
    means: Tensor,
    covariances: Tensor,
    weights: Tensor,
) -> Tensor:
    """Log-likelihood with the exact score and trace of a Gaussian mixture, by DPM-Solver-2; (B,), nats."""
    trace = torch_likelihood.gaussian_mixture_trace(schedule, means, covariances, weights)
    eps_fn = _mixture_epsilon(schedule, means, covariances, weights)
    return torch_likelihood.log_likelihood(x, eps_fn, trace, schedule, t_start, t_end, num_steps, solver="dpm2")


def autodiff_log_likelihood(
    x: Tensor, eps_fn: EpsFn, schedule: Schedule, t_start: float, t_end: float, num_steps: int
) -> Tensor:
    """Log-likelihood with the trace of the Jacobian of ``eps_fn`` (eq. 15), by DPM-Solver-2; (B,), nats."""
    trace = torch_likelihood.autodiff_trace(schedule, eps_fn)
    return torch_likelihood.log_likelihood(x, eps_fn, trace, schedule, t_start, t_end, num_steps, solver="dpm2")


def matching_log_likelihood(
    x: Tensor,
    eps_fn: EpsFn,
    head_fn: Callable[[Tensor, float], Tensor],
    schedule: Schedule,
    t_start: float,
    t_end: float,
    num_steps: int,
) -> Tensor:
    """Log-likelihood by AFI-TM (eq. 17, corrected) and DDIM steps; (B,), nats."""
    trace = torch_likelihood.matching_trace(schedule, eps_fn, head_fn)
    return torch_likelihood.log_likelihood(x, eps_fn, trace, schedule, t_start, t_end, num_steps, solver="ddim")


def exact_adjoint(
    x: Tensor,
    loss_grad: Tensor,
    eps_fn: EpsFn,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    num_steps: int,
    data: Tensor,
    weights: Tensor,
) -> Tensor:
    """Adjoint state with the exact operator of a mixture of Diracs, by DPM-Solver-2; shape of x."""
    operator = torch_adjoint.dirac_operator(schedule, data, weights)
    arguments = (x, loss_grad, eps_fn, operator, schedule, t_start, t_end, num_steps)
    return torch_adjoint.adjoint(*arguments, solver="dpm2")


def mixture_adjoint(
    x: Tensor,
    loss_grad: Tensor,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    num_steps: int,
    means: Tensor,
    covariances: Tensor,
    weights: Tensor,
) -> Tensor:
    """Adjoint state with the exact score and operator of a Gaussian mixture, by Heun's method; shape of x."""
    operator = torch_adjoint.gaussian_mixture_operator(schedule, means, covariances, weights)
    eps_fn = _mixture_epsilon(schedule, means, covariances, weights)
    return torch_adjoint.adjoint(x, loss_grad, eps_fn, operator, schedule, t_start, t_end, num_steps, solver="heun")


def autodiff_adjoint(
    x: Tensor, loss_grad: Tensor, eps_fn: EpsFn, schedule: Schedule, t_start: float, t_end: float, num_steps: int
) -> Tensor:
    """Adjoint state by vector-Jacobian products of ``eps_fn`` (eq. 19) and Heun's method; shape of x."""
    operator = torch_adjoint.vjp_operator(schedule, eps_fn)
    return torch_adjoint.adjoint(x, loss_grad, eps_fn, operator, schedule, t_start, t_end, num_steps, solver="heun")


def adaptive_adjoint(
    x: Tensor, loss_grad: Tensor, eps_fn: EpsFn, schedule: Schedule, t_start: float, t_end: float
) -> Tensor:
    """Adjoint state by vector-Jacobian products of ``eps_fn`` (eq. 19) and adaptive steps; shape of x."""
    operator = torch_adjoint.vjp_operator(schedule, eps_fn)
    return torch_adjoint.adjoint(x, loss_grad, eps_fn, operator, schedule, t_start, t_end, solver="adaptive")


def _mixture_epsilon(schedule: Schedule, means: Tensor, covariances: Tensor, weights: Tensor) -> EpsFn:
    def epsilon(x: Tensor, t: float) -> Tensor:
        level = level_at(schedule, t)
        return -level.sigma * torch_gaussian_mixture.score(x, level.alpha, level.sigma, means, covariances, weights)

    return epsilon
