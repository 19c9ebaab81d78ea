"""Answers kept within bounds that they can rightly leave."""

from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, Predict
from afi_properties.problem import Array


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about clipped answers."""
    yield (
        Explanation(Fault.CLIPPED, "equals the truth where that is positive, else 0"),
        _answer(lambda a: np.maximum(a, 0)),
    )
    yield Explanation(Fault.CLIPPED, "equals the truth's absolute value"), _answer(np.abs)
    yield Explanation(Fault.CLIPPED, "equals the truth with its negative eigenvalues set to 0"), _semidefinite
    for bound in (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 255.0, 1e3, 1e4, 1e5, 1e6):
        yield Explanation(Fault.CLIPPED, f"equals the truth clipped to ±{bound:g}"), _answer(_within(bound))


def _answer(change: Callable[[Array], Array]) -> Predict:
    return lambda exhibit: change(exhibit.truth.answer)


def _within(bound: float) -> Callable[[Array], Array]:
    return lambda answer: np.clip(answer, -bound, bound)


def _semidefinite(exhibit: Exhibit) -> Array | None:
    answer = exhibit.truth.answer
    if answer.ndim != 3:
        return None
    values, vectors = np.linalg.eigh(answer.astype(np.float64))
    return np.asarray((vectors * np.maximum(values, 0)[:, None, :]) @ vectors.swapaxes(1, 2))
