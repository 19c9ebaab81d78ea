"""What an oracle of the flow answers: numbers, and how wrong they may be."""

from dataclasses import dataclass
from typing import NamedTuple

from afi_reference.distribution import Array


@dataclass(frozen=True, eq=False)
class FlowResult:
    """A quantity along the flow for a batch of points.

    Attributes
    ----------
    value
        Shape (B,), (B, d) or (B, d, d), float64.
    error
        Shape (B,): an estimate of the error of each point's value, meant to hold but not proven; in nats
        for log densities, as Euclidean norm for vectors and as Frobenius norm for matrices. The points, the
        data and ``alpha`` and ``sigma`` at both times count as exact.

        Closed forms: the rounding, propagated to first order. Integration: twice the difference between two
        runs whose tolerances are a factor of 100 apart, so that it measures the error of the cruder of them,
        plus the rounding of the finer one's ingredients.
    evaluations
        How often the score (with or without the Fisher information) was evaluated, over the whole batch.
    """

    value: Array
    error: Array
    evaluations: int


class PointAnswer(NamedTuple):
    """The same for one point."""

    value: Array
    error: float
    evaluations: int
