"""AFI-EA, the endpoint-approximated operator: eq. 20, as the formula it is.

Whether it is near the Fisher information is another question, and the answer is mostly no.
"""

from collections.abc import Callable

from afi_properties.claim import DIRAC_PARAMETERS, POINT_PARAMETERS, PREDICTION_PARAMETERS, Claim, Formula
from afi_properties.claims.mistakes import alpha_of, per_point, sigma_of, times, unless_one
from afi_properties.inputs import Inputs
from afi_properties.problem import Array


def truth(i: Inputs) -> Array:
    """``v / sigma^2 - alpha^2 / sigma^4 (<x0, v> x0 - <y, v> y)`` (eq. 20)."""
    return _operator(i, (i.alpha / i.sigma**2) ** 2)


def _operator(i: Inputs, factor: Array, endpoint: float = 1, mean: float = -1) -> Array:
    return per_point(i.sigma**-2, i.v) - per_point(
        factor, endpoint * _projection(i, i.x0) + mean * _projection(i, i.predicted_mean)
    )


def _projection(i: Inputs, m: Array) -> Array:
    return per_point((m * i.v).sum(axis=1), m)


def _with(factor: Callable[[Inputs], Array], **signs: float) -> Formula:
    return lambda i, right: _operator(i, factor(i), **signs)


def _true_factor(i: Inputs) -> Array:
    return (i.alpha / i.sigma**2) ** 2


def _alpha_left(i: Inputs, right: Array) -> Array:
    return right + per_point(_true_factor(i) * (i.alpha**2 - 1), _projection(i, i.predicted_mean))


CLAIMS = (
    Claim(
        role="fisher_vector_product_endpoint",
        label="eq-20",
        family="dirac",
        statement="v/σ² − α²/σ⁴ · (⟨x₀, v⟩ x₀ − ⟨ȳ, v⟩ ȳ), with ȳ = (x − σ ε)/α",
        answer="point",
        truth=truth,
        wrong={
            "sign of the rank-one term": _with(_true_factor, mean=1),
            "signs of both rank-one terms": _with(_true_factor, endpoint=-1, mean=1),
            "endpoint term dropped": _with(_true_factor, endpoint=0),
            "posterior-mean term dropped": _with(_true_factor, mean=0),
            "rank-one terms dropped": lambda i, right: per_point(i.sigma**-2, i.v),
            "rank-one terms doubled": _with(lambda i: 2 * _true_factor(i)),
            "sigma^3 for sigma^4": unless_one(sigma_of, _with(lambda i: i.alpha**2 / i.sigma**3)),
            "sigma^2 for sigma^4": unless_one(sigma_of, _with(lambda i: (i.alpha / i.sigma) ** 2)),
            "alpha for alpha^2": unless_one(alpha_of, _with(lambda i: i.alpha / i.sigma**4)),
            "alpha^4 for alpha^2": unless_one(alpha_of, _with(lambda i: (i.alpha / i.sigma) ** 4)),
            "posterior mean not divided by alpha": unless_one(alpha_of, _alpha_left),
            "identity over sigma": unless_one(
                sigma_of, lambda i, right: right + per_point(1 / i.sigma - i.sigma**-2, i.v)
            ),
            "sign": times(lambda i: -1.0),
            "times sigma": unless_one(sigma_of, times(sigma_of)),
        },
        parameters=POINT_PARAMETERS | DIRAC_PARAMETERS | PREDICTION_PARAMETERS | {"v", "x0"},
    ),
)
