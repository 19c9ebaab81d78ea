"""The truth of a claim as a sum of named terms: most mistakes spoil one of them."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_reference.gaussian import GaussianMixture, gaussian

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


@functools.lru_cache(maxsize=128)
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
    if role == "posterior_mean":
        point = per_point(1 / i.alpha, i.x)
        terms = [whole, Term("x/α", point), Term("−σε/α", truth - point)]
        if isinstance(i.law, GaussianMixture):
            means = np.exp(log_responsibilities(i.law, i)) @ i.law.means.astype(np.float64)
            terms += [
                Term("the means of the components", means),
                Term("the step from the components' means", truth - means),
            ]
        return terms
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
    terms = [whole, Term("the covariance term", truth - identity.value), identity, rest, mean]
    if isinstance(i.law, GaussianMixture):
        precision = apply_matrix(role, mean_precision(i), i)
        terms += [
            Term("the precisions of the components", precision),
            Term("the covariance of the components' scores", truth - precision),
        ]
    return terms


def apply_matrix(role: str, matrix: Array, i: Inputs) -> Array:
    """Return a role's answer if the Fisher matrix were ``matrix`` (B, d, d)."""
    if role == "fisher":
        return matrix
    if role == "fisher_trace":
        return np.asarray(np.trace(matrix, axis1=1, axis2=2))
    return np.einsum("bij,bj->bi", matrix, i.v.astype(np.float64))


def log_responsibilities(law: GaussianMixture, i: Inputs) -> Array:
    """Return the logarithms of the components' posterior probabilities, (B, K), in float64."""
    assert law.weights is not None
    components = [gaussian(mean, covariance) for mean, covariance in zip(law.means, law.covariances, strict=True)]
    logs = np.stack([c.log_density(i.x, i.alpha, i.sigma) for c in components], axis=1)
    return np.asarray(logs + np.log(law.weights) - law.log_density(i.x, i.alpha, i.sigma)[:, None], dtype=np.float64)


def mean_precision(i: Inputs) -> Array:
    """Return the posterior mean of the components' precisions, (B, d, d), in float64."""
    assert isinstance(i.law, GaussianMixture)
    diffused = i.alpha[:, None, None, None] ** 2 * i.law.covariances
    diffused = diffused + (i.sigma**2)[:, None, None, None] * np.eye(i.dimension)
    precisions = np.linalg.inv(diffused.astype(np.float64))  # (B, K, d, d)
    return np.einsum("bk,bkij->bij", np.exp(log_responsibilities(i.law, i)), precisions)


def extra_terms_of(exhibit: Exhibit) -> list[Term]:
    """Return terms that do not belong into the truth, but get there by mistake."""
    i, role = exhibit.inputs, exhibit.claim.role
    if role in ("score", "posterior_mean"):
        mean = i.law.posterior_mean(i.x, i.alpha, i.sigma)
        return [Term("a multiple of x", i.x), Term("a multiple of ȳ", mean)]
    if role not in SHAPES or i.skew is not None:
        return []
    shape = SHAPES[role]
    mean = i.law.posterior_mean(i.x, i.alpha, i.sigma)
    return [
        Term(IDENTITY, np.asarray(shape.identity(i), dtype=exhibit.truth.answer.dtype)),
        Term("a multiple of xxᵀ", shape.outer(i, i.x)),
        Term("a multiple of ȳȳᵀ", shape.outer(i, mean)),
        Term("a multiple of ssᵀ, s the score", shape.outer(i, i.law.score(i.x, i.alpha, i.sigma))),
    ]


def _skew_identity(exhibit: Exhibit) -> Array:
    i = exhibit.inputs
    assert i.skew is not None
    return per_point(i.skew.scale(i.sigma) / i.sigma, SHAPES[exhibit.claim.role].identity(i))
