"""The posterior mean, that is the optimal y-prediction: Prop. 2 (Diracs) and Prop. 4 (general data)."""

from collections.abc import Callable

import numpy as np

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
    if_spread,
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
    """``E[x_0 | x_t = x]``, from epsilon where epsilon was handed over (Prop. 2 and 4)."""
    return i.predicted_mean


def _from_law(i: Inputs) -> Array:
    return i.law.posterior_mean(i.x, i.alpha, i.sigma)


def _from_noise(factor: Callable[[Inputs], Array]) -> Formula:
    return lambda i, right: per_point(1 / i.alpha, i.x - per_point(factor(i), i.eps))


def _unnormalised(i: Inputs, right: Array) -> Array:
    return per_point(normaliser(i), right)


_COMMON: dict[str, Formula] = {
    "noise not removed": _from_noise(lambda i: np.zeros_like(i.sigma)),
    "sign of epsilon": _from_noise(lambda i: -i.sigma),
    "score for epsilon": unless_one(sigma_of, _from_noise(lambda i: -np.ones_like(i.sigma))),
    "sigma^2 for sigma before epsilon": unless_one(sigma_of, _from_noise(lambda i: i.sigma**2)),
    "sigma dropped before epsilon": unless_one(sigma_of, _from_noise(lambda i: np.ones_like(i.sigma))),
    "epsilon for the posterior mean": lambda i, right: i.eps,
    "not divided by alpha": unless_one(alpha_of, times(alpha_of)),
    "divided by alpha^2": unless_one(alpha_of, times(lambda i: 1 / i.alpha)),
    **{name: if_spread(formula) for name, formula in level_mistakes(truth).items()},
}

_DIRAC: dict[str, Formula] = {
    **_COMMON,
    "posterior weights not normalised": _unnormalised,
    **weight_mistakes(_from_law, "dirac"),
}

CLAIMS = (
    Claim(
        role="posterior_mean",
        label="prop-2",
        family="dirac",
        statement="E[x₀ | x_t = x] = Σ wᵢ yᵢ = (x − σ ε)/α",
        answer="point",
        truth=truth,
        wrong=_DIRAC,
        parameters=POINT_PARAMETERS | DIRAC_PARAMETERS | PREDICTION_PARAMETERS,
    ),
    Claim(
        role="posterior_mean",
        label="prop-4",
        family="gaussian-mixture",
        statement="E[x₀ | x_t = x] = ∫ w(y) y dq₀(y)",
        answer="point",
        truth=truth,
        wrong={**_COMMON, **weight_mistakes(_from_law, "gaussian-mixture")},
        parameters=POINT_PARAMETERS | MIXTURE_PARAMETERS,
        largest_dimension=256,
    ),
)
