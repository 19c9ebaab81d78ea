"""Exponentials that underflow because their largest exponent was not subtracted, and what guards make of that."""

from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, NotTriedError, Predict
from afi_properties.diagnosis.hypotheses.posteriors import CONVENTIONS, Posterior, answer_with, posterior_of
from afi_properties.problem import Array

_DTYPES = {"float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": np.float32}


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about what exponents are relative to, and about guards."""
    for words, shift in _SHIFTS:
        for guard, guarded in _GUARDS:
            for convention in CONVENTIONS:
                sentence = f"equals the truth with exponentials {words}, which underflow, {guard}"
                yield Explanation(Fault.UNDERFLOW, sentence), _answer(shift, guarded, convention)


def _answer(shift: Callable[[Posterior], Array], guarded: Callable[[Array, Array], Array], convention: str) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        posterior, dtype = posterior_of(exhibit), _DTYPES[exhibit.precision.name]
        prior = np.exp(posterior.log_prior)
        with np.errstate(all="ignore"):
            exponentials = (prior * np.exp(shift(posterior)).astype(dtype)).astype(dtype).astype(np.float64)
        weights = guarded(exponentials, prior)
        if not np.isfinite(weights).all():
            raise NotTriedError
        return answer_with(exhibit, weights, convention)

    return predicted


_SHIFTS: tuple[tuple[str, Callable[[Posterior], Array]], ...] = (
    ("of the exponents themselves", lambda p: p.exponents),
    ("relative to the largest of the batch", lambda p: p.exponents - p.exponents.max()),
    ("relative to the first atom", lambda p: p.exponents - p.exponents[:, :1]),
    ("relative to their mean", lambda p: p.exponents - p.exponents.mean(axis=1, keepdims=True)),
)


def _at_least(small: float) -> Callable[[Array, Array], Array]:
    return lambda exponentials, prior: exponentials / np.maximum(exponentials.sum(axis=1, keepdims=True), small)


def _plus(small: float) -> Callable[[Array, Array], Array]:
    return lambda exponentials, prior: exponentials / (exponentials.sum(axis=1, keepdims=True) + small)


_TINY = (float(np.finfo(np.float64).tiny), float(np.finfo(np.float32).tiny), 1e-300, 1e-100, 1e-38, 1e-30, 1e-20)


def _where_zero(other: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    def guarded(exponentials: Array, prior: Array) -> Array:
        total = exponentials.sum(axis=1, keepdims=True)
        return np.where(total > 0, exponentials / np.where(total > 0, total, 1), other(exponentials, prior))

    return guarded


_GUARDS: tuple[tuple[str, Callable[[Array, Array], Array]], ...] = (
    ("with 0 for 0/0", _where_zero(lambda e, w: np.zeros_like(e))),
    ("with uniform weights for 0/0", _where_zero(lambda e, w: np.full_like(e, 1 / e.shape[1]))),
    ("with the prior weights for 0/0", _where_zero(lambda e, w: w)),
    ("with the first atom for 0/0", _where_zero(lambda e, w: np.eye(1, e.shape[1]))),
    *((f"with a sum of at least {s:.3g}", _at_least(s)) for s in _TINY),
    *((f"with {s:.3g} added to their sum", _plus(s)) for s in _TINY),
)
