"""The truth of a claim as a sum of named terms: most mistakes spoil one of them."""

import dataclasses
from collections.abc import Callable

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.inputs import Inputs
from afi_properties.problem import Array

WHOLE = "the truth"
IDENTITY = "a multiple of the identity"


@dataclasses.dataclass(frozen=True, eq=False)
class Term:
    """A summand of the truth, (B, ...); ``name`` as a sentence would call it."""

    name: str
    value: Array


@dataclasses.dataclass(frozen=True)
class _Shape:
    """What the answer would be if the Fisher matrix were the identity, or ``m m^T``."""

    identity: Callable[[Inputs], Array]
    outer: Callable[[Inputs, Array], Array]


def _matrix_identity(i: Inputs) -> Array:
    return np.broadcast_to(np.eye(i.dimension), (len(i.x), i.dimension, i.dimension))


_MATRIX = _Shape(_matrix_identity, lambda i, m: m[:, :, None] * m[:, None, :])
_OPERATOR = _Shape(lambda i: i.v, lambda i, m: per_point((m * i.v).sum(axis=1), m))
_TRACE = _Shape(lambda i: np.full(len(i.x), float(i.dimension)), lambda i, m: (m * m).sum(axis=1))

SHAPES = {
    "fisher": _MATRIX,
    "fisher_vector_product": _OPERATOR,
    "fisher_vector_product_vjp": _OPERATOR,
    "fisher_vector_product_jvp": _OPERATOR,
    "fisher_vector_product_endpoint": _OPERATOR,
    "fisher_trace": _TRACE,
    "fisher_trace_autodiff": _TRACE,
    "fisher_trace_matching": _TRACE,
}
"""By role; the roles that are linear in the Fisher matrix."""


def terms_of(exhibit: Exhibit) -> list[Term]:
    """Return the whole truth, then its terms and groups of terms; those alone that the claim has."""
    i, truth = exhibit.inputs, exhibit.truth.answer
    whole = Term(WHOLE, truth)
    if i.skew is not None:
        return [whole, Term("the part of J that is a multiple of the identity", _skew_identity(exhibit))]
    role = exhibit.claim.role
    if role == "score":
        noise = per_point(-(i.sigma**-2), i.x)
        return [whole, Term("x/σ²", noise), Term("αȳ/σ²", truth - noise)]
    if role not in SHAPES:
        return [whole]
    shape = SHAPES[role]
    identity = Term("the isotropic term", per_point(i.sigma**-2, shape.identity(i)))
    factor = (i.alpha / i.sigma**2) ** 2
    mean = Term("the term of the posterior mean, ȳȳᵀ", per_point(factor, shape.outer(i, i.predicted_mean)))
    rest = Term(
        "the term of x₀x₀ᵀ" if role.endswith("endpoint") else "the term of the second moment",
        truth - identity.value - mean.value,
    )
    return [whole, Term("the covariance term", truth - identity.value), identity, rest, mean]


def extra_terms_of(exhibit: Exhibit) -> list[Term]:
    """Return terms that do not belong into the truth, but get there by mistake."""
    i, role = exhibit.inputs, exhibit.claim.role
    if role not in SHAPES or i.skew is not None:
        return []
    shape = SHAPES[role]
    mean = i.law.posterior_mean(i.x, i.alpha, i.sigma)
    return [
        Term(IDENTITY, np.asarray(shape.identity(i), dtype=exhibit.truth.answer.dtype)),
        Term("a multiple of xxᵀ", shape.outer(i, i.x)),
        Term("a multiple of ȳȳᵀ", shape.outer(i, mean)),
    ]


def _skew_identity(exhibit: Exhibit) -> Array:
    i = exhibit.inputs
    assert i.skew is not None
    return per_point(i.skew.scale(i.sigma) / i.sigma, SHAPES[exhibit.claim.role].identity(i))
