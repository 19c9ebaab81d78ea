"""AFI-TM, the trace from a trained head and epsilon: eq. 17, which lacks 1/d as printed."""

from collections.abc import Callable

import numpy as np

from afi_properties.claim import (
    DIRAC_PARAMETERS,
    HEAD_PARAMETERS,
    POINT_PARAMETERS,
    PREDICTION_PARAMETERS,
    Claim,
    Formula,
)
from afi_properties.claims.mistakes import alpha_of, has_covariance, sigma_of, unless_one
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


def _with_factor(factor: Callable[[Inputs], Array]) -> Formula:
    def formula(i: Inputs, right: Array) -> Array | None:
        if not has_covariance(i):
            return None
        return i.dimension / i.sigma**2 - factor(i) * (i.second_moment - _squared_mean(i))

    return formula


def _with_squared_mean(factor: Callable[[Inputs], Array]) -> Formula:
    return lambda i, right: _trace(i, second_moment=i.second_moment, squared_mean=factor(i) * _squared_mean(i))


def _true_factor(i: Inputs) -> Array:
    return (i.alpha / i.sigma**2) ** 2


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
            "divided by d": lambda i, right: None if i.dimension == 1 else right / i.dimension,
            "sigma^3 for sigma^4": unless_one(sigma_of, _with_factor(lambda i: i.alpha**2 / i.sigma**3)),
            "sigma^2 for sigma^4": unless_one(sigma_of, _with_factor(lambda i: (i.alpha / i.sigma) ** 2)),
            "alpha for alpha^2": unless_one(alpha_of, _with_factor(lambda i: i.alpha / i.sigma**4)),
            "alpha^4 for alpha^2": unless_one(alpha_of, _with_factor(lambda i: (i.alpha / i.sigma) ** 4)),
            "sign of the covariance term": _with_factor(lambda i: -_true_factor(i)),
            "covariance ignored": _with_factor(lambda i: np.zeros_like(i.alpha)),
            "identity over sigma": unless_one(
                sigma_of, lambda i, right: right + i.dimension * (1 / i.sigma - 1 / i.sigma**2)
            ),
            "posterior mean dropped": _with_squared_mean(lambda i: np.zeros_like(i.alpha)),
            "sign of the posterior mean's term": _with_squared_mean(lambda i: -np.ones_like(i.alpha)),
            "posterior mean not divided by alpha": unless_one(alpha_of, _with_squared_mean(lambda i: i.alpha**2)),
        },
        parameters=POINT_PARAMETERS | DIRAC_PARAMETERS | PREDICTION_PARAMETERS | HEAD_PARAMETERS,
    ),
)
