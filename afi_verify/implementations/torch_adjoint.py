"""Gradients of a loss at the end of the probability-flow ODE (eq. 18), and guidance by them (Appendix B.2).

``lambda_t``, the gradient of the loss with respect to ``x_t``, obeys ``d lambda / dt = -(dh/dx)^T lambda``, and
``dh/dx = f I + g2 / 2 F``. What remains to be said is how F is applied: an ``operator(x, t, v)`` returns ``F^T v``, the
shape of ``v``. The functions that make one are below: exact, by autodiff (eq. 19), by the endpoint (eq. 20), trivial.

Conventions are those of :mod:`afi_verify.implementations.torch_solvers`. ``t_end`` is where the loss is (the data's
end, in guidance), ``t_start`` where its gradient is wanted.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from afi_verify.implementations import torch_autodiff, torch_dirac, torch_gaussian_mixture
from afi_verify.implementations.torch_solvers import (
    EpsFn,
    Schedule,
    State,
    System,
    integrate,
    level_at,
    solve_flow,
)

Operator = Callable[[Tensor, float, Tensor], Tensor]
Loss = Callable[[Tensor], Tensor]


def adjoint(
    x: Tensor,
    loss_grad: Tensor,
    eps_fn: EpsFn,
    operator: Operator,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    num_steps: int = 50,
    *,
    solver: str = "heun",
    spacing: str = "log_snr",
    tolerance: float = 1e-6,
) -> Tensor:
    """Return the gradient at ``t_start`` of a loss at ``t_end``: ``(d x_end / d x_start)^T loss_grad`` (eq. 18).

    Follows the flow from ``x`` to ``t_end``, then takes x and lambda back together.

    Parameters
    ----------
    x
        The points at ``t_start``.
    loss_grad
        The gradient of the loss at the points where the flow takes ``x``, shape of ``x``.

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        If an argument is unusable.
    """
    end = solve_flow(
        x, eps_fn, schedule, t_start, t_end, num_steps, solver=solver, spacing=spacing, tolerance=tolerance
    )
    return adjoint_from_end(
        end,
        loss_grad,
        eps_fn,
        operator,
        schedule,
        t_start,
        t_end,
        num_steps,
        solver=solver,
        spacing=spacing,
        tolerance=tolerance,
    )


def adjoint_from_end(
    x_end: Tensor,
    loss_grad: Tensor,
    eps_fn: EpsFn,
    operator: Operator,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    num_steps: int = 50,
    *,
    solver: str = "heun",
    spacing: str = "log_snr",
    tolerance: float = 1e-6,
) -> Tensor:
    """Return what :func:`adjoint` does, for points ``x_end`` at ``t_end`` that are known already.

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x_end``.

    Raises
    ------
    ValueError
        If an argument is unusable.
    """
    if loss_grad.shape != x_end.shape:
        raise ValueError(f"loss_grad must have the shape of x, {tuple(x_end.shape)}, not {tuple(loss_grad.shape)}.")

    def drive(state: State, t: float) -> State:
        points, costate = state
        return eps_fn(points, t) / float(schedule.sigma(t)), -operator(points, t, costate)

    system = System(drive, (1, -1), (1, 0))
    _, gradient = integrate(
        system,
        (x_end, loss_grad.to(x_end)),
        schedule,
        t_end,
        t_start,
        num_steps,
        solver=solver,
        spacing=spacing,
        tolerance=tolerance,
    )
    return gradient


def guided_sample(
    x: Tensor,
    eps_fn: EpsFn,
    make_operator: Callable[[Tensor], Operator],
    schedule: Schedule,
    times: Sequence[float],
    loss: Loss,
    *,
    strength: float = 0.2,
    window: range | None = None,
    num_steps: int = 4,
    solver: str = "ddim",
) -> Tensor:
    """Sample from ``times[0]`` to ``times[-1]``, and descend a loss of the sample on the way (Appendix B.2).

    Before each step of the window the flow is followed to ``times[-1]``, the gradient of the loss there is brought
    back by the adjoint ODE, scaled to root mean square 1 per sample, and ``strength`` times it is subtracted from x.

    Parameters
    ----------
    x
        Noise at ``times[0]``.
    make_operator
        From the endpoints that the points of a batch flow to, the operator: ``lambda x0: vjp_operator(...)``, or
        ``lambda x0: endpoint_operator(schedule, eps_fn, x0)``.
    times
        Those between which sampling steps, from noise to data; one step of ``solver`` each.
    loss
        Any differentiable function of samples, (B, *event_shape) to (B,).
    strength
        Length of a guidance step, in root mean square.
    window
        Sampling steps (from 0) that are guided; all when left out. The paper's is ``range(15, 35)`` of 50.
    num_steps
        Steps of the flow to the endpoint, and of the adjoint ODE back.

    Returns
    -------
    Tensor
        The samples at ``times[-1]``, shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        If an argument is unusable.
    """
    steps = range(len(times) - 1)
    for k in steps:
        if k in (steps if window is None else window):
            way = (schedule, times[k], times[-1], num_steps)
            end = solve_flow(x, eps_fn, *way, solver=solver)
            operator = make_operator(end)
            gradient = adjoint_from_end(end, loss_gradient(loss, end), eps_fn, operator, *way, solver=solver)
            x = x - strength * _unit_rms(gradient)
        x = solve_flow(x, eps_fn, schedule, times[k], times[k + 1], 1, solver=solver)
    return x


def loss_gradient(loss: Loss, x: Tensor) -> Tensor:
    """Return the gradient of each sample's loss, the shape of ``x``.

    Raises
    ------
    ValueError
        If the loss is not one number per sample.
    """
    with torch.enable_grad():
        point = x.detach().requires_grad_()
        losses = loss(point)
    if losses.shape != x.shape[:1]:
        raise ValueError(f"the loss must return shape ({len(x)},), one number per sample, not {tuple(losses.shape)}.")
    return torch.autograd.grad(losses.sum(), point)[0]


def _unit_rms(gradient: Tensor) -> Tensor:
    size = gradient.reshape(len(gradient), -1).square().mean(dim=1).sqrt()
    # A sample at the bottom of the loss has no direction to go.
    inverse = torch.where(size > 0, 1 / size, torch.zeros_like(size))
    return gradient * inverse.reshape(-1, *[1] * (gradient.ndim - 1))


def dirac_operator(schedule: Schedule, data: Tensor, weights: Tensor | None = None) -> Operator:
    """Return the exact operator for a weighted mixture of Diracs, ``data`` (N, *event_shape) (eq. 11)."""

    def apply(x: Tensor, t: float, v: Tensor) -> Tensor:
        level = level_at(schedule, t)
        return torch_dirac.fisher_vector_product(x, v, level.alpha, level.sigma, data, weights)

    return apply


def gaussian_mixture_operator(schedule: Schedule, means: Tensor, covariances: Tensor, weights: Tensor) -> Operator:
    """Return the exact operator for a Gaussian mixture: ``means`` (K, d), ``covariances`` (K, d, d), ``weights``."""

    def apply(x: Tensor, t: float, v: Tensor) -> Tensor:
        level = level_at(schedule, t)
        return torch_gaussian_mixture.fisher_vector_product(x, v, level.alpha, level.sigma, means, covariances, weights)

    return apply


def vjp_operator(schedule: Schedule, eps_fn: EpsFn) -> Operator:
    """Return ``J^T v / sigma`` by reverse mode, J the Jacobian of ``eps_fn`` (eq. 19): the adjoint's own operator."""
    return lambda x, t, v: torch_autodiff.fisher_vector_product_vjp(eps_fn, x, v, t, float(schedule.sigma(t)))


def jvp_operator(schedule: Schedule, eps_fn: EpsFn) -> Operator:
    """Return ``J v / sigma`` by forward mode: not what eq. 18 asks for, unless J is symmetric."""
    return lambda x, t, v: torch_autodiff.fisher_vector_product_jvp(eps_fn, x, v, t, float(schedule.sigma(t)))


def endpoint_operator(schedule: Schedule, eps_fn: EpsFn, x0: Tensor) -> Operator:
    """Return AFI-EA: the operator from the endpoints ``x0``, shape of x, in place of the second moment (eq. 20)."""

    def apply(x: Tensor, t: float, v: Tensor) -> Tensor:
        level = level_at(schedule, t)
        return torch_dirac.fisher_vector_product_endpoint(x, v, x0, eps_fn(x, t), level.alpha, level.sigma)

    return apply


def trivial_operator(schedule: Schedule) -> Operator:
    """Return ``v / sigma^2``, the operator without the covariance: the baseline."""
    return lambda x, t, v: v / float(schedule.sigma(t)) ** 2
