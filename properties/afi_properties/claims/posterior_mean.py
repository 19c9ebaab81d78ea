"""The posterior mean, that is the optimal y-prediction: Prop. 2 (Diracs) and Prop. 4 (general data)."""

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
    """``E[x_0 | x_t = x]``, from epsilon where epsilon was handed over (Prop. 2 and 4)."""
    return i.predicted_mean


def _alpha_left(i: Inputs, right: Array) -> Array | None:
    return None if (i.alpha == 1).all() else per_point(i.alpha, right)


_WRONG = {
    "noise not removed": lambda i, right: per_point(1 / i.alpha, i.x),
    "not divided by alpha": _alpha_left,
    "sigma^2 for sigma before epsilon": lambda i, right: per_point(1 / i.alpha, i.x - per_point(i.sigma**2, i.eps)),
    **weight_mistakes(lambda i: i.law.posterior_mean(i.x, i.alpha, i.sigma)),
}

CLAIMS = (
    Claim(
        role="posterior_mean",
        label="prop-2",
        family="dirac",
        statement="E[x₀ | x_t = x] = Σ wᵢ yᵢ = (x − σ ε)/α",
        answer="point",
        truth=truth,
        wrong=_WRONG,
        parameters=POINT_PARAMETERS | DIRAC_PARAMETERS | PREDICTION_PARAMETERS,
    ),
    Claim(
        role="posterior_mean",
        label="prop-4",
        family="gaussian-mixture",
        statement="E[x₀ | x_t = x] = ∫ w(y) y dq₀(y)",
        answer="point",
        truth=truth,
        wrong=_WRONG,
        parameters=POINT_PARAMETERS | MIXTURE_PARAMETERS,
        largest_dimension=16,
    ),
)
