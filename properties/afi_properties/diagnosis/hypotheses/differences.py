"""Derivatives of epsilon, or of the score, by a step of fixed size."""

import functools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, NotTriedError, Predict, Rounded
from afi_properties.diagnosis.terms import apply_matrix
from afi_properties.inputs import Inputs
from afi_properties.judgement import LIMIT, norms
from afi_properties.problem import Array
from afi_reference.dirac import DiracMixture

_EPSILONS = (2.0**-52, 2.0**-23)
STEPS = tuple(10.0**-k for k in range(1, 11)) + tuple(e ** (1 / n) for e in _EPSILONS for n in (2, 3))
MORE_STEPS = tuple(m * 10.0**-k for k in range(1, 11) for m in (2, 3, 5))
LARGEST = 16
"""Largest dimension for which matrices are made column by column."""

Function: TypeAlias = Callable[[Array], Array]
Difference: TypeAlias = Callable[[Function, Array, Array], Array]


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about the step."""
    for step in (*STEPS, *MORE_STEPS):
        for unit, scale in _UNITS if step in STEPS else _UNITS[:1]:
            for fault, kind, difference in _KINDS:
                words = f"equals the {kind} difference with a step of {step:.3g}{unit}"
                yield Explanation(fault, words), _by(step, scale, difference)
    yield Explanation(Fault.STEP, "is the difference with a step so small that nothing is left: 0"), _nothing


def _forward(eps: Function, x: Array, h: Array) -> Array:
    return eps(x + h) - eps(x)


def _backward(eps: Function, x: Array, h: Array) -> Array:
    return eps(x) - eps(x - h)


def _central(eps: Function, x: Array, h: Array) -> Array:
    return (eps(x + h) - eps(x - h)) / 2


def _not_halved(eps: Function, x: Array, h: Array) -> Array:
    return eps(x + h) - eps(x - h)


def _imaginary(eps: Function, x: Array, h: Array) -> Array:
    return np.asarray(eps(x + 1j * h).imag)


_KINDS: tuple[tuple[Fault, str, Difference], ...] = (
    (Fault.STEP, "central", _central),
    (Fault.STEP, "forward", _forward),
    (Fault.STEP, "backward", _backward),
    (Fault.TERM_DOUBLED, "central, not halved,", _not_halved),
    (Fault.STEP, "complex", _imaginary),
)

_UNITS: tuple[tuple[str, Callable[[Inputs], Array]], ...] = (
    ("", lambda i: np.ones_like(i.sigma)),
    (" σ", lambda i: i.sigma),
    (" times the largest |x|, at least 1", lambda i: np.maximum(1, np.abs(i.x).max(axis=1))),
    (" times |x|", lambda i: np.sqrt((i.x * i.x).sum(axis=1))),
)


def _by(step: float, scale: Callable[[Inputs], Array], difference: Difference) -> Predict:
    def predicted(exhibit: Exhibit) -> Rounded:
        i, role = exhibit.inputs, exhibit.claim.role
        if not role.startswith("fisher") or role.endswith(("endpoint", "matching")):
            raise NotTriedError
        steps = step * scale(i)

        def eps(x: Array) -> Array:
            return epsilon(i, x)

        def along(v: Array) -> Array:
            return per_point(1 / (steps * i.sigma), difference(eps, i.x, per_point(steps, v)))

        lost = _rounding_of_epsilon(exhibit) / (steps * i.sigma)
        lost = lost if difference is not _imaginary else 0 * lost
        if exhibit.claim.answer == "point":
            return Rounded(along(i.v), LIMIT * lost)
        if i.dimension > LARGEST:
            raise NotTriedError
        columns = [along(np.broadcast_to(e, i.x.shape)) for e in np.eye(i.dimension)]
        matrix = np.stack(columns, axis=2)
        answer = matrix if exhibit.claim.answer == "matrix" else apply_matrix("fisher_trace", matrix, i)
        return Rounded(answer, LIMIT * np.sqrt(i.dimension) * lost)

    return predicted


@functools.lru_cache(maxsize=128)
def _rounding_of_epsilon(exhibit: Exhibit) -> Array:
    """Return how far rounding moves epsilon, (B,): a difference over a small step makes much of it."""
    right = epsilon(exhibit.inputs, exhibit.inputs.x)
    spread = exhibit.precision.unit_roundoff * norms(right)
    for draw in range(3):
        inputs = exhibit.rounded(draw).inputs
        spread = np.maximum(spread, norms(epsilon(inputs, inputs.x) - right))
    return np.asarray(4 * spread)  # code rounds distances and sums on its way, too


def _nothing(exhibit: Exhibit) -> Array:
    if not exhibit.claim.role.startswith("fisher"):
        raise NotTriedError
    return np.zeros_like(exhibit.truth.answer)


def epsilon(i: Inputs, x: Array) -> Array:
    """Return what plays epsilon at other points ``x`` (B, d), which may be complex."""
    if i.skew is not None:
        return i.skew.value(x, i.sigma)
    if not np.iscomplexobj(x):
        return per_point(-i.sigma, i.law.score(x, i.alpha, i.sigma))
    if not isinstance(i.law, DiracMixture) or i.law.weights is None:
        raise NotTriedError
    answers = []
    for point, real, a, s in zip(x, i.x, i.alpha, i.sigma, strict=True):
        near = i.law.atoms[((real - a * i.law.atoms) ** 2).sum(axis=1).argmin()]
        differences = i.law.atoms - near
        noise = point - a * near
        # Relative to the nearest atom, so that nothing large cancels.
        logits = np.log(i.law.weights) + (a * differences @ noise - a**2 * (differences**2).sum(axis=1) / 2) / s**2
        weights = np.exp(logits - logits.real.max())
        answers.append((noise - a * (weights / weights.sum()) @ differences) / s)
    return np.stack(answers)
