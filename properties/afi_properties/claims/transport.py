"""The map of the probability-flow ODE, its Jacobian, and whether that lets it be optimal: eq. 21, 51 to 53, Theorem 1.

Theorem 1 prints the wrong sign of f in B, and asks for definiteness where symmetry is needed, too: a Jacobian that is
not symmetric is that of no gradient, however positive its symmetric part is.
"""

from collections.abc import Callable

import numpy as np

from afi_properties.asymmetry import NUMERICAL, asymmetry
from afi_properties.claim import DIRAC_PARAMETERS, MIXTURE_PARAMETERS
from afi_properties.problem import Array
from afi_properties.trajectory import TRAJECTORY_PARAMETERS, Trajectory, TrajectoryClaim, TrajectoryFormula
from afi_properties.transport_cases import LEAST_ASYMMETRY, transport_problems
from afi_reference.dirac import DiracMixture
from afi_reference.flow import FlowResult


def optimality(trajectory: Trajectory) -> FlowResult:
    """1 where the Jacobian is symmetric and positive semi-definite, 0 where it is not, (B,)."""
    jacobian = trajectory.jacobian.value
    turned = asymmetry(jacobian)
    flags = (turned < NUMERICAL) & (_least_eigenvalue(jacobian) >= 0)
    return FlowResult(flags.astype(np.float64), np.zeros(len(flags)), trajectory.jacobian.evaluations)


def flag_scale(trajectory: Trajectory, right: Array) -> Array:
    """One, for flags."""
    del trajectory
    return np.ones(len(right))


def _least_eigenvalue(jacobian: Array) -> Array:
    return np.asarray(np.linalg.eigvalsh((jacobian + jacobian.swapaxes(1, 2)) / 2)[:, 0])


def _if_drifting(formula: TrajectoryFormula) -> TrajectoryFormula:
    return lambda t, right: formula(t, right) if t.drifts else None


def _if_it_turns(formula: Callable[[Array], Array]) -> TrajectoryFormula:
    """Return a formula of the Jacobian that differs only where that is not symmetric."""
    return lambda t, right: formula(right) if (asymmetry(right) > NUMERICAL).all() else None


def _one_step(t: Trajectory, right: Array) -> Array | None:
    """Keep the posterior mean of the start all the way: a single step of DDIM."""
    if t.is_linear and isinstance(t.law, DiracMixture):
        return None
    mean = np.asarray(t.law.posterior_mean(t.x, *t.start), dtype=np.float64)
    return t.end.alpha * mean + t.end.sigma / t.start.sigma * (t.x - t.start.alpha * mean)


def _frozen(t: Trajectory, right: Array) -> Array | None:
    """Keep the covariance of the start all the way."""
    if t.is_linear:
        return None
    covariance = np.asarray(t.law.posterior_covariance(t.x, *t.start), dtype=np.float64)
    values, axes = np.linalg.eigh(covariance)
    growth = np.exp(values / 2 * (t.end.ratio**-2 - t.start.ratio**-2))
    return t.end.sigma / t.start.sigma * (axes * growth[:, None]) @ axes.swapaxes(1, 2)


def _multiple_of_identity(t: Trajectory, factor: float) -> Array:
    d = t.dimension
    return np.broadcast_to(factor * np.eye(d), (len(t.x), d, d))


_MAP_WRONG: dict[str, TrajectoryFormula] = {
    "not moved": lambda t, right: t.x,
    "score dropped": _if_drifting(lambda t, right: t.stretch * t.x),
    "drift dropped": _if_drifting(lambda t, right: right / t.stretch),
    "sign of f": _if_drifting(lambda t, right: right / t.stretch**2),
    "one step of DDIM": _one_step,
    "sign": lambda t, right: -right,
}

