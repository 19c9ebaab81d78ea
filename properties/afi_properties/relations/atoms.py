"""Data are a weighted set: neither the order of the atoms matters, nor in how many pieces one comes."""

import numpy as np

from afi_properties.problem import Array, Problem
from afi_properties.relation import (
    Ask,
    Question,
    Relation,
    Sides,
    altered,
    asked_otherwise,
    changed,
    isotropic,
    norms,
    per_point,
)

_PER_ATOM = ("data", "means", "covariances", "weights")
_ROLES = tuple((role,) for role in ("score", "posterior_mean", "fisher", "fisher_vector_product", "fisher_trace"))


def _permutation(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    return _unchanged(ask, roles, problem, _with_atoms(problem, np.arange(problem.atoms)[::-1]))


def _splitting(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    weights = problem.values["weights"]
    if (weights == weights[0]).all():
        # Every atom twice: their weights stay uniform, for code that knows no others.
        twice = np.tile(np.arange(problem.atoms), 2)
    else:
        twice = np.append(np.arange(problem.atoms), np.argmax(weights))
    counts = np.bincount(twice)[twice]
    question = _with_atoms(problem, twice)
    return _unchanged(ask, roles, problem, changed(question, weights=question.values["weights"] / counts))


def _unchanged(ask: Ask, roles: tuple[str, ...], problem: Problem, other: Question) -> Sides:
    (role,) = roles
    right = ask(role, problem)
    return Sides(ask(role, other), right, norms(right) + problem.dimension * _identity(role, problem))


def _identity(role: str, problem: Problem) -> Array:
    return isotropic(role, problem) if role.startswith("fisher") else np.zeros(problem.batch)


def _with_atoms(problem: Problem, which: Array) -> Question:
    return changed(problem, **{name: problem.values[name][which] for name in _PER_ATOM if name in problem.values})


def _first_favoured(question: Question) -> Question:
    weights = question.values["weights"].copy()
    weights[0] *= 10
    return changed(question, weights=weights / weights.sum())


def _counted(answer: Array, question: Question) -> Array:
    return per_point(np.full(len(answer), 1 + 0.01 * question.atoms), answer)


RELATIONS = (
    Relation(
        label="atom-order",
        fewest_atoms=2,
        statement="the answer is the same for the atoms (or components) in another order",
        violated="the answer depends on the order of the atoms: {left} in reversed order, {right} before",
        roles=_ROLES,
        compare=_permutation,
        mistakes={"the first atom counted ten times": asked_otherwise(_first_favoured)},
        families=("dirac", "gaussian-mixture"),
        cases=5,
    ),
    Relation(
        label="atom-splitting",
        statement="the answer is the same when an atom (or component) becomes two that share its weight",
        violated="the answer depends on how often an atom is listed: {left} with it split, {right} before",
        roles=_ROLES,
        compare=_splitting,
        mistakes={"1 % for each atom": altered(_counted)},
        families=("dirac", "gaussian-mixture"),
    ),
)
