"""Predictions taken for one another: epsilon, the posterior mean, v, the score, the endpoint."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, NotTriedError, Predict
from afi_properties.diagnosis.hypotheses.posteriors import posterior_of, spread_about
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
    for words, point in _HEADS:
        yield Explanation(Fault.PREDICTION_TYPE, f"equals the truth with the head at {words}"), _with_head_at(point)
    for words, quantity in QUANTITIES:
        yield Explanation(Fault.PREDICTION_TYPE, f"equals {words}"), _instead(quantity)
    yield Explanation(Fault.PREDICTION_TYPE, "equals x − tε"), _flow_step
    yield Explanation(Fault.TERM_DROPPED, "equals ssᵀ, s the score, in place of its derivative"), _outer(_score)
    yield Explanation(Fault.TERM_DROPPED, "equals the truth with the covariance about the prior's mean"), _about_prior
    for fault, words, projections in _OUTER_PRODUCTS:
        yield Explanation(fault, f"equals the truth with {words}"), _with_outer(projections)
    for fault, words, weights in _SPREADS:
        sentence = f"equals the truth with a covariance of {words} about the right mean"
        yield Explanation(fault, sentence), _of_spread(weights)
    for words, centre in _CENTRES:
        yield Explanation(Fault.TERM_DROPPED, f"equals the truth with the covariance about {words}"), _about(centre)
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


def _with_head_at(point: Quantity) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        i = exhibit.inputs
        if i.handed_head is None:
            raise NotTriedError
        head = i.law.posterior_second_moment(point(i), i.alpha, i.sigma) / i.dimension
        return exhibit.claim.truth(dataclasses.replace(i, handed_head=head))

    return predicted


_HEADS: tuple[tuple[str, Quantity], ...] = (
    ("ȳ", lambda i: i.predicted_mean),
    ("αȳ", lambda i: per_point(i.alpha, i.predicted_mean)),
    ("x/α", lambda i: per_point(1 / i.alpha, i.x)),
    ("αx", lambda i: per_point(i.alpha, i.x)),
    ("x/σ", lambda i: per_point(1 / i.sigma, i.x)),
    ("x₀", lambda i: i.x0),
    ("ε", lambda i: i.eps),
)


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


def _with_outer(projections: Callable[[Inputs], tuple[tuple[float, Array, Array], ...]]) -> Predict:
    """Return ``v / sigma^2`` less ``alpha^2 / sigma^4`` times a sum of ``factor * <a, v> b``."""

    def predicted(exhibit: Exhibit) -> Array:
        i = exhibit.inputs
        if not exhibit.claim.role.endswith("endpoint"):
            raise NotTriedError
        total = sum(factor * per_point((a * i.v).sum(axis=1), b) for factor, a, b in projections(i))
        return per_point(i.sigma**-2, i.v) - per_point((i.alpha / i.sigma**2) ** 2, np.asarray(total))

    return predicted


_OUTER_PRODUCTS: tuple[tuple[Fault, str, Callable[[Inputs], tuple[tuple[float, Array, Array], ...]]], ...] = (
    (Fault.TERM_ADDED, "(x₀−ȳ)(x₀−ȳ)ᵀ", lambda i: ((1, i.x0 - i.predicted_mean, i.x0 - i.predicted_mean),)),
    (
        Fault.TERM_DROPPED,
        "(x₀−ȳ)(x₀+ȳ)ᵀ",
        lambda i: ((1, i.x0 + i.predicted_mean, i.x0 - i.predicted_mean),),
    ),
    (
        Fault.TERM_DROPPED,
        "(x₀+ȳ)(x₀−ȳ)ᵀ",
        lambda i: ((1, i.x0 - i.predicted_mean, i.x0 + i.predicted_mean),),
    ),
    (Fault.TRANSPOSED, "x₀ȳᵀ − ȳx₀ᵀ", lambda i: ((1, i.predicted_mean, i.x0), (-1, i.x0, i.predicted_mean))),
    (Fault.TRANSPOSED, "ȳx₀ᵀ − x₀ȳᵀ", lambda i: ((1, i.x0, i.predicted_mean), (-1, i.predicted_mean, i.x0))),
    (Fault.TERM_DROPPED, "x₀ȳᵀ", lambda i: ((1, i.predicted_mean, i.x0),)),
    (Fault.TERM_DROPPED, "ȳx₀ᵀ", lambda i: ((1, i.x0, i.predicted_mean),)),
    (Fault.TERM_DROPPED, "x₀x₀ᵀ − x₀ȳᵀ", lambda i: ((1, i.x0 - i.predicted_mean, i.x0),)),
    (Fault.TERM_DROPPED, "x₀x₀ᵀ − ȳx₀ᵀ", lambda i: ((1, i.x0, i.x0 - i.predicted_mean),)),
)


def _about(centre: Quantity) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        return spread_about(
            exhibit, posterior_of(exhibit).weights, np.broadcast_to(centre(exhibit.inputs), exhibit.inputs.x.shape)
        )

    return predicted


def _of_spread(weights: Callable[[Array], Array]) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        i = exhibit.inputs
        right = posterior_of(exhibit).weights
        return spread_about(exhibit, weights(right), i.law.posterior_mean(i.x, i.alpha, i.sigma))

    return predicted


def _unbiased(weights: Array) -> Array:
    divisors = 1 - (weights**2).sum(axis=1, keepdims=True)
    return weights / np.where(divisors > 0, divisors, 1)


_SPREADS: tuple[tuple[Fault, str, Callable[[Array], Array]], ...] = (
    (Fault.WEIGHTS_UNNORMALISED, "weights over 1 − Σw²", _unbiased),
    (Fault.WEIGHTS_WRONG, "weights squared", np.square),
    (Fault.WEIGHTS_WRONG, "weights squared, normalised,", lambda w: w**2 / (w**2).sum(axis=1, keepdims=True)),
    (Fault.WEIGHTS_WRONG, "root weights", np.sqrt),
    (Fault.WEIGHTS_WRONG, "uniform weights", lambda w: np.full_like(w, 1 / w.shape[1])),
    (Fault.WEIGHTS_UNNORMALISED, "weights over the largest", lambda w: w / w.max(axis=1, keepdims=True)),
)


def _atoms(i: Inputs) -> Array:
    if not isinstance(i.law, DiracMixture):
        raise NotTriedError
    return i.law.atoms


def _nearest(i: Inputs) -> Array:
    atoms = _atoms(i)
    return atoms[i.law.posterior_weights(i.x, i.alpha, i.sigma).argmax(axis=1)]  # type: ignore[union-attr]


_CENTRES: tuple[tuple[str, Quantity], ...] = (
    ("the mean of the atoms", lambda i: _atoms(i).mean(axis=0)),
    ("x", lambda i: i.x),
    ("x/α", lambda i: per_point(1 / i.alpha, i.x)),
    ("αȳ", lambda i: per_point(i.alpha, i.predicted_mean)),
    ("the nearest atom", _nearest),
    ("the first atom", lambda i: _atoms(i)[0]),
    ("the mean of the batch's posterior means", lambda i: i.predicted_mean.mean(axis=0)),
    ("the mean of the batch", lambda i: i.x.mean(axis=0)),
    ("the prior's median", lambda i: np.median(_atoms(i), axis=0)),
)


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
    ("αx for ȳ", lambda i: per_point(i.alpha, i.x)),
    ("ȳ times α", lambda i: per_point(i.alpha, i.predicted_mean)),
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