_JACOBIAN_WRONG: dict[str, TrajectoryFormula] = {
    "J^T for J": _if_it_turns(lambda right: right.swapaxes(1, 2)),
    "symmetric part of J": _if_it_turns(lambda right: (right + right.swapaxes(1, 2)) / 2),
    "eq. 51 as printed: sign of f": _if_drifting(lambda t, right: right / t.stretch**2),
    "f dropped": _if_drifting(lambda t, right: right / t.stretch),
    "score dropped": lambda t, right: _multiple_of_identity(t, t.stretch),
    "covariance ignored": lambda t, right: _multiple_of_identity(t, t.end.sigma / t.start.sigma),
    "covariance of the start": _frozen,
    "inverse": lambda t, right: np.linalg.inv(right),
    "factor 1/2 of F dropped": lambda t, right: right @ right / t.stretch,
    "sign": lambda t, right: -right,
}


def _unless_right(formula: Callable[[Trajectory], Array]) -> TrajectoryFormula:
    def flags(t: Trajectory, right: Array) -> Array | None:
        answer = np.asarray(formula(t), dtype=np.float64)
        return None if (answer == right).all() else answer

    return flags


_OPTIMAL_WRONG: dict[str, TrajectoryFormula] = {
    "Theorem 1 as printed: definiteness of the symmetric part": _unless_right(
        lambda t: _least_eigenvalue(t.jacobian.value) >= 0
    ),
    "eigenvalues with positive real parts": _unless_right(
        lambda t: np.linalg.eigvals(t.jacobian.value).real.min(axis=1) > 0
    ),
    "always": _unless_right(lambda t: np.ones(len(t.x))),
    "never": _unless_right(lambda t: np.zeros(len(t.x))),
}

_FAMILIES = {"dirac": DIRAC_PARAMETERS | {"eps_fn"}, "gaussian-mixture": MIXTURE_PARAMETERS}

MAP_CLAIMS = tuple(
    TrajectoryClaim(
        role="transport_map",
        label="eq-21",
        family=family,
        statement="T(x) = x at t_end: dx/dt = f x − g²/2 ∇log q_t(x) from x at t_start",
        answer="point",
        truth=lambda t: t.map,
        wrong=_MAP_WRONG,
        parameters=TRAJECTORY_PARAMETERS | parameters,
        cases=transport_problems,
    )
    for family, parameters in _FAMILIES.items()
)

JACOBIAN_CLAIMS = tuple(
    TrajectoryClaim(
        role="transport_jacobian",
        label="eq-53",
        family=family,
        statement="J = ∂T(x)/∂x = C(t_start)ᵀ: C′ = B C, C(t_end) = I, B = −(f + g²/(2σ²)) I + α²g²/(2σ⁴) Cov[x₀|x_t]",
        printed="B = (f − g²/(2σ²)) I + α²g²/(2σ⁴) Cov, and J = C: the sign of f is wrong, and C is the transpose of J",
        answer="matrix",
        truth=lambda t: t.jacobian,
        wrong=_JACOBIAN_WRONG,
        parameters=TRAJECTORY_PARAMETERS | parameters,
        cases=transport_problems,
    )
    for family, parameters in _FAMILIES.items()
)

OPTIMALITY_CLAIMS = (
    TrajectoryClaim(
        role="transport_is_optimal",
        label="thm-1",
        family="dirac",
        statement="T can be the Monge map: its Jacobian at x is symmetric and positive semi-definite "
        f"(|J − Jᵀ|/|J| is 0 but for rounding, or above {LEAST_ASYMMETRY:g})",
        printed="the fundamental matrix is positive semi-definite at every x: definite is not enough, "
        "a gradient has a symmetric Jacobian",
        answer="flags",
        truth=optimality,
        wrong=_OPTIMAL_WRONG,
        scale=flag_scale,
        parameters=TRAJECTORY_PARAMETERS | DIRAC_PARAMETERS | {"eps_fn"},
        cases=transport_problems,
    ),
)

CLAIMS = (*MAP_CLAIMS, *JACOBIAN_CLAIMS, *OPTIMALITY_CLAIMS)
