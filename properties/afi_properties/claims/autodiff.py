"""Products with the Jacobian of epsilon, and its trace: eq. 9, 15 and 19.

Eq. 9 and 19 both call ``J v`` what differentiates ``<eps, v>``, which is ``J^T v``. For the exact epsilon they
are the same; for a trained one they differ. Here each role is held to its own name.
"""

from collections.abc import Callable

from afi_properties.claim import DIRAC_PARAMETERS, POINT_PARAMETERS, Claim, Formula
from afi_properties.claims.mistakes import has_covariance, per_point, sigma_of, times, unless_one
from afi_properties.inputs import Inputs
from afi_properties.problem import Array


def vjp(i: Inputs) -> Array:
    """``J^T v / sigma`` (eq. 19)."""
    if i.skew is None:
        return i.law.fisher_vector_product(i.x, i.v, i.alpha, i.sigma)
    return per_point(1 / i.sigma, i.skew.vjp(i.x, i.v, i.sigma))


def jvp(i: Inputs) -> Array:
    """``J v / sigma`` (eq. 9)."""
    if i.skew is None:
        return i.law.fisher_vector_product(i.x, i.v, i.alpha, i.sigma)
    return per_point(1 / i.sigma, i.skew.jvp(i.x, i.v, i.sigma))


def trace(i: Inputs) -> Array:
    """``tr J / sigma`` (eq. 15)."""
    if i.skew is None:
        return i.law.fisher_trace(i.x, i.alpha, i.sigma)
    return i.skew.trace(i.x, i.sigma) / i.sigma


def _if_skew(formula: Callable[[Inputs], Array]) -> Formula:
    # In one dimension, and for the exact epsilon, a Jacobian is its own transpose.
    return lambda i, right: None if i.skew is None or i.dimension == 1 else formula(i)


def _sum_of_entries(i: Inputs, right: Array) -> Array | None:
    return None if i.skew is None or i.dimension == 1 else i.skew.sum_of_entries(i.x, i.sigma) / i.sigma


def _isotropic_trace(i: Inputs, right: Array) -> Array | None:
    return i.dimension / i.sigma**2 if i.skew is None and has_covariance(i) else None


def _isotropic_vector(i: Inputs, right: Array) -> Array | None:
    return per_point(i.sigma**-2, i.v) if i.skew is None and has_covariance(i) else None


_COMMON: dict[str, Formula] = {
    "sign": times(lambda i: -1.0),
    "doubled": times(lambda i: 2.0),
    "not divided by sigma": unless_one(sigma_of, times(sigma_of)),
    "sigma^2 for sigma": unless_one(sigma_of, times(lambda i: 1 / i.sigma)),
    "times sigma": unless_one(sigma_of, times(lambda i: i.sigma**2)),
}

_VECTOR: dict[str, Formula] = {
    **_COMMON,
    "symmetric part of J": _if_skew(lambda i: (jvp(i) + vjp(i)) / 2),
    "covariance ignored": _isotropic_vector,
}

_PARAMETERS = POINT_PARAMETERS | DIRAC_PARAMETERS | {"eps_fn"}

CLAIMS = (
    Claim(
        role="fisher_vector_product_vjp",
        label="eq-19",
        family="dirac",
        statement="Jᵀv/σ, J the Jacobian of ε at x: the gradient of ⟨ε(x, t), v⟩ over σ",
        answer="point",
        truth=vjp,
        wrong={**_VECTOR, "J v for J^T v": _if_skew(jvp)},
        parameters=_PARAMETERS | {"v"},
        eps_kinds=("exact", "skew"),
    ),
    Claim(
        role="fisher_vector_product_jvp",
        label="eq-9",
        family="dirac",
        statement="J v/σ, J the Jacobian of ε at x: the directional derivative of ε along v over σ",
        printed="F v ≈ (1/σ) ∂ε/∂x v = (1/σ) ∂⟨ε, v⟩/∂x: the last is Jᵀv, equal to J v only if J is symmetric",
        answer="point",
        truth=jvp,
        wrong={**_VECTOR, "J^T v for J v": _if_skew(vjp)},
        parameters=_PARAMETERS | {"v"},
        eps_kinds=("exact", "skew"),
    ),
    Claim(
        role="fisher_trace_autodiff",
        label="eq-15",
        family="dirac",
        statement="tr J/σ = (1/σ) Σₖ ∂εₖ/∂xₖ",
        printed="(1/σ) Σₖ ∂⟨ε, eₖ⟩/∂x: a vector; its k-th entry is meant",
        answer="scalar",
        truth=trace,
        wrong={
            **_COMMON,
            "sum of all entries for the diagonal": _sum_of_entries,
            "covariance ignored": _isotropic_trace,
            "divided by d": lambda i, right: None if i.dimension == 1 else right / i.dimension,
        },
        parameters=_PARAMETERS,
        eps_kinds=("exact", "skew"),
        largest_dimension=4096,
    ),
)
