"""Derivatives of epsilon that are not the Jacobian's product with v, or its trace."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.differences import epsilon
from afi_properties.diagnosis.hypotheses.hypothesis import DIFFERENTIATING, Hypothesis, NotTriedError, Predict
from afi_properties.diagnosis.terms import SHAPES
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture

_PRODUCTS = DIFFERENTIATING[:2]


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about what was differentiated, along what, and by whose rule."""
    for words, fault, a, b in _COMBINATIONS:
        yield Explanation(fault, f"equals the derivative of {words}"), _combination(a, b)
    yield Explanation(Fault.DETACHED, "equals v/σ²: the posterior mean is not differentiated"), _isotropic
    for factor in (1, 2):
        words = f"equals the gradient of {'' if factor == 2 else 'half '}the square of ⟨ε, v⟩"
        yield Explanation(Fault.TERM_ADDED, words), _of_square(factor, _inner)
        words = f"equals the gradient of {'' if factor == 2 else 'half '}the squared norm of ε"
        yield Explanation(Fault.TERM_ADDED, words), _of_norm(factor)
    words = "equals the truth times ⟨ε, v⟩"
    yield Explanation(Fault.TERM_ADDED, words), _of_square(1, _inner)
    words = "equals the truth plus the derivative of ε by time"
    yield Explanation(Fault.TERM_ADDED, words), _with_time
    for size in (50, 64, 100, 128, 256, 500, 512, 1000, 1024):
        words = f"equals the truth at points that are centred on a mean of the means of mini-batches of {size} atoms"
        yield Explanation(Fault.MINIBATCH, words), _recentred(size)
    for words, fault, factor_of in _LENGTHS:
        yield Explanation(fault, f"equals the truth {words}"), _scaled(factor_of)


def _combination(a: Callable[[Inputs], Array], b: Callable[[Inputs], Array]) -> Predict:
    """Return ``a I + b J / sigma``, as a product or as a trace."""

    def predicted(exhibit: Exhibit) -> Array:
        i, role = exhibit.inputs, exhibit.claim.role
        if role not in DIFFERENTIATING:
            raise NotTriedError
        return per_point(a(i), SHAPES[role].identity(i)) + per_point(b(i), exhibit.truth.answer)

    return predicted


_ONE: Callable[[Inputs], Array] = lambda i: np.ones_like(i.sigma)  # noqa: E731
_MEAN, _VELOCITY = ("the posterior mean", "v = αε − σȳ")

_COMBINATIONS: tuple[tuple[str, Fault, Callable[[Inputs], Array], Callable[[Inputs], Array]], ...] = (
    (_MEAN, Fault.PREDICTION_TYPE, lambda i: 1 / i.alpha, lambda i: -(i.sigma**2) / i.alpha),
    (f"{_MEAN} over σ", Fault.PREDICTION_TYPE, lambda i: 1 / i.alpha / i.sigma, lambda i: -i.sigma / i.alpha),
    (f"{_MEAN} over σ²", Fault.PREDICTION_TYPE, lambda i: 1 / i.alpha / i.sigma**2, lambda i: -1 / i.alpha),
    ("x − σε", Fault.PREDICTION_TYPE, _ONE, lambda i: -(i.sigma**2)),
    ("x − σε over σ", Fault.PREDICTION_TYPE, lambda i: 1 / i.sigma, lambda i: -i.sigma),
    ("x + σε over σ", Fault.PREDICTION_TYPE, lambda i: 1 / i.sigma, lambda i: i.sigma),
    ("x + ε", Fault.TERM_ADDED, _ONE, lambda i: i.sigma),
    ("x + ε over σ", Fault.TERM_ADDED, lambda i: 1 / i.sigma, _ONE),
    ("x − ε over σ", Fault.TERM_ADDED, lambda i: 1 / i.sigma, lambda i: -_ONE(i)),
    (
        _VELOCITY,
        Fault.PREDICTION_TYPE,
        lambda i: -i.sigma / i.alpha,
        lambda i: i.sigma * (i.alpha + i.sigma**2 / i.alpha),
    ),
    (f"{_VELOCITY} over σ", Fault.PREDICTION_TYPE, lambda i: -1 / i.alpha, lambda i: i.alpha + i.sigma**2 / i.alpha),
    ("ε − ȳ", Fault.PREDICTION_TYPE, lambda i: -1 / i.alpha, lambda i: i.sigma + i.sigma**2 / i.alpha),
    ("ε − ȳ over σ", Fault.PREDICTION_TYPE, lambda i: -1 / i.alpha / i.sigma, lambda i: 1 + i.sigma / i.alpha),
)


