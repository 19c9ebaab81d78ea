"""The flow of one point by numerical integration, for any distribution."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from afi_reference.distribution import Array, Distribution
from afi_reference.flow.equation import FlowEquation
from afi_reference.flow.frame import Frame
from afi_reference.flow.integrator import Integrator, Problem
from afi_reference.flow.level import Level
from afi_reference.flow.result import PointAnswer

_EPS = float(np.finfo(np.float64).eps)
_TOLERANCE = 1e-13
_CRUDE_TOLERANCE = 1e-11
# Good enough to tell near which atom a trajectory ends, and the scale of the density there.
_SCOUT_TOLERANCE = 1e-8
# What no comparison of two runs shows: roundings of a frame's coordinates, of r and of the answer's last operations,
# and a few steps' tolerance.
_UNSEEN = 32 * _EPS + 8 * _TOLERANCE

_Quantity: TypeAlias = Callable[["_Run"], tuple[Array, float]]


@dataclass(frozen=True, eq=False)
class IntegratedFlow:
    """The flow of one point ``x`` of shape (d,) from ``start`` to ``end``, in either direction.

    Parameters
    ----------
    distribution
        The data.
    max_evaluations
        For each quantity and tolerance.
    """

    distribution: Distribution
    max_evaluations: int = 200_000

    def transport(self, x: Array, start: Level, end: Level) -> PointAnswer:
        """Return the point at ``end``, shape (d,)."""
        return self._twice(x, start, end, _Run.transport)

    def jacobian(self, x: Array, start: Level, end: Level) -> PointAnswer:
        """Return ``d x_end / d x_start``, shape (d, d)."""
        return self._twice(x, start, end, _Run.jacobian)

    def adjoint(self, x: Array, loss_grad: Array, start: Level, end: Level) -> PointAnswer:
        """Return ``(d x_end / d x_start)^T loss_grad``, shape (d,)."""
        return self._twice(x, start, end, lambda run: run.adjoint(loss_grad))

    def log_determinant(self, x: Array, start: Level, end: Level) -> PointAnswer:
        """Return ``log|det d x_end / d x_start|`` as the integral of the trace, shape ()."""
        return self._twice(x, start, end, _Run.log_determinant)

    def log_likelihood(self, x: Array, start: Level, end: Level) -> PointAnswer:
        """Return ``log q_start(x)`` in nats from ``log q_end`` and the change of variables, shape ()."""
        return self._twice(x, start, end, _Run.log_likelihood)

    def _twice(self, x: Array, start: Level, end: Level, quantity: _Quantity) -> PointAnswer:
        scout = Integrator(_SCOUT_TOLERANCE, self.max_evaluations)
        equation = FlowEquation(self._frame(x, start, end, scout))
        answers, evaluations = [], scout.evaluations
        for tolerance in (_CRUDE_TOLERANCE, _TOLERANCE):
            integrator = Integrator(tolerance, self.max_evaluations)
            answers.append(quantity(_Run(equation, integrator, x, start, end)))
            evaluations += integrator.evaluations
        (crude, _), (fine, rounding) = answers
        error = 2 * float(np.linalg.norm(np.ravel(fine - crude))) + rounding
        return PointAnswer(fine, error, evaluations)

    def _frame(self, x: Array, start: Level, end: Level, scout: Integrator) -> Frame:
        """Return the frame that suits the trajectory's end with less noise, which may be yet unknown."""
        frame = Frame.around(self.distribution, x, start)
        if start.ratio <= end.ratio:
            return frame
        equation = FlowEquation(frame)
        run = _Run(equation, scout, x, start, end)
        z = run.state() * equation.scale(run.last)
        return frame.around_state(z, end.ratio, self.distribution)


