"""Explicit Runge-Kutta integration of order 8 (DOP853), with a limit on what it may cost."""

from collections.abc import Callable

from scipy.integrate import DOP853

from afi_reference.distribution import Array


class FlowError(RuntimeError):
    """The flow could not be followed at the accuracy asked for."""


class Integrator:
    """Integrates initial value problems to one tolerance, and counts evaluations.

    Parameters
    ----------
    tolerance
        Of a step: relative to the state, and absolute in units of it.
    max_evaluations
        For all problems that this object integrates.
    """

    def __init__(self, tolerance: float, max_evaluations: int) -> None:
        self.tolerance = tolerance
        self.max_evaluations = max_evaluations
        self.evaluations = 0

    def __call__(self, slope: Callable[[float, Array], Array], start: float, end: float, state: Array) -> Array:
        """Return the state at ``end``, of the shape of ``state`` (n,) at ``start``; either may be larger.

        Raises
        ------
        FlowError
            If it takes too many evaluations, or steps below the spacing of floats.
        """
        if start == end:
            return state
        solver = DOP853(slope, start, state, end, rtol=self.tolerance, atol=self.tolerance)
        before = self.evaluations
        while solver.status == "running":
            message = solver.step()
            self.evaluations = before + solver.nfev
            if solver.status == "failed" or self.evaluations > self.max_evaluations:
                raise FlowError(
                    f"the flow from log-SNR {-2 * start:.4g} to {-2 * end:.4g} was stopped at "
                    f"{-2 * solver.t:.4g}, after {self.evaluations} evaluations (limit "
                    f"{self.max_evaluations}): {message or 'too many evaluations'}. The usual cause: the point "
                    "lies between atoms many noise scales apart, where next to no probability is and the flow "
                    "is stiff. Start where q_t has its mass, or at a smaller log-SNR, or raise max_evaluations."
                )
        final: Array = solver.y
        return final
