"""Predictions taken for one another: epsilon, the posterior mean, v, the score, the endpoint."""

import dataclasses
from collections.abc import Callable, Iterator

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, Predict
from afi_properties.inputs import Inputs
from afi_properties.problem import Array

Quantity = Callable[[Inputs], Array]


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about what was taken for what."""
    for words, mean in _MEANS:
        yield Explanation(Fault.PREDICTION_TYPE, f"equals the truth with {words}"), _with_mean(mean)
    for words, endpoint in _ENDPOINTS:
        yield Explanation(Fault.PREDICTION_TYPE, f"equals the truth with {words} for x₀"), _with_endpoint(endpoint)
    for words, quantity in QUANTITIES:
        yield Explanation(Fault.PREDICTION_TYPE, f"equals {words}"), _instead(quantity)


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
