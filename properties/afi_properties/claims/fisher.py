"""The Fisher matrix: Prop. 1 (Diracs) and Prop. 3 (general data)."""

import numpy as np

from afi_properties.claim import (
    DIRAC_PARAMETERS,
    MIXTURE_PARAMETERS,
    POINT_PARAMETERS,
    PREDICTION_PARAMETERS,
    Claim,
)
from afi_properties.claims.mistakes import fisher_mistakes
from afi_properties.inputs import Inputs
from afi_properties.problem import Array


def truth(i: Inputs) -> Array:
    """``-Hessian of log q_t`` (eq. 11 and 13)."""
    return i.law.fisher(i.x, i.alpha, i.sigma)


def _identity(i: Inputs) -> Array:
    return np.broadcast_to(np.eye(i.dimension), (len(i.x), i.dimension, i.dimension))


def _outer_product(i: Inputs, m: Array) -> Array:
    return m[:, :, None] * m[:, None, :]


CLAIMS = (
    Claim(
        role="fisher",
        label="prop-1",
        family="dirac",
        statement="F = I/σ² − α²/σ⁴ · (Σ wᵢ yᵢyᵢᵀ − ȳȳᵀ), with ȳ = Σ wᵢ yᵢ and the posterior weights wᵢ",
        answer="matrix",
        truth=truth,
        wrong=fisher_mistakes(truth, _identity, _outer_product, "dirac"),
        parameters=POINT_PARAMETERS | DIRAC_PARAMETERS | PREDICTION_PARAMETERS,
        largest_dimension=256,
    ),
    Claim(
        role="fisher",
        label="prop-3",
        family="gaussian-mixture",
        statement="F = I/σ² − α²/σ⁴ · Cov(x₀ | x_t)",
        answer="matrix",
        truth=truth,
        wrong=fisher_mistakes(truth, _identity, _outer_product, "gaussian-mixture"),
        parameters=POINT_PARAMETERS | MIXTURE_PARAMETERS,
        largest_dimension=256,
    ),
)