def _isotropic(exhibit: Exhibit) -> Array:
    i, role = exhibit.inputs, exhibit.claim.role
    if role not in DIFFERENTIATING:
        raise NotTriedError
    return per_point(i.sigma**-2, SHAPES[role].identity(i))


def _inner(i: Inputs) -> Array:
    return np.asarray((epsilon(i, i.x) * i.v).sum(axis=1))


def _of_square(factor: int, inner: Callable[[Inputs], Array]) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        if exhibit.claim.role not in _PRODUCTS:
            raise NotTriedError
        return per_point(factor * inner(exhibit.inputs), exhibit.truth.answer)

    return predicted


def _of_norm(factor: int) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        if exhibit.claim.role not in _PRODUCTS:
            raise NotTriedError
        i = exhibit.inputs
        return factor * exhibit.claim.truth(dataclasses.replace(i, v=epsilon(i, i.x)))

    return predicted


def _with_time(exhibit: Exhibit) -> Array:
    i, problem = exhibit.inputs, exhibit.problem
    if exhibit.claim.role not in _PRODUCTS:
        raise NotTriedError
    schedule, t = problem.schedule, problem.values["t"]
    step = np.minimum(1e-5 * np.maximum(t, 1e-3), np.minimum(t - schedule.t_min, schedule.t_max - t) / 2)
    if (step <= 0).any():
        raise NotTriedError

    def at(times: Array) -> Array:
        alpha, sigma = np.asarray(schedule.alpha(times)), np.asarray(schedule.sigma(times))
        return epsilon(dataclasses.replace(i, alpha=alpha, sigma=sigma), i.x)

    return exhibit.truth.answer + per_point(1 / (2 * step * i.sigma), at(t + step) - at(t - step))


def _recentred(size: int) -> Predict:
    def predicted(exhibit: Exhibit) -> Array | None:
        i = exhibit.inputs
        if not isinstance(i.law, DiracMixture):
            raise NotTriedError
        atoms = i.law.atoms
        if len(atoms) % size == 0 or len(atoms) < size:
            return None
        means = np.mean([atoms[k : k + size].mean(axis=0) for k in range(0, len(atoms), size)], axis=0)
        x = i.x + per_point(i.alpha, np.broadcast_to(means - atoms.mean(axis=0), i.x.shape))
        return exhibit.claim.truth(dataclasses.replace(i, x=x))

    return predicted


def _scaled(factor: Callable[[Inputs, Array], Array]) -> Predict:
    def predicted(exhibit: Exhibit) -> Array:
        if exhibit.claim.answer != "point":
            raise NotTriedError
        return per_point(factor(exhibit.inputs, exhibit.truth.answer), exhibit.truth.answer)

    return predicted


def _norm(a: Array) -> Array:
    return np.asarray(np.sqrt((a * a).sum(axis=1)))


def _within(bound: float) -> Callable[[Inputs, Array], Array]:
    return lambda i, answer: bound / np.maximum(_norm(answer), bound)


_LENGTHS: tuple[tuple[str, Fault, Callable[[Inputs, Array], Array]], ...] = (
    ("normalised to length 1", Fault.CONSTANT, lambda i, a: 1 / _norm(a)),
    ("times the norm of v", Fault.CONSTANT, lambda i, a: _norm(i.v)),
    ("over the squared norm of v", Fault.CONSTANT, lambda i, a: 1 / _norm(i.v) ** 2),
    *(
        (f"clipped to a norm of {bound:g}", Fault.CLIPPED, _within(bound))
        for bound in (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1e3, 1e4)
    ),
)
