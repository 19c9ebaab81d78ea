"""What a hypothesis is, and the ways to answer a claim with something changed."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation
from afi_properties.diagnosis.terms import SHAPES
from afi_properties.inputs import Inputs
from afi_properties.problem import Array

Predict: TypeAlias = "Callable[[Exhibit], Array | Rounded | None]"
"""Returns the answer (B, ...) that a hypothesis predicts; ``None`` where it predicts the truth."""


class NotTriedError(Exception):
    """Raised by a hypothesis that has no answer for a case, or one that would cost too much: it says nothing there."""


@dataclasses.dataclass(frozen=True, eq=False)
class Rounded:
    """The answer of a formula that loses digits: ``slack`` (B,) is how far rounding may move it."""

    answer: Array  # (B, ...)
    slack: Array


Hypothesis: TypeAlias = tuple[Explanation, Predict]

DIFFERENTIATING = ("fisher_vector_product_vjp", "fisher_vector_product_jvp", "fisher_trace_autodiff")
"""Roles that differentiate a function epsilon."""

Levels: TypeAlias = Callable[[Inputs], tuple[Array, Array]]
"""Returns alpha and sigma (B,) in place of the right ones."""


def with_levels(change: Levels) -> Predict:
    """Return the truth at other noise levels."""

    def predicted(exhibit: Exhibit) -> Array | None:
        alpha, sigma = _changed(change, exhibit.inputs)
        return exhibit.claim.truth(dataclasses.replace(exhibit.inputs, alpha=alpha, sigma=sigma))

    return predicted


def with_levels_in_weights(change: Levels) -> Predict:
    """Return the truth with the posterior of other noise levels: those that stand before it are right."""

    def predicted(exhibit: Exhibit) -> Array | None:
        i = exhibit.inputs
        alpha, sigma = _changed(change, i)
        if i.skew is not None:
            return None
        role, law = exhibit.claim.role, i.law
        if role == "posterior_mean":
            return law.posterior_mean(i.x, alpha, sigma)
        if role == "score":
            return per_point(-(i.sigma**-2), i.x - per_point(i.alpha, law.posterior_mean(i.x, alpha, sigma)))
        if exhibit.claim.label not in ("prop-1", "prop-3", "prop-5"):
            return None
        other = exhibit.claim.truth(dataclasses.replace(i, alpha=alpha, sigma=sigma))
        identity = SHAPES[role].identity(i)
        covariance = per_point((sigma**2 / alpha) ** 2, per_point(sigma**-2, identity) - other)
        return per_point(i.sigma**-2, identity) - per_point((i.alpha / i.sigma**2) ** 2, covariance)

    return predicted


def with_levels_in_factors(change: Levels) -> Predict:
    """Return the truth with other noise levels before a right posterior."""

    def predicted(exhibit: Exhibit) -> Array | None:
        i = exhibit.inputs
        alpha, sigma = _changed(change, i)
        role = exhibit.claim.role
        if i.skew is not None:
            return None
        if role == "score":
            return per_point(-(sigma**-2), i.x - per_point(alpha, i.law.posterior_mean(i.x, i.alpha, i.sigma)))
        if role not in SHAPES:
            return None
        identity = SHAPES[role].identity(i)
        excess = exhibit.truth.answer - per_point(i.sigma**-2, identity)
        factor = (alpha / sigma**2) ** 2 / (i.alpha / i.sigma**2) ** 2
        return per_point(sigma**-2, identity) + per_point(factor, excess)

    return predicted


def with_levels_in_epsilon(change: Levels) -> Predict:
    """Return the answer for epsilon at other noise levels: those that code itself uses are right."""

    def predicted(exhibit: Exhibit) -> Array | None:
        i, role = exhibit.inputs, exhibit.claim.role
        alpha, sigma = _changed(change, i)
        other = dataclasses.replace(i, alpha=alpha, sigma=sigma, handed_eps=None)
        if role in DIFFERENTIATING:
            return per_point(sigma / i.sigma, exhibit.claim.truth(other))
        if i.handed_eps is None:
            raise NotTriedError
        return exhibit.claim.truth(dataclasses.replace(i, handed_eps=other.eps))

    return predicted


def with_levels_in_mean(change: Levels) -> Predict:
    """Return the answer for a posterior mean that is made of the right epsilon with other noise levels."""

    def predicted(exhibit: Exhibit) -> Array | None:
        i = exhibit.inputs
        if i.handed_eps is None or i.skew is not None:
            raise NotTriedError
        alpha, sigma = _changed(change, i)
        mean = per_point(1 / alpha, i.x - per_point(sigma, i.handed_eps))
        eps = per_point(1 / i.sigma, i.x - per_point(i.alpha, mean))
        return exhibit.claim.truth(dataclasses.replace(i, handed_eps=eps))

    return predicted


def with_levels_in_head(change: Levels) -> Predict:
    """Return the answer for a trace head at other noise levels."""

    def predicted(exhibit: Exhibit) -> Array | None:
        i = exhibit.inputs
        if i.handed_head is None:
            raise NotTriedError
        head = i.law.posterior_second_moment(i.x, *_changed(change, i)) / i.dimension
        return exhibit.claim.truth(dataclasses.replace(i, handed_head=head))

    return predicted


def with_sigma_outside(change: Levels) -> Predict:
    """Return the answer for another sigma that the right derivative, or epsilon, is divided by."""

    def predicted(exhibit: Exhibit) -> Array | None:
        i = exhibit.inputs
        if exhibit.claim.role not in (*DIFFERENTIATING, "score"):
            raise NotTriedError
        return per_point(i.sigma / _changed(change, i)[1], exhibit.truth.answer)

    return predicted


def each_point(exhibit: Exhibit, change: Callable[[Inputs], Inputs]) -> Array:
    """Return the claim's truth for changed inputs, point by point: a change may depend on the noise level."""
    return np.concatenate([exhibit.claim.truth(change(one)) for one in _single(exhibit.inputs)])


def _single(i: Inputs) -> Iterator[Inputs]:
    names = [f.name for f in dataclasses.fields(i) if f.name not in ("law", "skew")]
    for point in range(len(i.x)):
        values: dict[str, Any] = {name: getattr(i, name) for name in names}
        single: dict[str, Any] = {n: None if v is None else v[point : point + 1] for n, v in values.items()}
        yield dataclasses.replace(i, **single)


def _changed(change: Levels, i: Inputs) -> tuple[Array, Array]:
    """Return other noise levels; where they are none, code has some guard that nobody can guess."""
    alpha, sigma = change(i)
    if not (np.isfinite(alpha).all() and np.isfinite(sigma).all() and (alpha > 0).all() and (sigma > 0).all()):
        raise NotTriedError
    return alpha, sigma
