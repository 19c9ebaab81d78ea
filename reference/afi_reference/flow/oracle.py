"""The oracle of the flow: a distribution, a schedule, and every quantity between two times."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from afi_reference.distribution import Array, Distribution, as_points
from afi_reference.flow.closed_form import GaussianFlow
from afi_reference.flow.integrated import IntegratedFlow
from afi_reference.flow.level import Level
from afi_reference.flow.result import FlowResult, PointAnswer
from afi_reference.schedules.schedule import Schedule


@dataclass(frozen=True, eq=False)
class FlowOracle:
    """The probability-flow ODE (eq. 5) of a distribution under a schedule, between any two times.

    ``t_start`` may be before or after ``t_end``. All quantities depend on the schedule by alpha and sigma at
    these two times only. Results are float64 with an estimate of the error, see
    :class:`~afi_reference.flow.FlowResult`.

    What can be had: towards data the map of a Dirac mixture contracts onto the atoms, by ``sigma / alpha``;
    towards noise it expands by as much. Both are well-conditioned in units of the noise, which is what is
    integrated, at any log-SNR, for points where ``q_t`` has its mass.

    Between atoms at distance D differences grow, towards data, at the rate ``D^2 / 4r^2`` per unit of
    ``rho = log r``, r = sigma / alpha: in total by ``exp(D^2 / 8r^2)``, whatever the time variable. So a point by
    the boundary between two atoms' basins has its rounding blown up, and the error says so: it contains the
    tolerance times the growth that was met on the way. Towards noise a start between atoms (there ``q_t`` is
    ``exp(-D^2 / 8r^2)``) loses the same factor: all of it flows into the boundary and on within it. That is stiff
    but well-conditioned, and implicit steps follow it, at ten times the cost, also at log-SNR 20 for D = 1; the
    Jacobian across the boundary is 0, the adjoint state comes from the forward variations, and likelihoods, then
    of the order of -D^2 / 8r^2, close to 1e-9 of that. Where it ends: posterior weights on the boundary are known to
    ``eps D^2 / r^2``, 1e-7 at log-SNR 20 and nothing at 36, and narrow Gaussians far apart (D^2 above 10^6 of their
    variances) can take minutes or a ``FlowError``.

    Parameters
    ----------
    distribution
        The data.
    schedule
        Where times get their noise levels from.
    closed_form
        Whether a single Gaussian or atom gets its closed form; False integrates that, too.
    max_evaluations
        Limit on the evaluations of the score for each point, quantity and tolerance.
    """

    distribution: Distribution
    schedule: Schedule
    closed_form: bool = True
    max_evaluations: int = 200_000

    def transport(self, x: Array, t_start: float, t_end: float) -> FlowResult:
        """Follow the flow: where it takes ``x`` (B, d) from ``t_start`` to ``t_end`` (eq. 21).

        Returns
        -------
        FlowResult
            ``x_end``, shape (B, d).

        Raises
        ------
        ValueError
            If the shape of ``x`` does not fit or a time is not in the schedule.
        FlowError
            If integration takes more evaluations than allowed.
        """
        flow = self._flow()
        return self._collect(x, t_start, t_end, lambda p, _, s, e: flow.transport(p, s, e))

    def transport_jacobian(self, x: Array, t_start: float, t_end: float) -> FlowResult:
        """Differentiate :meth:`transport` at ``x`` (B, d) (eq. 53, with B of eq. 22 corrected).

        Returns
        -------
        FlowResult
            ``d x_end / d x_start``, shape (B, d, d): rows belong to ``x_end``. Not symmetric in general.

        Raises
        ------
        ValueError
            If the shape of ``x`` does not fit or a time is not in the schedule.
        FlowError
            If integration takes more evaluations than allowed.
        """
        flow = self._flow()
        return self._collect(x, t_start, t_end, lambda p, _, s, e: flow.jacobian(p, s, e))

    def adjoint(self, x: Array, loss_grad: Array, t_start: float, t_end: float) -> FlowResult:
        """Return the gradient at ``t_start`` of a loss at ``t_end``, by the adjoint ODE (eq. 18).

        Parameters
        ----------
        x
            Shape (B, d): the points at ``t_start``.
        loss_grad
            Shape (B, d): ``lambda_end``, the gradient of the loss at ``transport(x)``.
        t_start, t_end
            ``t_end`` is where the loss is: 0 or so for adjoint guidance; later than ``t_start`` for the
            other direction.

        Returns
        -------
        FlowResult
            ``lambda_start = (d x_end / d x_start)^T lambda_end``, shape (B, d).

        Raises
        ------
        ValueError
            If a shape does not fit or a time is not in the schedule.
        FlowError
            If integration takes more evaluations than allowed.
        """
        flow = self._flow()
        gradients = as_points(loss_grad, self.distribution.dimension, "loss_grad")
        if len(gradients) != len(x):
            raise ValueError(
                f"loss_grad must hold one gradient per point: {len(x)} points, {len(gradients)} gradients."
            )
        return self._collect(x, t_start, t_end, lambda p, i, s, e: flow.adjoint(p, gradients[i], s, e))

    def log_determinant(self, x: Array, t_start: float, t_end: float) -> FlowResult:
        """Return the change of variables at ``x`` (B, d), in nats.

        Returns
        -------
        FlowResult
            ``log|det d x_end / d x_start| = integral of tr(dh/dx) dt``, shape (B,); it equals
            ``log q_start(x_start) - log q_end(x_end)`` (eq. 14 along the flow).

        Raises
        ------
        ValueError
            If the shape of ``x`` does not fit or a time is not in the schedule.
        FlowError
            If integration takes more evaluations than allowed.
        """
        flow = self._flow()
        return self._collect(x, t_start, t_end, lambda p, _, s, e: flow.log_determinant(p, s, e))

    def log_likelihood(self, x: Array, t_start: float, t_end: float) -> FlowResult:
        """Return ``log q`` at ``t_start`` and ``x`` (B, d) through the flow, in nats (eq. 14).

        Returns
        -------
        FlowResult
            ``log q_end(x_end) + log|det d x_end / d x_start|``, shape (B,), with the exact density at
            ``t_end``; it equals ``distribution.log_density`` at ``t_start``.

        Raises
        ------
        ValueError
            If the shape of ``x`` does not fit or a time is not in the schedule.
        FlowError
            If integration takes more evaluations than allowed.
        """
        flow = self._flow()
        return self._collect(x, t_start, t_end, lambda p, _, s, e: flow.log_likelihood(p, s, e))

    def _flow(self) -> GaussianFlow | IntegratedFlow:
        closed = GaussianFlow.of(self.distribution) if self.closed_form else None
        return closed or IntegratedFlow(self.distribution, self.max_evaluations)

    def _collect(
        self,
        x: Array,
        t_start: float,
        t_end: float,
        quantity: Callable[[Array, int, Level, Level], PointAnswer],
    ) -> FlowResult:
        points = as_points(x, self.distribution.dimension).astype(np.float64)
        if not len(points):
            raise ValueError("x must hold at least one point.")
        start, end = Level.at(self.schedule, t_start), Level.at(self.schedule, t_end)
        answers = [quantity(point, i, start, end) for i, point in enumerate(points)]
        return FlowResult(
            np.stack([answer.value for answer in answers]),
            np.array([answer.error for answer in answers]),
            sum(answer.evaluations for answer in answers),
        )
