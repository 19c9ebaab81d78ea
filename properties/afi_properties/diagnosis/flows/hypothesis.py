"""A hypothesis about a trajectory: a mistake, and the answer that it would give."""

import functools
from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np

from afi_properties.diagnosis.explanation import Fault
from afi_properties.diagnosis.flows.route import Arrival, follow
from afi_properties.problem import Array
from afi_properties.trajectory import Trajectory


class FlowCase:
    """A trajectory with its right answer, and what was followed already."""

    def __init__(self, trajectory: Trajectory, right: Array) -> None:
        self.t, self.right = trajectory, right
        self._known: dict[Hashable, Arrival] = {}

    def follow(self, key: Hashable, **options: object) -> Arrival:
        """Follow the trajectory as :func:`follow` does, once for each key."""
        if key not in self._known:
            self._known[key] = follow(self.t, **options)  # type: ignore[arg-type]
        return self._known[key]

    @functools.cached_property
    def end(self) -> Array:
        """Where the right flow ends, (B, d)."""
        return self.t.map.value

    @functools.cached_property
    def jacobian(self) -> Array:
        """Of the right flow, (B, d, d)."""
        return self.t.jacobian.value


class Hypothesis(NamedTuple):
    """A mistake; ``answer`` is ``None`` where it cannot be made."""

    fault: Fault
    words: str
    answer: Callable[[FlowCase], Array | None]

    def of(self, case: FlowCase) -> Array | None:
        """Return the answer that the mistake gives, if it can be made on this case."""
        with np.errstate(all="ignore"):
            try:
                answer = self.answer(case)
            except (ValueError, np.linalg.LinAlgError, OverflowError):  # a time that another schedule does not have
                return None
        return None if answer is None else np.asarray(answer, dtype=np.float64)