class _Run:
    """One integration in one frame; each quantity comes with the rounding of its ingredients."""

    def __init__(self, equation: FlowEquation, integrator: Integrator, x: Array, start: Level, end: Level) -> None:
        self.equation, self.integrator = equation, integrator
        self.start, self.end = start, end
        self.first, self.last = math.log(start.ratio), math.log(end.ratio)
        self.d = len(x)
        z = start.data_coordinates(x, equation.frame.origin)
        self.initial: Array = z / equation.scale(self.first)
        # From derivatives of the state to derivatives of the point: x = alpha (origin + R n).
        self.stretch = (end.alpha / start.alpha) * (equation.scale(self.last) / equation.scale(self.first))

    def state(self) -> Array:
        problem = Problem(self.equation.velocity, self.equation.gradient, lambda gradient: gradient)
        return self.integrator(problem, self.first, self.last, self.initial)

    def transport(self) -> tuple[Array, float]:
        final = self.state()
        unit = self.end.alpha * self.equation.scale(self.last)
        origin = self.end.alpha * self.equation.frame.origin
        rounding = 2 * _EPS * float(np.linalg.norm(origin)) + self._unseen * unit * (1 + float(np.linalg.norm(final)))
        return origin + unit * final, rounding

    def jacobian(self) -> tuple[Array, float]:
        d = self.d

        def slope(rho: float, y: Array) -> Array:
            n, matrix = y[:d], y[d:].reshape(d, d)
            gradient = self.equation.gradient(rho, n)
            return np.concatenate([self.equation.velocity(rho, n), (gradient @ matrix).ravel()])

        def blocks(gradient: Array) -> Array:
            return _block_diagonal(gradient, np.kron(gradient, np.eye(d)))

        y = np.concatenate([self.initial, np.eye(d).ravel()])
        final = self.integrator(Problem(slope, self._gradient, blocks), self.first, self.last, y)
        jacobian = self.stretch * final[d:].reshape(d, d)
        return jacobian, self._unseen * (self.stretch + float(np.linalg.norm(jacobian)))

    def adjoint(self, loss_grad: Array) -> tuple[Array, float]:
        """Follow eq. 18 from the end, where the loss is, back to the start."""
        d = self.d

        def slope(rho: float, y: Array) -> Array:
            n, costate = y[:d], y[d:]
            product = self.equation.gradient_product(rho, n, costate)
            return np.concatenate([self.equation.velocity(rho, n), -product])

        def blocks(gradient: Array) -> Array:
            return _block_diagonal(gradient, -gradient)

        # Eq. 18 is linear in the adjoint state: of unit length, it is of the tolerance's order of magnitude.
        length = float(np.linalg.norm(loss_grad))
        if length == 0:
            return np.zeros(d), 0.0
        final = self.state()
        if self.integrator.was_stiff:
            # Backwards, such a layer blows up every rounding: the state could not be retraced. Forwards, the
            # variations that die in it do just that.
            jacobian, rounding = self.jacobian()
            return jacobian.T @ loss_grad, length * rounding
        y = np.concatenate([final, loss_grad / length])
        y = self.integrator(Problem(slope, self._gradient, blocks), self.last, self.first, y)
        # Back at the start, the state has missed where it came from; a tolerance's worth is in the tolerance.
        missed = float(np.linalg.norm(y[:d] - self.initial)) * float(np.linalg.norm(y[d:]))
        unit = length * self.stretch
        return unit * y[d:], unit * (missed + self._unseen * (1 + float(np.linalg.norm(y[d:]))))

    def log_determinant(self) -> tuple[Array, float]:
        value, rounding, _ = self._determinant_and_state()
        return np.asarray(value), self.integrator.growth * rounding

    def log_likelihood(self) -> tuple[Array, float]:
        determinant, rounding, final = self._determinant_and_state()
        z = self.equation.scale(self.last) * final
        density = self.equation.frame.log_density(z, self.end.ratio) - self.d * math.log(self.end.alpha)
        rounding += _UNSEEN * (self.d + abs(density) + float(np.square(final).sum()))
        return np.asarray(density + determinant), rounding

    def _determinant_and_state(self) -> tuple[float, float, Array]:
        d = self.d

        def slope(rho: float, y: Array) -> Array:
            n = y[:d]
            return np.append(self.equation.velocity(rho, n), self.equation.divergence(rho, n))

        def blocks(gradient: Array) -> Array:
            return _block_diagonal(gradient, np.zeros((1, 1)))

        def sizes(rho: float, y: Array) -> Array:
            # Where the flow contracts by e^(10^6) the logarithm of that is not known to 10^-13.
            return np.append(np.ones(d), np.inf)

        problem = Problem(slope, self._gradient, blocks, sizes)
        y = self.integrator(problem, self.first, self.last, np.append(self.initial, 0.0))
        stretch = self.d * math.log(self.stretch)
        rounding = _UNSEEN * (d + abs(stretch) + abs(y[d]))
        return float(stretch + y[d]), float(rounding), y[:d]

    @property
    def _unseen(self) -> float:
        # What is lost early on grows as any difference does: two runs that end by the same atom, of two that were
        # equally near, say nothing. (A likelihood does not see it: a neighbouring trajectory has nearly the same.)
        return _UNSEEN * self.integrator.growth

    def _gradient(self, rho: float, y: Array) -> Array:
        return self.equation.gradient(rho, y[: self.d])


def _block_diagonal(first: Array, second: Array) -> Array:
    corner = np.zeros((len(first), len(second)))
    return np.block([[first, corner], [corner.T, second]])
