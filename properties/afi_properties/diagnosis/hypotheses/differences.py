"""Derivatives of epsilon, or of the score, by a step of fixed size."""

from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, Predict
from afi_properties.inputs import Inputs
from afi_properties.problem import Array

_EPSILONS = (2.0**-52, 2.0**-23)
STEPS = tuple(10.0**-k for k in range(1, 10)) + tuple(e ** (1 / n) for e in _EPSILONS for n in (2, 3))
LARGEST = 16


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about the step."""
    for step in STEPS:
        for kind, difference in _KINDS:
            yield (
                Explanation(Fault.STEP, f"equals the {kind} difference with a step of {step:.3g}"),
                _by(step, difference),
            )


def _forward(eps: Callable[[Array], Array], x: Array, h: Array) -> Array:
    return eps(x + h) - eps(x)


def _backward(eps: Callable[[Array], Array], x: Array, h: Array) -> Array:
    return eps(x) - eps(x - h)


def _central(eps: Callable[[Array], Array], x: Array, h: Array) -> Array:
    return (eps(x + h) - eps(x - h)) / 2


_KINDS = (("central", _central), ("forward", _forward), ("backward", _backward))


def _by(step: float, difference: Callable[[Callable[[Array], Array], Array, Array], Array]) -> Predict:
    def predicted(exhibit: Exhibit) -> Array | None:
        i, role = exhibit.inputs, exhibit.claim.role
        if not role.startswith("fisher") or role.endswith(("endpoint", "matching")):
            return None

        def eps(x: Array) -> Array:
            return _epsilon(i, x)

        def along(v: Array) -> Array:
            return per_point(1 / (step * i.sigma), difference(eps, i.x, step * v))

        if exhibit.claim.answer == "point":
            return along(i.v)
        if i.dimension > LARGEST:
            return None
        columns = [along(np.broadcast_to(e, i.x.shape)) for e in np.eye(i.dimension)]
        matrix = np.stack(columns, axis=2)
        return matrix if exhibit.claim.answer == "matrix" else np.trace(matrix, axis1=1, axis2=2)

    return predicted


def _epsilon(i: Inputs, x: Array) -> Array:
    if i.skew is not None:
        return i.skew.value(x, i.sigma)
    return per_point(-i.sigma, i.law.score(x, i.alpha, i.sigma))
