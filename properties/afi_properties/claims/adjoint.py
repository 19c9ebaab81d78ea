"""The adjoint state: eq. 18, the gradient at one time of a loss at another.

The exact epsilon is a gradient, up to a factor, so that its Jacobian is symmetric, and ``J v`` and ``J^T v`` are the
same vector: no case with exact epsilon can tell them apart. A trained network's Jacobian is not symmetric, and eq. 19
needs ``J^T v`` (eq. 9 says ``J v``). Functions that ask for ``eps_fn`` and for nothing else of the data differentiate
whatever they are given; so they are also given functions whose Jacobian is known and not symmetric, and the truth is
then the adjoint state of the flow of that function.
"""

import numpy as np

from afi_properties.asymmetry import NUMERICAL, asymmetry
from afi_properties.claim import DIRAC_PARAMETERS, MIXTURE_PARAMETERS
from afi_properties.problem import Array
from afi_properties.trajectory import (
    TRAJECTORY_PARAMETERS,
    SkewTrajectory,
    Trajectory,
    TrajectoryClaim,
    TrajectoryFormula,
)
from afi_properties.trajectory_cases import turned_problems
from afi_reference.flow import FlowResult


def truth(trajectory: Trajectory) -> FlowResult:
    """``(d x_end / d x_start)^T lambda_end``."""
    jacobian = trajectory.jacobian
    value = np.einsum("bij,bi->bj", jacobian.value, trajectory.loss_grad)
    error = jacobian.error * np.linalg.norm(trajectory.loss_grad, axis=1)
    return FlowResult(value, error, jacobian.evaluations)


def _not_transposed(t: Trajectory, right: Array) -> Array | None:
    if (asymmetry(t.jacobian.value) < NUMERICAL).all():
        return None
    return np.einsum("bij,bj->bi", t.jacobian.value, t.loss_grad)


def _jvp_for_vjp(t: Trajectory, right: Array) -> Array | None:
    return t.with_jvp if isinstance(t, SkewTrajectory) else None


def _inverse(t: Trajectory) -> Array:
    """``J^-T lambda``: what the adjoint ODE with the other sign gives, exactly so where the map is linear."""
    return np.linalg.solve(t.jacobian.value.swapaxes(1, 2), t.loss_grad[..., None])[..., 0]


def _twice(t: Trajectory, right: Array) -> Array:
    """F twice: exactly so where the map is linear."""
    return np.einsum("bij,bi->bj", t.jacobian.value, right) / t.stretch


def _if_drifting(formula: TrajectoryFormula) -> TrajectoryFormula:
    return lambda t, right: formula(t, right) if t.drifts else None


def _normalised(t: Trajectory, right: Array) -> Array:
    return right / np.linalg.norm(right, axis=1)[:, None]


_WRONG: dict[str, TrajectoryFormula] = {
    "J for J^T": _not_transposed,
    "J v for J^T v in the equation": _jvp_for_vjp,
    "sign of the equation: inverse of J^T": lambda t, right: _inverse(t),
    "sign of F": lambda t, right: t.stretch**2 * _inverse(t),
    "sign of f": _if_drifting(lambda t, right: right / t.stretch**2),
    "f dropped": _if_drifting(lambda t, right: right / t.stretch),
    "F dropped": _if_drifting(lambda t, right: t.stretch * t.loss_grad),
    "factor 1/2 of F dropped": _twice,
    "covariance ignored": lambda t, right: None if t.is_single else t.end.sigma / t.start.sigma * t.loss_grad,
    "loss_grad itself": lambda t, right: t.loss_grad,
    "sign": lambda t, right: -right,
    "normalised": _normalised,
}

_FAMILIES = {"dirac": DIRAC_PARAMETERS | {"eps_fn"}, "gaussian-mixture": MIXTURE_PARAMETERS}

CLAIMS = tuple(
    TrajectoryClaim(
        role="adjoint",
        label="eq-18",
        family=family,
        statement="λ(t_start) = (∂x_end/∂x_start)ᵀ loss_grad: dλ/dt = −(∂h/∂x)ᵀ λ from loss_grad at t_end",
        answer="point",
        truth=truth,
        cases=turned_problems,
        wrong=_WRONG if family == "dirac" else {name: f for name, f in _WRONG.items() if f is not _jvp_for_vjp},
        eps_kinds=("exact", "skew") if family == "dirac" else ("exact",),
        parameters=TRAJECTORY_PARAMETERS | parameters | {"loss_grad"},
    )
    for family, parameters in _FAMILIES.items()
)
