"""The Fisher matrix as an operator: Prop. 1 and 3 applied to a vector."""

from afi_properties.claim import (
    DIRAC_PARAMETERS,
    MIXTURE_PARAMETERS,
    POINT_PARAMETERS,
    PREDICTION_PARAMETERS,
    Claim,
)
from afi_properties.claims.mistakes import fisher_mistakes, per_point
from afi_properties.inputs import Inputs
from afi_properties.problem import Array


def truth(i: Inputs) -> Array:
    """``F v`` (eq. 11 and 13)."""
    return i.law.fisher_vector_product(i.x, i.v, i.alpha, i.sigma)


def _outer_product(i: Inputs, m: Array) -> Array:
    return per_point((m * i.v).sum(axis=1), m)


CLAIMS = (
    Claim(
        role="fisher_vector_product",
        label="prop-1",
        family="dirac",
        statement="F v = v/σ² − α²/σ⁴ · (Σ wᵢ ⟨yᵢ, v⟩ yᵢ − ⟨ȳ, v⟩ ȳ)",
        answer="point",
        truth=truth,
        wrong=fisher_mistakes(truth, lambda i: i.v, _outer_product, "dirac"),
        parameters=POINT_PARAMETERS | DIRAC_PARAMETERS | PREDICTION_PARAMETERS | {"v"},
    ),
    Claim(
        role="fisher_vector_product",
        label="prop-3",
        family="gaussian-mixture",
        statement="F v = v/σ² − α²/σ⁴ · Cov(x₀ | x_t) v",
        answer="point",
        truth=truth,
        wrong=fisher_mistakes(truth, lambda i: i.v, _outer_product, "gaussian-mixture"),
        parameters=POINT_PARAMETERS | MIXTURE_PARAMETERS | {"v"},
        largest_dimension=256,
    ),
)
