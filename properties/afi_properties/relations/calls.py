"""What a call may depend on: its arguments alone, and of a batch each answer on its own point alone."""

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
    only,
    per_point,
    repeated,
    rng_of,
)

_ROLES = (
    "score",
    "posterior_mean",
    "fisher",
    "fisher_vector_product",
    "fisher_trace",
    "fisher_vector_product_vjp",
    "fisher_vector_product_jvp",
    "fisher_trace_autodiff",
    "fisher_trace_matching",
    "fisher_vector_product_endpoint",
)


def _batch_independence(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    (role,) = roles
    batch = problem.batch
    alone = np.concatenate([_flat(ask(role, only(problem, np.array([i])))) for i in range(batch)])
    company = _with_company(problem)  # the points are its even rows
    together = _flat(ask(role, company))[::2]
    order = np.arange(2 * batch)[::-1]
    reversed_order = _flat(ask(role, only(company, order)))[::-1][::2]
    as_many_as_atoms = alone.copy()
    if problem.atoms:
        rows = np.resize(np.arange(2 * batch), problem.atoms)
        as_many_as_atoms[0] = _flat(ask(role, only(company, rows)))[0]
    left = np.concatenate([together, reversed_order, as_many_as_atoms], axis=1)
    return Sides(left, np.concatenate([alone] * 3, axis=1), _size(role, problem, alone))


def _determinism(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    (role,) = roles
    first = _flat(ask(role, problem))
    ask(role, only(_with_company(problem), np.array([1])))
    interrupted = _flat(ask(role, problem))
    again = _flat(ask(role, problem))
    left = np.concatenate([interrupted, again], axis=1)
    return Sides(left, np.concatenate([first, first], axis=1), _size(role, problem, first))


def _with_company(problem: Problem) -> Question:
    """Each point followed by another one, a noise scale away."""
    question = repeated(problem, 2)
    x, v = question.values["x"].copy(), question.values["v"].copy()
    distances = rng_of(problem).standard_normal((problem.batch, problem.dimension))
    x[1::2] += per_point(problem.values["sigma"], distances)
    v[1::2] *= -2
    return changed(question, x=x, v=v)


def _flat(answer: Array) -> Array:
    return answer.reshape(len(answer), -1)


def _size(role: str, problem: Problem, answer: Array) -> Array:
    x, alpha, sigma = (problem.values[name] for name in ("x", "alpha", "sigma"))
    terms = {
        "score": norms(x) / sigma**2,
        "posterior_mean": norms(x) / alpha,
        "fisher": isotropic(role, problem),
        "fisher_trace": problem.dimension * isotropic(role, problem),
        "fisher_vector_product": norms(problem.values["v"]) * isotropic(role, problem),
    }
    return np.asarray(norms(answer) + terms.get(role, 0.0))


def _counted(answer: Array, question: Question) -> Array:
    return (1 + 0.1 * len(answer)) * answer


def _worn(ask: Ask, roles: tuple[str, ...]) -> Ask:
    calls = 0

    def wrong(role: str, question: Question) -> Array:
        nonlocal calls
        calls += 1
        return (1 + 0.1 * calls) * ask(role, question)

    return wrong


RELATIONS = (
    Relation(
        label="batch-independence",
        statement="the answer for a point is the same alone, in company, in another order, and for B = N",
        violated="the answer for a point depends on its company: {left} in batches, {right} alone",
        roles=tuple((role,) for role in _ROLES),
        compare=_batch_independence,
        mistakes={"10 % for each point of the batch": altered(_counted)},
        largest_dimension=16,
        cases=2,
    ),
    Relation(
        label="determinism",
        statement="the same call gives the same answer, also after another call",
        violated="the same call gave different answers: {left} later, {right} first",
        roles=tuple((role,) for role in _ROLES),
        compare=_determinism,
        mistakes={"10 % more with each call": _worn},
        largest_dimension=16,
        reproducible=True,
        cases=2,
    ),
)
