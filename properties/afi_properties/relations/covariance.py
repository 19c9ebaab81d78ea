"""The posterior covariance is positive semidefinite: F never exceeds I / sigma^2."""

import numpy as np

from afi_properties.problem import Array, Problem
from afi_properties.relation import (
    Ask,
    Question,
    Relation,
    Sides,
    altered,
    changed,
    norms,
    per_point,
    simple_directions,
)


def _bound(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    (role,) = roles
    inverse = problem.values["sigma"] ** -2.0
    if role == "fisher_trace":
        trace, bound = ask(role, problem), problem.dimension * inverse
        return Sides(trace, bound, np.abs(trace) + bound, upper_bound=True)
    (v,) = simple_directions(problem, 1)
    answer = ask(role, changed(problem, v=v))
    product = np.einsum("bij,bj->bi", answer, v) if role == "fisher" else answer
    bound = (v * v).sum(axis=1) * inverse
    return Sides((v * product).sum(axis=1), bound, norms(v) * norms(product) + bound, upper_bound=True)


def _added(answer: Array, question: Question) -> Array:
    inverse = question.values["sigma"] ** -2.0
    if answer.ndim == 1:
        return 1.01 * (2 * question.dimension * inverse - answer)
    identity = np.eye(question.dimension)[None] if answer.ndim == 3 else question.values["v"]
    return 1.01 * (per_point(2 * inverse, np.broadcast_to(identity, answer.shape)) - answer)


RELATIONS = (
    Relation(
        label="covariance-positive",
        statement="⟨v, F v⟩ ≤ ‖v‖²/σ², and tr F ≤ d/σ²: Cov(x₀ | x_t) ⪰ 0",
        violated="more than I/σ²: ⟨v, F v⟩ (or tr F) = {left}, ‖v‖²/σ² (or d/σ²) = {right}",
        roles=(("fisher_vector_product",), ("fisher",), ("fisher_trace",)),
        compare=_bound,
        mistakes={"covariance added, and 1 % more": altered(_added)},
        model="diffusion",
        largest_dimension=16,
    ),
)
