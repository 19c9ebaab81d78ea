"""What makes a function an operator: linearity, symmetry, and being the transpose of another one."""

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
    scaled,
    simple_directions,
)

_OPERATORS = (
    "fisher_vector_product",
    "fisher_vector_product_vjp",
    "fisher_vector_product_jvp",
    "fisher_vector_product_endpoint",
)


def _linearity(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    (role,) = roles
    u, v = simple_directions(problem, 2)
    of_u, of_v, of_sum = (ask(role, changed(problem, v=w)) for w in (u, v, 2 * u - v))
    size = (2 * norms(u) + norms(v)) * isotropic(role, problem) + 2 * norms(of_u) + norms(of_v)
    return Sides(of_sum, 2 * of_u - of_v, size)


def _symmetry(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    (role,) = roles
    u, v = simple_directions(problem, 2)
    if role == "fisher":
        matrix = ask(role, problem)
        of_u, of_v = np.einsum("bij,bj->bi", matrix, u), np.einsum("bij,bj->bi", matrix, v)
    else:
        of_u, of_v = ask(role, changed(problem, v=u)), ask(role, changed(problem, v=v))
    return _inner_products(isotropic(role, problem), u, of_v, v, of_u)


def _transposes(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    vjp, jvp = roles
    u, v = simple_directions(problem, 2)
    of_v, of_u = ask(jvp, changed(problem, v=v)), ask(vjp, changed(problem, v=u))
    return _inner_products(isotropic(jvp, problem), u, of_v, v, of_u)


def _inner_products(identity: Array, u: Array, of_v: Array, v: Array, of_u: Array) -> Sides:
    size = norms(u) * norms(of_v) + norms(v) * norms(of_u) + 2 * norms(u) * norms(v) * identity
    return Sides((u * of_v).sum(axis=1), (v * of_u).sum(axis=1), size)


def _quadratic(answer: Array, question: Question) -> Array:
    return per_point(1 + 0.01 * norms(question.values["v"]) / np.sqrt(question.dimension), answer)


def _constant_added(answer: Array, question: Question) -> Array:
    return answer + per_point(0.01 * norms(answer), np.ones_like(answer))


def with_antisymmetric_part(answer: Array, question: Question) -> Array:
    """Add one percent of an antisymmetric matrix to F, or its product with v: nothing in one dimension."""
    scale = 0.01 * norms(answer) / np.sqrt(question.dimension)
    if answer.ndim == 3:
        upper = np.broadcast_to(np.triu(np.ones(answer.shape[1:]), 1), answer.shape)
        return answer + per_point(scale, upper - upper.swapaxes(1, 2))
    v = question.values["v"]
    later = v[:, ::-1].cumsum(axis=1)[:, ::-1] - v
    earlier = v.cumsum(axis=1) - v
    return answer + per_point(scale / norms(v), later - earlier)


RELATIONS = (
    Relation(
        label="linearity",
        statement="F(2u − v) = 2 F u − F v",
        violated="not linear: F(2u − v) = {left}, 2 F u − F v = {right}",
        roles=tuple((role,) for role in _OPERATORS),
        compare=_linearity,
        mistakes={
            "grows like |v|^2": altered(_quadratic),
            "a constant added": altered(_constant_added),
        },
        largest_dimension=16,
    ),
    Relation(
        label="symmetry",
        smallest_dimension=2,
        statement="⟨u, F v⟩ = ⟨v, F u⟩",
        violated="not symmetric: ⟨u, F v⟩ = {left}, ⟨v, F u⟩ = {right}",
        roles=(("fisher_vector_product",), ("fisher",), ("fisher_vector_product_endpoint",)),
        compare=_symmetry,
        mistakes={"an antisymmetric part of 1 %": altered(with_antisymmetric_part)},
        model="potential",
        largest_dimension=16,
    ),
    Relation(
        label="transposes",
        smallest_dimension=2,
        statement="⟨u, J v⟩ = ⟨Jᵀu, v⟩: the two products are with one Jacobian and its transpose",
        violated="not transposes of one another: ⟨u, J v⟩ = {left}, ⟨Jᵀu, v⟩ = {right} (over σ)",
        roles=(("fisher_vector_product_vjp", "fisher_vector_product_jvp"),),
        compare=_transposes,
        mistakes={
            "wrong by 1 %": scaled(0),
            "an antisymmetric part of 1 %": altered(with_antisymmetric_part, 0),
        },
        largest_dimension=16,
    ),
)
