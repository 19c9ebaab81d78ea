"""Wrong answers by what was mistaken: one module per kind of mistake, each a function that yields hypotheses."""

from collections.abc import Iterator

from afi_properties.diagnosis.hypotheses import (
    batches,
    bounds,
    covariances,
    differences,
    levels,
    masses,
    mixtures,
    predictions,
    weights,
)
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis

__all__ = ["Hypothesis", "all_hypotheses"]


def all_hypotheses() -> Iterator[Hypothesis]:
    """Yield all hypotheses, the likeliest kinds of mistake first."""
    for kind in (levels, predictions, mixtures, weights, batches, masses, covariances, differences, bounds):
        yield from kind.hypotheses()
