"""Predictions taken for one another: epsilon, the posterior mean, v, the score, the endpoint."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, Predict
from afi_properties.diagnosis.terms import SHAPES
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture

Quantity = Callable[[Inputs], Array]


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about what was taken for what."""
    for words, mean in _MEANS:
        yield Explanation(Fault.PREDICTION_TYPE, f"equals the truth with {words}"), _with_mean(mean)
    for words, endpoint in _ENDPOINTS:
        yield Explanation(Fault.PREDICTION_TYPE, f"equals the truth with {words} for x₀"), _with_endpoint(endpoint)
    for words, quantity in QUANTITIES:
        yield Explanation(Fault.PREDICTION_TYPE, f"equals {words}"), _instead(quantity)
    yield Explanation(Fault.PREDICTION_TYPE, "equals x − tε"), _flow_step
    yield Explanation(Fault.TERM_DROPPED, "equals ssᵀ, s the score, in place of its derivative"), _outer(_score)
    yield Explanation(Fault.TERM_DROPPED, "equals the truth with the covariance about the prior's mean"), _about_prior
    yield Explanation(Fault.TERM_DROPPED, "equals the truth with ‖ȳ‖ for ‖ȳ‖²"), _norm_not_squared
    yield Explanation(Fault.CONSTANT, "equals the truth for v/‖v‖"), _direction_normalised


def _with_mean(mean: Quantity) -> Predict:
    def predicted(exhibit: Exhibit) -> Array | None:
        i = exhibit.inputs
        if i.skew is not None:
            return None
        # The formulas take the mean from epsilon, where they are given one.
        eps = per_point(1 / i.sigma, i.x - per_point(i.alpha, mean(i)))
        head = i.second_moment / i.dimension
        return exhibit.claim.truth(dataclasses.replace(i, handed_eps=eps, handed_head=head))

    return predicted


def _with_endpoint(endpoint: Quantity) -> Predict:
    def predicted(exhibit: Exhibit) -> Array | None:
        if not exhibit.claim.role.endswith("endpoint"):
            return None
        i = exhibit.inputs
        eps = i.eps if i.handed_eps is None else i.handed_eps
        return exhibit.claim.truth(dataclasses.replace(i, x0=endpoint(i), handed_eps=eps))

    return predicted


def _instead(quantity: Quantity) -> Predict:
    def predicted(exhibit: Exhibit) -> Array | None:
        return quantity(exhibit.inputs) if exhibit.claim.role in ("score", "posterior_mean") else None

    return predicted


def _flow_step(exhibit: Exhibit) -> Array | None:
    i = exhibit.inputs
    if exhibit.claim.role != "posterior_mean":
        return None
    return i.x - per_point(exhibit.problem.values["t"], i.eps)


def _score(i: Inputs) -> Array:
    return i.law.score(i.x, i.alpha, i.sigma)


def _outer(m: Quantity) -> Predict:
    def predicted(exhibit: Exhibit) -> Array | None:
        i, role = exhibit.inputs, exhibit.claim.role
        return SHAPES[role].outer(i, m(i)) if role in SHAPES and i.skew is None else None

    return predicted


def _about_prior(exhibit: Exhibit) -> Array | None:
    i, role = exhibit.inputs, exhibit.claim.role
    if role not in SHAPES or i.skew is not None or not isinstance(i.law, DiracMixture):
        return None
    step = i.law.posterior_mean(i.x, i.alpha, i.sigma) - i.law.weights @ i.law.atoms
    return exhibit.truth.answer - per_point((i.alpha / i.sigma**2) ** 2, SHAPES[role].outer(i, step))


def _norm_not_squared(exhibit: Exhibit) -> Array | None:
    i = exhibit.inputs
    if exhibit.claim.answer != "scalar" or i.skew is not None:
        return None
    square = (i.predicted_mean**2).sum(axis=1)
    return exhibit.truth.answer + (i.alpha / i.sigma**2) ** 2 * (np.sqrt(square) - square)


def _direction_normalised(exhibit: Exhibit) -> Array | None:
    i, role = exhibit.inputs, exhibit.claim.role
    if exhibit.claim.answer != "point" or role not in SHAPES:
        return None
    return per_point(1 / np.sqrt((i.v**2).sum(axis=1)), exhibit.truth.answer)


_MEANS: tuple[tuple[str, Quantity], ...] = (
    ("ε taken for the prediction of x₀", lambda i: i.eps),
    ("ε taken for v", lambda i: per_point(i.alpha, i.x) - per_point(i.sigma, i.eps)),
    ("ε taken for the score", lambda i: per_point(1 / i.alpha, i.x + per_point(i.sigma**2, i.eps))),
    ("ε taken for −ε", lambda i: per_point(1 / i.alpha, i.x + per_point(i.sigma, i.eps))),
    ("ε taken for a flow's velocity", lambda i: i.x - per_point(i.sigma, i.eps)),
    ("ȳ = (x − ε)/α", lambda i: per_point(1 / i.alpha, i.x - i.eps)),
    ("ȳ = (x − σ²ε)/α", lambda i: per_point(1 / i.alpha, i.x - per_point(i.sigma**2, i.eps))),
    ("ȳ = x/α − σε", lambda i: per_point(1 / i.alpha, i.x) - per_point(i.sigma, i.eps)),
    ("ȳ = (x − σε)/α²", lambda i: per_point(i.alpha**-2, i.x - per_point(i.sigma, i.eps))),
    ("x for ȳ", lambda i: i.x),
    ("x/α for ȳ", lambda i: per_point(1 / i.alpha, i.x)),
    ("x₀ for ȳ", lambda i: i.x0),
)

_ENDPOINTS: tuple[tuple[str, Quantity], ...] = (
    ("x", lambda i: i.x),
    ("x/α", lambda i: per_point(1 / i.alpha, i.x)),
    ("αx₀", lambda i: per_point(i.alpha, i.x0)),
    ("ε", lambda i: i.eps),
    ("ȳ", lambda i: i.predicted_mean),
    ("x − x₀", lambda i: i.x - i.x0),
)

QUANTITIES: tuple[tuple[str, Quantity], ...] = (
    ("ε", lambda i: i.eps),
    ("−ε", lambda i: -i.eps),
    ("the posterior mean", lambda i: i.law.posterior_mean(i.x, i.alpha, i.sigma)),
    ("the score", lambda i: i.law.score(i.x, i.alpha, i.sigma)),
    ("x − σε", lambda i: i.x - per_point(i.sigma, i.eps)),
    ("x − ε", lambda i: i.x - i.eps),
    ("v = αε − σȳ", lambda i: per_point(i.alpha, i.eps) - per_point(i.sigma, i.predicted_mean)),
    ("the flow's velocity ε − ȳ", lambda i: i.eps - i.predicted_mean),
    ("x", lambda i: i.x),
)
"""What an answer may be instead; also times powers of alpha and sigma."""
