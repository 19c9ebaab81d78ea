"""The score: a gradient, whose Jacobian is -F, and which Tweedie's formula ties to the posterior mean."""

import numpy as np

from afi_properties.problem import Array, Problem
from afi_properties.relation import (
    Ask,
    Question,
    Relation,
    Sides,
    altered,
    norms,
    per_point,
    repeated,
    rng_of,
    scaled,
    simple_directions,
    truncation_of,
)

_REACH = 0.25
"""Half the length of the segment, in units of sigma: within it F hardly bends, and rounding does not drown it."""
_RULES = (12, 8, 4)
"""Nodes of three Gauss-Legendre rules."""

_RADIUS = 0.0625
"""Of the circle, in units of sigma."""
_LOOP_NODES = 16


def _jacobian(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    score, operator = roles
    x, sigma = problem.values["x"], problem.values["sigma"]
    (direction,) = simple_directions(problem, 1)
    step = per_point(_REACH * sigma / norms(direction), direction)
    ends = ask(score, repeated(problem, 2, x=_interleaved(x + step, x - step)))
    nodes, weights = zip(*(np.polynomial.legendre.leggauss(n) for n in _RULES), strict=True)
    places = np.concatenate(nodes)
    points = (x[:, None] + places[:, None] * step[:, None]).reshape(-1, problem.dimension)
    question = repeated(problem, len(places), x=points, v=np.repeat(step, len(places), axis=0))
    products = ask(operator, question).reshape(problem.batch, len(places), problem.dimension)
    parts = np.split(products, np.cumsum(_RULES)[:-1], axis=1)
    integrals = [np.einsum("n,bnd->bd", w, part) for w, part in zip(weights, parts, strict=True)]
    size = norms(ends[::2]) + norms(ends[1::2]) + 2 * norms(x) / sigma**2 + 2 * norms(step) / sigma**2
    return Sides(ends[1::2] - ends[::2], integrals[0], size, truncation=truncation_of(*integrals))


def _closed_loop(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    (role,) = roles
    x, sigma, alpha = (problem.values[name] for name in ("x", "sigma", "alpha"))
    plane, _ = np.linalg.qr(rng_of(problem).standard_normal((problem.dimension, 2)))  # one column if d = 1
    first, second = plane[:, 0], plane[:, -1]
    angles = 2 * np.pi * np.arange(_LOOP_NODES) / _LOOP_NODES
    circle = np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
    tangent = np.cos(angles)[:, None] * second - np.sin(angles)[:, None] * first
    points = x[:, None] + _RADIUS * per_point(sigma, np.broadcast_to(circle, (len(x), *circle.shape)))
    answers = ask(role, repeated(problem, _LOOP_NODES, x=points.reshape(-1, problem.dimension)))
    answers = answers.reshape(problem.batch, _LOOP_NODES, problem.dimension)
    along = (answers * tangent).sum(axis=2)
    length = 2 * np.pi * _RADIUS * sigma
    integrals = [length * along[:, ::stride].mean(axis=1) for stride in (1, 2, 4)]
    terms = norms(x) * (1 / alpha if role == "posterior_mean" else sigma**-2.0)
    size = length * (np.abs(answers).max(axis=(1, 2)) + terms)
    return Sides(integrals[0], np.zeros(problem.batch), size, truncation=truncation_of(*integrals))


def _tweedie(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    score, mean = roles
    x, alpha, sigma = (problem.values[name] for name in ("x", "alpha", "sigma"))
    left = per_point(alpha, ask(mean, problem))
    step = per_point(sigma**2, ask(score, problem))
    return Sides(left, x + step, norms(left) + norms(x) + norms(step))


def _interleaved(first: Array, second: Array) -> Array:
    return np.stack([first, second], axis=1).reshape(-1, first.shape[1])


def _rotating(answer: Array, question: Question) -> Array:
    """Add one percent of a rotation about the origin, in units of F: it has no potential."""
    x = question.values["x"]
    turned = np.roll(x, 1, axis=1) * np.where(np.arange(question.dimension) % 2, 1, -1)
    return answer + 0.01 * per_point(norms(answer) / np.maximum(norms(x), 1e-300), turned)


RELATIONS = (
    Relation(
        label="jacobian-of-score",
        statement="s(x − w) − s(x + w) = ∫ F(x + τ w) w dτ over [−1, 1]: the Jacobian of the score is −F",
        violated="−F is not the score's Jacobian: s(x − w) − s(x + w) = {left}, ∫ F w dτ = {right}",
        roles=(("score", "fisher_vector_product"),),
        compare=_jacobian,
        mistakes={"operator wrong by 1 %": scaled(1)},
    ),
    Relation(
        label="gradient-field",
        smallest_dimension=2,
        statement="∮ ⟨s, dx⟩ = 0 around a circle: the score is a gradient (and so is the posterior mean)",
        violated="not a gradient: its integral around a circle is {left}, not {right}",
        roles=(("score",), ("posterior_mean",)),
        compare=_closed_loop,
        mistakes={"a rotation of 1 %": altered(_rotating)},
        model="potential",
        cases=3,
    ),
    Relation(
        label="tweedie",
        statement="α E[x₀ | x_t = x] = x + σ² s(x)",
        violated="score and posterior mean disagree: α E[x₀ | x] = {left}, x + σ² s = {right}",
        roles=(("score", "posterior_mean"),),
        compare=_tweedie,
        mistakes={"score wrong by 1 %": scaled(0), "posterior mean wrong by 1 %": scaled(1)},
        largest_dimension=16,
    ),
)
