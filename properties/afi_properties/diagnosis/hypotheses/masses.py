"""Weights whose sum is not 1: every moment is too large or too small by that sum."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis
from afi_properties.diagnosis.terms import SHAPES
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about what the weights' sum was not divided by,."""

    def scaled(mass: Callable[[Exhibit], Array], powers: tuple[int, int]) -> Callable[[Exhibit], Array | None]:
        def predicted(exhibit: Exhibit) -> Array | None:
            i, role = exhibit.inputs, exhibit.claim.role
            if not isinstance(i.law, DiracMixture) or i.skew is not None:
                return None
            m = mass(exhibit)
            mean = i.law.posterior_mean(i.x, i.alpha, i.sigma)
            if role == "posterior_mean":
                return per_point(m, mean)
            if role == "score":
                return per_point(-(i.sigma**-2), i.x - per_point(i.alpha * m, mean))
            if role not in SHAPES:
                return None
            shape = SHAPES[role]
            factor = (i.alpha / i.sigma**2) ** 2
            identity, square = per_point(i.sigma**-2, shape.identity(i)), per_point(factor, shape.outer(i, mean))
            second = identity - exhibit.truth.answer + square
            return identity - per_point(m ** powers[0], second) + per_point(m ** powers[1], square)

        return predicted

    sums: list[tuple[str, Callable[[Exhibit], Array]]] = [
        ("the weights' sum is not divided by", _evidence),
        ("the sum of the weights relative to the largest is not divided by", _relative_evidence),
        ("the prior weights are multiplied in after normalisation", _weighted_after),
    ]
    for words, mass in sums:
        for powers in ((1, 2), (1, 1), (1, 0), (0, 1), (0, 2)):
            yield Explanation(Fault.WEIGHTS_UNNORMALISED, f"is the truth if {words}"), scaled(mass, powers)


def _evidence(exhibit: Exhibit) -> Array:
    i = exhibit.inputs
    half_d = i.dimension / 2
    return np.exp(i.law.log_density(i.x, i.alpha, i.sigma) + half_d * np.log(2 * np.pi * i.sigma**2))


def _weighted_after(exhibit: Exhibit) -> Array:
    law = exhibit.inputs.law
    uniform = dataclasses.replace(
        exhibit, inputs=dataclasses.replace(exhibit.inputs, law=dataclasses.replace(law, weights=None))
    )
    return np.asarray(_evidence(exhibit) / _counted_evidence(uniform))


def _counted_evidence(exhibit: Exhibit) -> Array:
    return exhibit.problem.atoms * _evidence(exhibit)


def _relative_evidence(exhibit: Exhibit) -> Array:
    i = exhibit.inputs
    assert isinstance(i.law, DiracMixture)
    posterior = i.law.posterior_weights(i.x, i.alpha, i.sigma)
    return np.asarray(1 / posterior.max(axis=1))
