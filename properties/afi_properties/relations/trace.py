"""Matrix, operator and trace of one implementation belong to one another."""

import numpy as np

from afi_properties.problem import Problem
from afi_properties.relation import (
    Ask,
    Relation,
    Sides,
    changed,
    isotropic,
    norms,
    repeated,
    scaled,
    simple_directions,
)


def _trace_of_operator(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    operator, trace = roles
    dimension = problem.dimension
    basis = np.tile(np.eye(dimension), (problem.batch, 1))
    products = ask(operator, repeated(problem, dimension, v=basis))
    diagonal = (products * basis).sum(axis=1).reshape(problem.batch, dimension)
    size = dimension * isotropic(operator, problem) + np.abs(diagonal).sum(axis=1)
    return Sides(ask(trace, problem), diagonal.sum(axis=1), size)


def _trace_of_matrix(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    matrix, trace = roles
    diagonal = np.diagonal(ask(matrix, problem), axis1=1, axis2=2)
    size = problem.dimension * isotropic(matrix, problem) + np.abs(diagonal).sum(axis=1)
    return Sides(ask(trace, problem), diagonal.sum(axis=1), size)


def _matrix_times_vector(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    matrix, operator = roles
    (v,) = simple_directions(problem, 1)
    entries = ask(matrix, problem)
    product = np.einsum("bij,bj->bi", entries, v)
    size = norms(v) * isotropic(operator, problem) + norms(entries) * norms(v)
    return Sides(ask(operator, changed(problem, v=v)), product, size)


RELATIONS = (
    Relation(
        label="trace-of-operator",
        statement="tr F = Σₖ ⟨eₖ, F eₖ⟩",
        violated="the trace is not that of the operator: {left} for Σₖ ⟨eₖ, F eₖ⟩ = {right}",
        roles=(
            ("fisher_vector_product", "fisher_trace"),
            ("fisher_vector_product_jvp", "fisher_trace_autodiff"),
            ("fisher_vector_product_vjp", "fisher_trace_autodiff"),
        ),
        compare=_trace_of_operator,
        mistakes={"operator wrong by 1 %": scaled(0)},
        limit=256,
        largest_dimension=16,
    ),
    Relation(
        label="trace-of-matrix",
        statement="tr F = Σₖ Fₖₖ",
        violated="the trace is not that of the matrix: {left} for Σₖ Fₖₖ = {right}",
        roles=(("fisher", "fisher_trace"),),
        compare=_trace_of_matrix,
        mistakes={"matrix wrong by 1 %": scaled(0)},
        largest_dimension=16,
    ),
    Relation(
        label="matrix-of-operator",
        statement="F v, by the operator, is the matrix F times v",
        violated="operator and matrix differ: the operator gives F v = {left}, the matrix times v {right}",
        roles=(("fisher", "fisher_vector_product"),),
        compare=_matrix_times_vector,
        mistakes={"operator wrong by 1 %": scaled(1)},
        largest_dimension=16,
    ),
)
