"""The likelihood by the probability-flow ODE: eq. 14, integrated, with the prior of eq. 6; eq. 57 is its unit.

Eq. 14 is printed as a partial derivative in t. It holds for the derivative along the flow: at a fixed x there is a term
more, ``-<score, dx/dt>``.
"""

import math

import numpy as np

from afi_properties.claim import DIRAC_PARAMETERS, HEAD_PARAMETERS, MIXTURE_PARAMETERS
from afi_properties.problem import Array
from afi_properties.trajectory import TRAJECTORY_PARAMETERS, Trajectory, TrajectoryClaim, TrajectoryFormula
from afi_reference.flow import FlowResult

_NODES = 48


def prior(trajectory: Trajectory, x: Array, variance: float) -> Array:
    """Log density of ``N(0, variance I)`` at x (B, d), in nats, (B,)."""
    d = trajectory.dimension
    return np.asarray(-(x**2).sum(axis=1) / (2 * variance) - d / 2 * math.log(2 * math.pi * variance))


def truth(trajectory: Trajectory) -> FlowResult:
    """``log N(x_end; 0, sigma_end^2 I) + log|det d x_end / d x_start|``."""
    end, sigma = trajectory.map, trajectory.end.sigma
    slope = np.linalg.norm(end.value / sigma**2 + trajectory.law.score(end.value, *trajectory.end), axis=1)
    value = prior(trajectory, end.value, sigma**2) + trajectory.log_determinant
    return FlowResult(value, end.error * slope + 1e-13 * (np.abs(value) + trajectory.dimension), end.evaluations)


def scale(trajectory: Trajectory, right: Array) -> Array:
    """One nat for each dimension: errors are relative to likelihoods in nats per dimension."""
    del right
    return np.full(len(trajectory.x), float(trajectory.dimension))


def _prior(t: Trajectory) -> Array:
    return prior(t, t.map.value, t.end.sigma**2)


def _drift(t: Trajectory) -> float:
    """Return the integral of ``f d``."""
    return t.dimension * math.log(t.stretch)


def _trace(t: Trajectory) -> Array:
    """Return the integral of ``g2 / 2 tr F``, (B,)."""
    return t.log_determinant - _drift(t)


def _trivial_trace(t: Trajectory) -> float:
    return t.dimension * math.log((t.end.sigma / t.end.alpha) / (t.start.sigma / t.start.alpha))


def _at_a_fixed_point(t: Trajectory, right: Array) -> Array:
    """Eq. 14 as printed: the partial derivative, integrated where the point stays."""
    ratios = [math.log(level.ratio) for level in (t.start, t.end)]
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    total = np.zeros(len(t.x))
    for node, weight in zip(nodes, weights, strict=True):
        alpha, sigma = t.schedule.noise_at_log_snr(-(ratios[0] + ratios[1]) - node * (ratios[1] - ratios[0]))
        trace = t.law.fisher_trace(t.x, float(alpha), float(sigma))
        total += weight * (ratios[1] - ratios[0]) / 2 * sigma**2 * np.asarray(trace, dtype=np.float64)
    return np.asarray(prior(t, t.x, t.end.sigma**2) + _drift(t) + total)


def _if_drifting(formula: TrajectoryFormula) -> TrajectoryFormula:
    return lambda t, right: formula(t, right) if t.drifts else None


_WRONG: dict[str, TrajectoryFormula] = {
    "sign of the integral": lambda t, right: _prior(t) - t.log_determinant,
    "integral dropped": lambda t, right: _prior(t),
    "prior dropped": lambda t, right: t.log_determinant,
    "prior of unit variance": lambda t, right: (
        None if t.end.sigma == 1 else prior(t, t.map.value, 1.0) + t.log_determinant
    ),
    "sigma for sigma^2 in the prior": lambda t, right: (
        None if t.end.sigma == 1 else prior(t, t.map.value, t.end.sigma) + t.log_determinant
    ),
    "2 pi dropped from the prior": lambda t, right: right + t.dimension / 2 * math.log(2 * math.pi),
    "prior's normaliser dropped": lambda t, right: right + t.dimension / 2 * math.log(2 * math.pi * t.end.sigma**2),
    "prior's factor 1/2 dropped": lambda t, right: right - (t.map.value**2).sum(axis=1) / (2 * t.end.sigma**2),
    "prior at the start": lambda t, right: prior(t, t.x, t.end.sigma**2) + t.log_determinant,
    "exact density at the end for the prior": lambda t, right: t.log_densities[0],
    "factor 1/2 of the trace dropped": lambda t, right: right + _trace(t),
    "half of the trace": lambda t, right: right - _trace(t) / 2,
    "sign of the trace": lambda t, right: right - 2 * _trace(t),
    "trace dropped": lambda t, right: right - _trace(t),
    "covariance ignored in the trace": lambda t, right: None if t.is_single else right - _trace(t) + _trivial_trace(t),
    "trace divided by d": lambda t, right: None if t.dimension == 1 else right - _trace(t) * (1 - 1 / t.dimension),
    "f dropped": _if_drifting(lambda t, right: right - _drift(t)),
    "sign of f": _if_drifting(lambda t, right: right - 2 * _drift(t)),
    "f not times d": _if_drifting(
        lambda t, right: None if t.dimension == 1 else right - _drift(t) * (1 - 1 / t.dimension)
    ),
    "eq. 14 as printed: at a fixed point": _at_a_fixed_point,
    "in bits": lambda t, right: right / math.log(2),
    "bits per dimension": lambda t, right: -right / (t.dimension * math.log(2)),
    "negative log-likelihood": lambda t, right: -right,
    "divided by d": lambda t, right: None if t.dimension == 1 else right / t.dimension,
}

_FAMILIES = {
    "dirac": DIRAC_PARAMETERS | HEAD_PARAMETERS - {"head"} | {"eps_fn"},
    "gaussian-mixture": MIXTURE_PARAMETERS,
}

CLAIMS = tuple(
    TrajectoryClaim(
        role="log_likelihood",
        label="eq-14",
        family=family,
        statement="log p(x) = log N(x_end; 0, σ_end² I) + ∫ (f d + g²/2 · tr F) dt along the flow from x at t_start, "
        "in nats",
        printed="∂ log q_t(x_t)/∂t = −f d − g²/2 · tr F: true of the derivative along the flow, not of the partial one",
        answer="scalar",
        truth=truth,
        wrong=_WRONG,
        scale=scale,
        parameters=TRAJECTORY_PARAMETERS | parameters,
    )
    for family, parameters in _FAMILIES.items()
)
