"""Which hypothesis explains the limits of all cases: it leaves little of any deviation, and breaks nothing right."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from afi_properties.convergence import RESOLUTION
from afi_properties.diagnosis.explanation import Explanation
from afi_properties.diagnosis.flows.criteria import criteria
from afi_properties.diagnosis.flows.gradients import adjoints, jacobians, maps
from afi_properties.diagnosis.flows.hypothesis import FlowCase, Hypothesis
from afi_properties.diagnosis.flows.likelihoods import hypotheses as likelihoods
from afi_properties.judgement import norms
from afi_properties.problem import Array
from afi_properties.trajectory import Trajectory

LEFT = 0.03
"""The part of a deviation that a formula may leave, besides what the steps leave."""

_HYPOTHESES: dict[str, Callable[[], Iterator[Hypothesis]]] = {
    "log_likelihood": likelihoods,
    "adjoint": adjoints,
    "transport_map": maps,
    "transport_jacobian": jacobians,
    "transport_is_optimal": criteria,
}


@dataclasses.dataclass(frozen=True, eq=False)
class FlowExhibit:
    """A case with its right answer and what was answered.

    Attributes
    ----------
    right, scale
        The truth, (B, ...), and what an error is measured by, (B,).
    answers
        For more and more steps, the finest last, (B, ...) each; one if the function chooses its steps itself.
    """

    trajectory: Trajectory
    right: Array
    scale: Array
    answers: Sequence[Array]

    @property
    def deviation(self) -> Array:
        """Of the finest answer from the truth, (B,)."""
        return norms(self.answers[-1] - self.right)

    def left_by(self, other: Array) -> Array:
        """Distance of the answers' limit from another answer, (B,): of the nearest of their extrapolations."""
        finest = self.answers[-1]
        limits = [finest]
        if len(self.answers) > 1:
            change = finest - self.answers[-2]
            limits += [finest + change, finest + change / 3, finest + change / 15]
        return np.asarray(np.min([norms(limit - other) for limit in limits], axis=0))


def explain_flow(role: str, exhibits: Sequence[FlowExhibit]) -> Explanation | None:
    """Return the first hypothesis that explains all exhibits, or ``None``."""
    if role not in _HYPOTHESES or not exhibits:
        return None
    # In many dimensions few things look alike.
    order = sorted(exhibits, key=lambda e: (-e.trajectory.dimension, -e.right.size))
    cases = [(FlowCase(exhibit.trajectory, exhibit.right), exhibit) for exhibit in order]
    for hypothesis in _HYPOTHESES[role]():
        if all(_fits(hypothesis.of(case), exhibit) for case, exhibit in cases):
            return Explanation(hypothesis.fault, hypothesis.words)
    return None


def _fits(answer: Array | None, exhibit: FlowExhibit) -> bool:
    # Where a mistake cannot be made the answer must be right.
    expected = exhibit.right if answer is None else answer
    if expected.shape != exhibit.right.shape or not np.isfinite(expected).all():
        return False
    slack = LEFT * exhibit.deviation + 2 * RESOLUTION * exhibit.scale
    return bool((exhibit.left_by(expected) <= slack).all())
