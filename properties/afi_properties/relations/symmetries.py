"""Moving, turning or scaling data and points together does to the answers what it does to the plane."""

import numpy as np

from afi_properties.problem import Array, Problem
from afi_properties.relation import (
    Ask,
    Question,
    Relation,
    Sides,
    altered,
    changed,
    isotropic,
    norms,
    per_point,
    rng_of,
    simple_directions,
)

_ROLES = tuple((role,) for role in ("score", "posterior_mean", "fisher", "fisher_vector_product", "fisher_trace"))
_KNOWN = ("dirac", "gaussian-mixture")


def _translation(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    (role,) = roles
    values = problem.values
    unit = values["sigma"][0] / values["alpha"][0]
    shift = unit * simple_directions(problem, 1)[0][0]
    moved = changed(problem, x=values["x"] + per_point(values["alpha"], np.tile(shift, (problem.batch, 1))))
    moved = changed(moved, **{name: values[name] + shift for name in ("data", "means") if name in values})
    right = ask(role, problem)
    if role == "posterior_mean":
        right = right + shift
    return Sides(ask(role, moved), right, _size(role, problem, right))


def _rotation(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    (role,) = roles
    values = problem.values
    turn, _ = np.linalg.qr(rng_of(problem).standard_normal((problem.dimension, problem.dimension)))
    turn = -np.abs(turn) if problem.dimension == 1 else turn
    turned = {name: values[name] @ turn.T for name in ("x", "v", "x0", "data", "means") if name in values}
    if "covariances" in values:
        covariances = turn @ values["covariances"] @ turn.T
        turned["covariances"] = (covariances + covariances.swapaxes(1, 2)) / 2
    right = ask(role, problem)
    if role == "fisher":
        right = turn @ right @ turn.T
    elif right.ndim == 2:
        right = right @ turn.T
    return Sides(ask(role, changed(problem, **turned)), right, _size(role, problem, right))


_POWERS = {
    # Powers of the factor in the answer when all lengths are scaled, and when the data alone are, against alpha.
    "score": (-1, 0),
    "posterior_mean": (1, -1),
    "fisher": (-2, 0),
    "fisher_vector_product": (-2, 0),
    "fisher_trace": (-2, 0),
}


def _scaling(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    (role,) = roles
    lengths, data = _POWERS[role]
    right = ask(role, problem)
    longer = _with_scaled_data(changed(problem, x=2 * problem.values["x"], sigma=2 * problem.values["sigma"]), 2.0)
    louder = _with_scaled_data(changed(problem, alpha=2 * problem.values["alpha"]), 0.5)
    left = np.concatenate([_flat(ask(role, longer)) / 2.0**lengths, _flat(ask(role, louder)) / 2.0**data], axis=1)
    return Sides(left, np.concatenate([_flat(right)] * 2, axis=1), _size(role, problem, right))


def _with_scaled_data(question: Question, factor: float) -> Question:
    values = question.values
    scaled = {name: factor * values[name] for name in ("data", "means") if name in values}
    if "covariances" in values:
        scaled["covariances"] = factor**2 * values["covariances"]
    return changed(question, **scaled)


def _flat(answer: Array) -> Array:
    return answer.reshape(len(answer), -1)


def _size(role: str, problem: Problem, answer: Array) -> Array:
    terms = {
        "fisher": isotropic(role, problem),
        "fisher_trace": problem.dimension * isotropic(role, problem),
        "fisher_vector_product": norms(problem.values["v"]) * isotropic(role, problem),
    }
    return np.asarray(norms(answer) + terms.get(role, 0.0))


def _centred(answer: Array, question: Question) -> Array:
    """Make the answer depend on where the data are."""
    centres = question.values["data" if "data" in question.values else "means"]
    unit = question.values["sigma"] / question.values["alpha"]
    return per_point(1 + 0.01 * np.tanh(centres.mean() / unit / 4), answer)


def _directed(answer: Array, question: Question) -> Array:
    """Make the answer depend on where the first axis points."""
    x = question.values["x"]
    return per_point(1 + 0.01 * x[:, 0] / np.maximum(norms(x), 1e-300), answer)


RELATIONS = (
    Relation(
        label="translation",
        statement="data + c and x + α c: the posterior mean moves by c, everything else stays",
        violated="the answer depends on where the origin is: {left} after moving data and point, expected {right}",
        roles=_ROLES,
        compare=_translation,
        mistakes={"depends on the data's mean by 1 %": altered(_centred)},
        families=_KNOWN,
        model="diffusion",
        cases=3,
    ),
    Relation(
        label="rotation",
        statement="R·data, R x and R v: s, E[x₀ | x_t] and F v become R times themselves, F becomes R F Rᵀ",
        violated="the answer depends on the axes: {left} after turning data and point, expected {right}",
        roles=_ROLES,
        compare=_rotation,
        mistakes={"depends on the first axis by 1 %": altered(_directed)},
        families=_KNOWN,
        model="diffusion",
        cases=2,
    ),
    Relation(
        label="scaling",
        statement="2·data, 2 x and 2 σ: s halves, F becomes a quarter; data/2 and 2 α: s and F stay",
        violated="the answer depends on the unit of length: {left} after scaling and scaling back, expected {right}",
        roles=_ROLES,
        compare=_scaling,
        mistakes={
            "a power of sigma too many": altered(lambda answer, q: per_point(q.values["sigma"], answer)),
            "a power of alpha too many": altered(lambda answer, q: per_point(q.values["alpha"], answer)),
        },
        families=_KNOWN,
        model="diffusion",
        refuses=frozenset({"alpha_bar", "schedule", "t", "eps_fn", "head_fn"}),
        cases=2,
    ),
)
