"""The score: eq. 27 (Diracs) and eq. 35 (general data)."""

from afi_properties.claim import (
    DIRAC_PARAMETERS,
    MIXTURE_PARAMETERS,
    POINT_PARAMETERS,
    PREDICTION_PARAMETERS,
    Claim,
    Formula,
)
from afi_properties.claims.mistakes import (
    alpha_of,
    level_mistakes,
    normaliser,
    per_point,
    sigma_of,
    times,
    unless_one,
    weight_mistakes,
)
from afi_properties.inputs import Inputs
from afi_properties.problem import Array


def truth(i: Inputs) -> Array:
    """Gradient of ``log q_t`` (eq. 27 and 35)."""
    return i.law.score(i.x, i.alpha, i.sigma)


def _with_mean(i: Inputs, mean: Array) -> Array:
    return per_point(-1 / i.sigma**2, i.x - mean)


def _mean(i: Inputs) -> Array:
    return i.law.posterior_mean(i.x, i.alpha, i.sigma)


def _unnormalised(i: Inputs, right: Array) -> Array:
    return _with_mean(i, per_point(i.alpha * normaliser(i), _mean(i)))


_COMMON: dict[str, Formula] = {
    "sign": times(lambda i: -1.0),
    "doubled": times(lambda i: 2.0),
    "epsilon for the score": times(lambda i: -i.sigma),
    "posterior mean for the score": lambda i, right: _mean(i),
    "sigma for sigma^2": unless_one(sigma_of, times(sigma_of)),
    "not divided by sigma^2": unless_one(sigma_of, times(lambda i: i.sigma**2)),
    "alpha dropped before the posterior mean": unless_one(alpha_of, lambda i, right: _with_mean(i, _mean(i))),
    "posterior mean dropped": lambda i, right: per_point(-1 / i.sigma**2, i.x),
    **level_mistakes(truth),
}

_DIRAC: dict[str, Formula] = {
    **_COMMON,
    "posterior weights not normalised": _unnormalised,
    **weight_mistakes(truth, "dirac"),
}

CLAIMS = (
    Claim(
        role="score",
        label="eq-27",
        family="dirac",
        statement="∇ log q_t(x) = −(x − α Σ wᵢ yᵢ)/σ²",
        answer="point",
        truth=truth,
        wrong=_DIRAC,
        parameters=POINT_PARAMETERS | DIRAC_PARAMETERS | PREDICTION_PARAMETERS,
    ),
    Claim(
        role="score",
        label="eq-35",
        family="gaussian-mixture",
        statement="∇ log q_t(x) = −(x − α E[x₀ | x_t = x])/σ²",
        answer="point",
        truth=truth,
        wrong={**_COMMON, **weight_mistakes(truth, "gaussian-mixture")},
        parameters=POINT_PARAMETERS | MIXTURE_PARAMETERS,
        largest_dimension=256,
    ),
)
