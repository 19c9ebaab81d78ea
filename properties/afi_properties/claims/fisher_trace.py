"""The trace of the Fisher matrix: Prop. 5 (eq. 16), and the trace of Prop. 3."""

import numpy as np

from afi_properties.claim import (
    DIRAC_PARAMETERS,
    HEAD_PARAMETERS,
    MIXTURE_PARAMETERS,
    POINT_PARAMETERS,
    PREDICTION_PARAMETERS,
    Claim,
    Formula,
)
from afi_properties.claims import trace_matching
from afi_properties.claims.mistakes import fisher_mistakes, has_covariance
from afi_properties.inputs import Inputs
from afi_properties.problem import Array


def truth(i: Inputs) -> Array:
    """``tr F`` (eq. 16); by eq. 17 where the head was handed over, whose rounding then counts."""
    if i.handed_head is not None:
        return trace_matching.truth(i)
    return i.law.fisher_trace(i.x, i.alpha, i.sigma)


def _identity(i: Inputs) -> Array:
    return np.full(len(i.x), float(i.dimension))


def _outer_product(i: Inputs, m: Array) -> Array:
    return np.asarray((m * m).sum(axis=1))


def _identity_of_one_dimension(i: Inputs, right: Array) -> Array | None:
    return None if i.dimension == 1 else right - (i.dimension - 1) / i.sigma**2


def _covariance_over_d(i: Inputs, right: Array) -> Array | None:
    if i.dimension == 1 or not has_covariance(i):
        return None
    isotropic = i.dimension / i.sigma**2
    return isotropic - (isotropic - right) / i.dimension


_OF_DIMENSION: dict[str, Formula] = {
    "divided by d": lambda i, right: None if i.dimension == 1 else right / i.dimension,
    "1 for d": _identity_of_one_dimension,
    "trace of the covariance divided by d": _covariance_over_d,
}


def _wrong(family: str) -> dict[str, Formula]:
    return {**fisher_mistakes(truth, _identity, _outer_product, family), **_OF_DIMENSION}


CLAIMS = (
    Claim(
        role="fisher_trace",
        label="prop-5",
        family="dirac",
        statement="tr F = d/σ² − α²/σ⁴ · (Σ wᵢ ‖yᵢ‖² − ‖Σ wᵢ yᵢ‖²)",
        answer="scalar",
        truth=truth,
        wrong=_wrong("dirac"),
        parameters=POINT_PARAMETERS | DIRAC_PARAMETERS | PREDICTION_PARAMETERS | HEAD_PARAMETERS,
    ),
    Claim(
        role="fisher_trace",
        label="prop-5",
        family="gaussian-mixture",
        statement="tr F = d/σ² − α²/σ⁴ · (E[‖x₀‖² | x_t] − ‖E[x₀ | x_t]‖²)",
        answer="scalar",
        truth=truth,
        wrong=_wrong("gaussian-mixture"),
        parameters=POINT_PARAMETERS | MIXTURE_PARAMETERS,
        largest_dimension=256,
    ),
)
