"""The score: eq. 27 (Diracs) and eq. 35 (general data)."""

from afi_properties.claim import (
    DIRAC_PARAMETERS,
    MIXTURE_PARAMETERS,
    POINT_PARAMETERS,
    PREDICTION_PARAMETERS,
    Claim,
)
from afi_properties.claims.mistakes import per_point, weight_mistakes
from afi_properties.inputs import Inputs
from afi_properties.problem import Array


def truth(i: Inputs) -> Array:
    """Gradient of ``log q_t`` (eq. 27 and 35)."""
    return i.law.score(i.x, i.alpha, i.sigma)


def _alpha_dropped(i: Inputs, right: Array) -> Array | None:
    mean = i.law.posterior_mean(i.x, i.alpha, i.sigma)
    return None if (i.alpha == 1).all() else per_point(-1 / i.sigma**2, i.x - mean)


_WRONG = {
    "sign": lambda i, right: -right,
    "epsilon for the score": lambda i, right: per_point(-i.sigma, right),
    "sigma for sigma^2": lambda i, right: per_point(i.sigma, right),
    "alpha dropped before the posterior mean": _alpha_dropped,
    **weight_mistakes(truth),
}

CLAIMS = (
    Claim(
        role="score",
        label="eq-27",
        family="dirac",
        statement="∇ log q_t(x) = −(x − α Σ wᵢ yᵢ)/σ²",
        answer="point",
        truth=truth,
        wrong=_WRONG,
        parameters=POINT_PARAMETERS | DIRAC_PARAMETERS | PREDICTION_PARAMETERS,
    ),
    Claim(
        role="score",
        label="eq-35",
        family="gaussian-mixture",
        statement="∇ log q_t(x) = −(x − α E[x₀ | x_t = x])/σ²",
        answer="point",
        truth=truth,
        wrong=_WRONG,
        parameters=POINT_PARAMETERS | MIXTURE_PARAMETERS,
        largest_dimension=16,
    ),
)
