"""Wrong formulas that several claims have in common.

The Fisher matrix, its operator and its trace are all ``identity / sigma^2 - (alpha / sigma^2)^2 covariance``,
so the ways to get them wrong are the same; each role says what its terms are. Wrong weights are wrong
everywhere.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from afi_properties.claim import Formula
from afi_properties.inputs import Inputs
from afi_properties.problem import Array

Answer = Callable[[Inputs], Array]


def weight_mistakes(truth: Answer) -> Mapping[str, Formula]:
    """Return the formulas that are right but for the weights of the atoms or components."""

    def prior_ignored(i: Inputs, right: Array) -> Array | None:
        weights = i.law.weights
        assert weights is not None
        if (weights == weights[0]).all():
            return None
        return truth(dataclasses.replace(_quick(i), law=dataclasses.replace(i.law, weights=None)))

    def distances_ignored(i: Inputs, right: Array) -> Array:
        # Distances of zero leave the prior weights as the posterior.
        return truth(dataclasses.replace(_quick(i), law=dataclasses.replace(i.law, round_distances=np.zeros_like)))

    return {"prior weights ignored": prior_ignored, "distances ignored in the weights": distances_ignored}


def fisher_mistakes(
    truth: Answer, identity: Answer, outer_product: Callable[[Inputs, Array], Array]
) -> Mapping[str, Formula]:
    """Return the wrong formulas of a role whose answer is linear in the Fisher matrix.

    Parameters
    ----------
    truth
        The role's answer.
    identity
        The role's answer if the Fisher matrix were the identity.
    outer_product
        The role's answer if the Fisher matrix were ``m m^T``, for ``m`` of shape (B, d).
    """

    def isotropic(i: Inputs) -> Array:
        return per_point(i.sigma**-2, identity(i))

    def with_factor(factor: Callable[[Inputs], Array]) -> Formula:
        def formula(i: Inputs, right: Array) -> Array:
            # Solves the claim for the covariance. Digits lost do not matter: a margin is an order of magnitude.
            covariance = per_point((i.sigma**2 / i.alpha) ** 2, isotropic(i) - right)
            return isotropic(i) + per_point(factor(i), covariance)

        return formula

    def alpha_for_its_square(i: Inputs, right: Array) -> Array | None:
        return None if (i.alpha == 1).all() else with_factor(lambda i: -i.alpha / i.sigma**4)(i, right)

    def with_mean_square(count: int) -> Formula:
        def formula(i: Inputs, right: Array) -> Array:
            quick = _quick(i)
            mean = quick.law.posterior_mean(quick.x, quick.alpha, quick.sigma)
            return right - per_point(count * (i.alpha / i.sigma**2) ** 2, outer_product(i, mean))

        return formula

    return {
        "covariance term dropped": lambda i, right: isotropic(i),
        "sign of the covariance term": with_factor(lambda i: (i.alpha / i.sigma**2) ** 2),
        "sigma^3 for sigma^4": with_factor(lambda i: -(i.alpha**2) / i.sigma**3),
        "alpha for alpha^2": alpha_for_its_square,
        "rank-one term dropped": with_mean_square(1),
        "sign of the rank-one term": with_mean_square(2),
        **weight_mistakes(truth),
    }


def _quick(i: Inputs) -> Inputs:
    """Return the inputs in float64: enough to see that a law is another one, and faster than longdouble."""
    return i.in_dtype(np.float64)


def per_point(factor: Array, answer: Array) -> Array:
    """Multiply each point's answer (B, ...) by its factor (B,)."""
    return factor.reshape(-1, *[1] * (answer.ndim - 1)) * answer
