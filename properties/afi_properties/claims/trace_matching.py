"""AFI-TM, the trace from a trained head and epsilon: eq. 17, which lacks 1/d as printed."""

from afi_properties.claim import (
    DIRAC_PARAMETERS,
    HEAD_PARAMETERS,
    POINT_PARAMETERS,
    PREDICTION_PARAMETERS,
    Claim,
)
from afi_properties.inputs import Inputs
from afi_properties.problem import Array


def truth(i: Inputs) -> Array:
    """``d / sigma^2 - alpha^2 / sigma^4 (d head - |y|^2)`` (eq. 17 corrected)."""
    return _trace(i, second_moment=i.second_moment, squared_mean=_squared_mean(i))


def _squared_mean(i: Inputs) -> Array:
    return (i.predicted_mean**2).sum(axis=1)


def _trace(i: Inputs, second_moment: Array, squared_mean: Array) -> Array:
    return i.dimension / i.sigma**2 - (i.alpha / i.sigma**2) ** 2 * (second_moment - squared_mean)


def _as_printed(i: Inputs, right: Array) -> Array | None:
    if i.dimension == 1:
        return None
    return _trace(i, second_moment=i.second_moment, squared_mean=i.dimension * _squared_mean(i))


def _head_not_times_d(i: Inputs, right: Array) -> Array | None:
    if i.dimension == 1:
        return None
    return _trace(i, second_moment=i.second_moment / i.dimension, squared_mean=_squared_mean(i))


def _sigma_cubed(i: Inputs, right: Array) -> Array:
    return i.dimension / i.sigma**2 - i.alpha**2 / i.sigma**3 * (i.second_moment - _squared_mean(i))


def _alpha_for_its_square(i: Inputs, right: Array) -> Array | None:
    if (i.alpha == 1).all():
        return None
    return i.dimension / i.sigma**2 - i.alpha / i.sigma**4 * (i.second_moment - _squared_mean(i))


def _alpha_left(i: Inputs, right: Array) -> Array | None:
    if (i.alpha == 1).all():
        return None
    return _trace(i, second_moment=i.second_moment, squared_mean=i.alpha**2 * _squared_mean(i))


CLAIMS = (
    Claim(
        role="fisher_trace_matching",
        label="eq-17",
        family="dirac",
        statement="tr F = d · (1/σ² − α²/σ⁴ · (head − ‖ȳ‖²/d)), with ȳ = (x − σ ε)/α",
        printed="d · (1/σ² − α²/σ⁴ · (head − ‖ȳ‖²)): lacks 1/d before ‖ȳ‖²",
        answer="scalar",
        truth=truth,
        wrong={
            "eq. 17 as printed": _as_printed,
            "head not multiplied by d": _head_not_times_d,
            "sigma^3 for sigma^4": _sigma_cubed,
            "alpha for alpha^2": _alpha_for_its_square,
            "posterior mean not divided by alpha": _alpha_left,
            "covariance ignored": lambda i, right: i.dimension / i.sigma**2,
        },
        parameters=POINT_PARAMETERS | DIRAC_PARAMETERS | PREDICTION_PARAMETERS | HEAD_PARAMETERS,
    ),
)
