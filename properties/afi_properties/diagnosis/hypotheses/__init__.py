"""Wrong answers by what was mistaken: one module per kind of mistake, each a function that yields hypotheses."""

from collections.abc import Iterator

from afi_properties.diagnosis.hypotheses import (
    batches,
    bounds,
    covariances,
    derivatives,
    differences,
    levels,
    masses,
    mixtures,
    predictions,
    reweighted,
    underflow,
    weights,
)
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis

__all__ = ["Hypothesis", "all_hypotheses"]


_KINDS = (
    levels,
    predictions,
    mixtures,
    weights,
    reweighted,
    batches,
    covariances,
    derivatives,
    masses,
    underflow,
    bounds,
    differences,
)


def all_hypotheses() -> Iterator[Hypothesis]:
    """Yield all hypotheses, the likeliest kinds of mistake first."""
    for kind in _KINDS:
        yield from kind.hypotheses()
