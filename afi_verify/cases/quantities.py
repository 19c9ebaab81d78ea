"""What the golden cases ask for: the claims whose inputs are numbers, and quantities that no role covers."""

import math

import numpy as np

from afi_properties.catalogue import CLAIMS
from afi_properties.claim import DIRAC_PARAMETERS, MIXTURE_PARAMETERS, POINT_PARAMETERS, Claim, Formula
from afi_properties.claims.mistakes import per_point, weight_mistakes
from afi_properties.inputs import Inputs
from afi_properties.problem import Array

FAMILIES = ("dirac", "gaussian-mixture")
HANDED = {"fisher_trace_matching": ("eps", "head"), "fisher_vector_product_endpoint": ("eps",)}
"""Which predictions are inputs of a formula; the other quantities are functions of the data alone."""

_LARGEST_MATRIX = 16
_ROLES = ("score", "posterior_mean", "fisher", "fisher_vector_product", "fisher_trace", *HANDED)


def _log_density(i: Inputs) -> Array:
    return i.law.log_density(i.x, i.alpha, i.sigma)


def _without_normaliser(i: Inputs, right: Array) -> Array:
    return right + i.dimension / 2 * np.log(2 * math.pi * i.sigma**2)


def _without_two_pi(i: Inputs, right: Array) -> Array:
    return right + i.dimension / 2 * math.log(2 * math.pi)


def _normaliser_of_one_dimension(i: Inputs, right: Array) -> Array | None:
    return None if i.dimension == 1 else right + (i.dimension - 1) / 2 * np.log(2 * math.pi * i.sigma**2)


def _covariance(i: Inputs) -> Array:
    return i.law.posterior_covariance(i.x, i.alpha, i.sigma)


def _with_mean_squares(count: int) -> Formula:
    def formula(i: Inputs, right: Array) -> Array:
        mean = i.law.posterior_mean(i.x, i.alpha, i.sigma)
        return right + count * mean[:, :, None] * mean[:, None, :]

    return formula


def _second_moment(i: Inputs) -> Array:
    return i.law.posterior_second_moment(i.x, i.alpha, i.sigma)


def _squared_mean(i: Inputs, right: Array) -> Array:
    return np.asarray((i.law.posterior_mean(i.x, i.alpha, i.sigma) ** 2).sum(axis=1))


def _extra(family: str) -> tuple[Claim, ...]:
    data = DIRAC_PARAMETERS if family == "dirac" else MIXTURE_PARAMETERS
    largest = 16384 if family == "dirac" else _LARGEST_MATRIX
    return (
        Claim(
            role="log_density",
            label="eq-26" if family == "dirac" else "eq-34",
            family=family,
            statement="log q_t(x), in nats",
            answer="scalar",
            truth=_log_density,
            wrong={
                "normaliser dropped": _without_normaliser,
                "2π dropped from the normaliser": _without_two_pi,
                "normaliser of one dimension": _normaliser_of_one_dimension,
                **weight_mistakes(_log_density, family),
            },
            parameters=POINT_PARAMETERS | data,
            largest_dimension=largest,
        ),
        Claim(
            role="posterior_covariance",
            label="prop-1" if family == "dirac" else "prop-3",
            family=family,
            statement="Cov(x₀ | x_t = x)",
            answer="matrix",
            truth=_covariance,
            wrong={
                "mean not subtracted": _with_mean_squares(1),
                "sign of the rank-one term": _with_mean_squares(2),
                "times α²": lambda i, right: None if (i.alpha == 1).all() else per_point(i.alpha**2, right),
                **weight_mistakes(_covariance, family),
            },
            parameters=POINT_PARAMETERS | data,
            largest_dimension=_LARGEST_MATRIX,
        ),
        Claim(
            role="posterior_second_moment",
            label="prop-6",
            family=family,
            statement="E[‖x₀‖² | x_t = x], that is d times the optimal trace head",
            answer="scalar",
            truth=_second_moment,
            wrong={
                "‖E[x₀ | x_t]‖² for E[‖x₀‖² | x_t]": _squared_mean,
                "divided by d": lambda i, right: None if i.dimension == 1 else right / i.dimension,
                **weight_mistakes(_second_moment, family),
            },
            parameters=POINT_PARAMETERS | data,
            largest_dimension=largest,
        ),
    )


QUANTITIES: tuple[Claim, ...] = (
    *(claim for family in FAMILIES for claim in _extra(family)),
    *(claim for claim in CLAIMS if claim.role in _ROLES),
)
"""One claim for each quantity and family of data."""


def quantities_of(family: str, dimension: int) -> tuple[Claim, ...]:
    """Return the quantities that a case of ``family`` in ``dimension`` asks for."""
    return tuple(
        claim
        for claim in QUANTITIES
        if claim.family == family
        and dimension <= (_LARGEST_MATRIX if claim.answer == "matrix" else claim.largest_dimension)
    )
