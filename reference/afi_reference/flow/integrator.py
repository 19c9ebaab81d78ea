"""Integration of initial value problems: explicit of high order, implicit where that would crawl."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from afi_reference.distribution import Array

# Rates of contraction, per unit of rho, at which implicit steps begin and cease to be cheaper (measured).
_STIFF_RATE = 500.0
_MILD_RATE = 100.0
_STEPS_BETWEEN_CHECKS = 8
# An implicit step is of order 5 only, and its rounding is that of the rate: what it can and need attain.
_IMPLICIT_SLACK = 1e3
_LARGEST_EXPONENT = 700.0


class FlowError(RuntimeError):
    """The flow could not be followed at the accuracy asked for."""


@dataclass(frozen=True, eq=False)
class Problem:
    """An initial value problem whose rates of contraction are those of the flow.

    Attributes
    ----------
    slope
        Of ``(rho, y)``, shape of y: (n,).
    gradient
        Of ``(rho, y)``: the gradient of the flow, shape (d, d), symmetric.
    jacobian
        The Jacobian of the slope by y, shape (n, n), from the gradient. Parts that couple y to what does not
        react on it may be left out: Newton's method still converges, and to the same solution.
    sizes
        Of ``(rho, y)``: what an absolute error of an implicit step is measured in, a number or shape (n,).
    """

    slope: Callable[[float, Array], Array]
    gradient: Callable[[float, Array], Array]
    jacobian: Callable[[Array], Array]
    sizes: Callable[[float, Array], Array | float] = lambda rho, y: 1.0


class Integrator:
    """Integrates to one tolerance, and counts evaluations.

    DOP853 (order 8), and Radau (order 5, implicit) through layers where the flow contracts so fast that the
    stability of DOP853 would set its steps.

    Parameters
    ----------
    tolerance
        Of an explicit step: relative to the state, and absolute in units of it; of an implicit one 1000 times
        that.
    max_evaluations
        Of the slope, for all problems that this object integrates.

    Attributes
    ----------
    evaluations
        Of the slope, so far.
    was_stiff
        Whether any implicit step was taken.
    growth
        How much a difference may have grown, at most, on the way of the last problem: ``exp`` of the integral of the
        positive part of the flow's largest rate of expansion (its logarithmic norm), which is looked at now and then.
    """

    def __init__(self, tolerance: float, max_evaluations: int) -> None:
        self.tolerance = tolerance
        self.max_evaluations = max_evaluations
        self.evaluations = 0
        self.was_stiff = False
        self._log_growth = 0.0

    @property
    def growth(self) -> float:
        """See the class."""
        return math.exp(min(self._log_growth, _LARGEST_EXPONENT))

    def __call__(self, problem: Problem, start: float, end: float, state: Array) -> Array:
        """Return the state at ``end``, of the shape of ``state`` (n,) at ``start``; either may be larger.

        Raises
        ------
        FlowError
            If it takes too many evaluations, or steps below the spacing of floats.
        """
        rho, stiff = start, False
        self._log_growth = 0.0
        while rho != end:
            rho, state = self._integrate(problem, rho, end, state, stiff=stiff)
            stiff = not stiff
        return state

    def _integrate(
        self, problem: Problem, start: float, end: float, state: Array, *, stiff: bool
    ) -> tuple[float, Array]:
        """Integrate until the end, or until the other method is the better one."""
        # Here, because importing this package should not take what importing scipy.integrate takes.
        from scipy.integrate import DOP853, Radau

        def slope(rho: float, y: Array) -> Array:
            self.evaluations += 1
            if self.evaluations > self.max_evaluations:
                raise FlowError(_message(start, end, rho, self.evaluations, "too many evaluations"))
            return problem.slope(rho, y)

        if stiff:
            self.was_stiff = True
            tolerance = _IMPLICIT_SLACK * self.tolerance
            solver = Radau(
                slope,
                start,
                state,
                end,
                rtol=tolerance,
                atol=tolerance * problem.sizes(start, state),
                jac=lambda rho, y: problem.jacobian(problem.gradient(rho, y)),
            )
        else:
            solver = DOP853(slope, start, state, end, rtol=self.tolerance, atol=self.tolerance)
        steps, looked_at, expansion = 0, start, 0.0
        while solver.status == "running":
            message = solver.step()
            steps += 1
            if solver.status == "failed":
                raise FlowError(_message(start, end, solver.t, self.evaluations, message))
            if solver.status == "finished" or steps % _STEPS_BETWEEN_CHECKS == 0:
                rates = -solver.direction * np.linalg.eigvalsh(problem.gradient(solver.t, solver.y))
                before, expansion = expansion, max(0.0, -float(rates.min()))
                self._log_growth += max(before, expansion) * abs(solver.t - looked_at)
                looked_at = solver.t
                if solver.status == "finished":
                    break
                if rates.max() < _MILD_RATE if stiff else rates.max() > _STIFF_RATE:
                    break
        return solver.t, solver.y


def _message(start: float, end: float, stopped: float, evaluations: int, reason: str) -> str:
    return (
        f"the flow from log-SNR {-2 * start:.4g} to {-2 * end:.4g} was stopped at {-2 * stopped:.4g} after "
        f"{evaluations} evaluations: {reason}. The usual cause: the point lies between atoms tens of thousands of "
        "noise scales apart, where next to no probability is and the flow is stiff. Start where q_t has its mass, "
        "or at a smaller log-SNR, or raise max_evaluations."
    )
