"""Along the noise: the flow's change of volume, and how the score evolves.

Both are stated for z = x / alpha and rho = log(sigma / alpha): with the score S = alpha s and the information alpha^2 F
of z, the data are only convolved with noise of standard deviation e^rho, whatever the schedule.
"""

from collections.abc import Callable

import numpy as np

from afi_properties.problem import Array, Problem
from afi_properties.relation import (
    Ask,
    Question,
    Relation,
    Sides,
    altered,
    at_noise,
    changed,
    norms,
    only,
    per_point,
    repeated,
    rng_of,
    scaled,
    truncation_of,
)

_CENTRAL_DIFFERENCES = {
    2: np.array([1]) / 2,
    4: np.array([8, -1]) / 12,
    6: np.array([45, -9, 1]) / 60,
    8: np.array([672, -168, 32, -3]) / 840,
}
"""By order: weights of f(kh) - f(-kh), k = 1, 2, …, over h."""

_STEP = 0.1  # of rho, and of x in units of sigma
_FLOW = 0.5  # change of rho along the flow
_FLOW_STEPS = 4
_STENCIL = 0.05  # of the flow's map, in units of sigma


def _fokker_planck(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    score, trace, operator = roles
    problem = _within_schedule(only(problem, np.array([0])), 4 * _STEP)
    alpha, sigma, x = (problem.values[name] for name in ("alpha", "sigma", "x"))
    direction = rng_of(problem).standard_normal(x.shape)
    direction /= norms(direction)[:, None]

    def scaled_score(shift: float) -> Array:
        other = at_noise(problem, problem.log_snr - 2 * shift)
        question = changed(other, x=per_point(other.values["alpha"] / alpha, x))
        return other.values["alpha"] * (ask(score, question) * direction).sum(axis=1)

    evolution, evolution_error = _derivative(scaled_score, _STEP)
    places = _STEP * np.concatenate([np.arange(1, 5), -np.arange(1, 5)])
    traces = ask(trace, repeated(problem, 8, x=x + sigma * places[:, None] * direction))
    slope, slope_error = _derivative(lambda place: traces[[int(np.argmin(np.abs(places - place)))]], _STEP)
    product = (ask(operator, changed(problem, v=ask(score, problem))) * direction).sum(axis=1)
    right = -sigma * alpha * (slope + 2 * sigma * product)
    size = alpha * (np.abs(traces).max() * sigma + sigma**2 * np.abs(product) + norms(x) / sigma**2)
    return Sides(evolution, right, size, truncation=evolution_error + sigma * alpha * slope_error)


def _derivative(function: Callable[[float], Array], step: float) -> tuple[Array, Array]:
    """Return the derivative at 0 by a difference of order 8, and an estimate of its error."""
    odd = [function(k * step) - function(-k * step) for k in range(1, 5)]
    rules = [
        np.asarray(sum(w * term for w, term in zip(_CENTRAL_DIFFERENCES[order], odd, strict=False)) / step)
        for order in (8, 6, 4)
    ]
    return rules[0], truncation_of(*rules)


def _liouville(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    score, trace = roles
    problem = _within_schedule(only(problem, np.array([0])), _FLOW, towards_noise=True)
    dimension = problem.dimension
    unit = problem.values["sigma"] / problem.values["alpha"]
    places = np.concatenate([k * np.eye(dimension) for k in (1, -1, 2, -2, 3, -3)])
    z = problem.values["x"] / problem.values["alpha"] + _STENCIL * unit * np.concatenate(
        [np.zeros((1, dimension)), places]
    )
    ways = [_follow(ask, score, trace, problem, z, steps) for steps in (_FLOW_STEPS, _FLOW_STEPS // 2, 1)]
    left = [_log_determinant(ends[1:], unit, 6) for ends, _ in ways]
    right = [integral for _, integral in ways]
    by_stencil = [_log_determinant(ways[0][0][1:], unit, order) for order in (6, 4, 2)]
    truncation = truncation_of(*left) + truncation_of(*right) + truncation_of(*by_stencil)
    size = np.abs(left[0]) + np.abs(right[0]) + dimension + norms(z[:1]) / (_STENCIL * unit)
    return Sides(left[0], right[0], size, truncation=truncation)


def _follow(ask: Ask, score: str, trace: str, problem: Problem, z: Array, steps: int) -> tuple[Array, Array]:
    """Follow dz/drho = -r^2 S with classical Runge-Kutta steps; integrate r^2 tr along the first point's way."""
    start, step = problem.log_snr / -2, _FLOW / steps

    def velocity(rho: Array, z: Array) -> tuple[Array, Array]:
        here = at_noise(problem, -2 * rho)
        alpha, sigma = here.values["alpha"][0], here.values["sigma"][0]
        scores = ask(score, repeated(here, len(z), x=alpha * z))
        return -(sigma**2) / alpha * scores, sigma**2 * ask(trace, changed(here, x=alpha * z[:1]))

    integral = np.zeros(1)
    for index in range(steps):
        rho = start + index * step
        k1, t1 = velocity(rho, z)
        k2, t2 = velocity(rho + step / 2, z + step / 2 * k1)
        k3, t3 = velocity(rho + step / 2, z + step / 2 * k2)
        k4, t4 = velocity(rho + step, z + step * k3)
        z = z + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        integral = integral + step / 6 * (t1 + 2 * t2 + 2 * t3 + t4)
    return z, integral


def _log_determinant(ends: Array, unit: Array, order: int) -> Array:
    weights = _CENTRAL_DIFFERENCES[order]
    stencil = ends.reshape(3, 2, *[ends.shape[1]] * 2)
    jacobian = sum(w * (stencil[k, 0] - stencil[k, 1]) for k, w in enumerate(weights)) / (_STENCIL * unit)
    return np.array([np.linalg.slogdet(jacobian)[1]])


def _within_schedule(problem: Problem, room: float, *, towards_noise: bool = False) -> Question:
    """Move the problem so far from the ends of its schedule that rho can change by ``room``; z stays in place."""
    schedule = problem.schedule
    with np.errstate(divide="ignore"):
        lowest, highest = float(schedule.log_snr(schedule.t_max)), float(schedule.log_snr(schedule.t_min))
    room = 2 * room + 0.01
    inside = np.clip(problem.log_snr, lowest + room, highest if towards_noise else highest - room)
    if (inside == problem.log_snr).all():
        return problem
    moved = at_noise(problem, inside)
    return changed(moved, x=per_point(moved.values["alpha"] / problem.values["alpha"], problem.values["x"]))


RELATIONS = (
    Relation(
        label="fokker-planck",
        statement="∂S/∂ρ = −r² (∇ tr F + 2 F S) at fixed z = x/α, with S = α s, F of z, ρ = log r = log(σ/α)",
        violated="the score does not evolve as a diffused one: ∂S/∂ρ = {left}, −r² (∇ tr F + 2 F S) = {right}",
        roles=(("score", "fisher_trace", "fisher_vector_product"),),
        compare=_fokker_planck,
        mistakes={
            "operator wrong by 10 %": scaled(2, 1.1),
            "score times sigma": altered(lambda answer, question: per_point(question.values["sigma"], answer), 0),
        },
        model="diffusion",
    ),
    Relation(
        label="liouville",
        statement="log|det ∂z(ρ₁)/∂z(ρ₀)| = ∫ r² tr F dρ along the probability-flow ODE dz/dρ = −r² S",
        violated="trace and flow disagree: log|det| of the flow is {left}, the integral of the trace {right}",
        roles=(("score", "fisher_trace"),),
        compare=_liouville,
        mistakes={"trace wrong by 1 %": scaled(1), "score wrong by 1 %": scaled(0)},
        families=("dirac", "unknown"),  # a mixture's would take four times as long
        limit=4,
        largest_dimension=2,
        cases=2,
    ),
)
