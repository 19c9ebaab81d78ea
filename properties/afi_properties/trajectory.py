"""Claims about trajectories: what is integrated along the probability-flow ODE from one time to another.

The answer of an implementation has a discretisation error of an order that is its own business, so no single answer can
be compared with the truth. What is judged is the limit as ``num_steps`` grows; see
:mod:`~afi_properties.convergence`. Truth comes from the oracle of the flow.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np

from afi_properties.claim import AnyClaim
from afi_properties.convergence import RESOLUTION
from afi_properties.judgement import norms
from afi_properties.known_jacobian import SkewEps, skew_eps_for
from afi_properties.problem import Array, Problem
from afi_properties.trajectory_cases import trajectory_problems
from afi_reference.dirac import DiracMixture
from afi_reference.flow import FlowOracle, FlowResult
from afi_reference.flow.level import Level
from afi_reference.gaussian import GaussianMixture
from afi_reference.schedules import Schedule

TELLING = 2.0
"""A formula this many times the resolution away cannot pass, however its limit is estimated."""

TRAJECTORY_PARAMETERS = frozenset({"x", "schedule", "t_start", "t_end", "num_steps"})


@dataclasses.dataclass(frozen=True, eq=False)
class Trajectory:
    """What a formula sees of a trajectory: where it begins, and the flow. What it computes is kept.

    Attributes
    ----------
    law
        The data.
    x
        The points at ``t_start``, shape (B, d).
    loss_grad
        The gradient of a loss at ``t_end``, shape (B, d).
    """

    law: DiracMixture | GaussianMixture
    schedule: Schedule
    x: Array
    loss_grad: Array
    t_start: float
    t_end: float

    @property
    def dimension(self) -> int:
        """Dimension d."""
        return int(self.x.shape[1])

    @property
    def start(self) -> Level:
        """Alpha and sigma at ``t_start``."""
        return Level.at(self.schedule, self.t_start)

    @property
    def end(self) -> Level:
        """Alpha and sigma at ``t_end``."""
        return Level.at(self.schedule, self.t_end)

    @property
    def stretch(self) -> float:
        """``alpha_end / alpha_start``: what f alone does."""
        return self.end.alpha / self.start.alpha

    @property
    def drifts(self) -> bool:
        """Whether f has any effect; under VE schedules it is 0."""
        return self.stretch != 1.0

    @functools.cached_property
    def map(self) -> FlowResult:
        """The points at ``t_end``, shape (B, d)."""
        return self._oracle.transport(self.x, self.t_start, self.t_end)

    @functools.cached_property
    def jacobian(self) -> FlowResult:
        """``d x_end / d x_start``, shape (B, d, d)."""
        return self._oracle.transport_jacobian(self.x, self.t_start, self.t_end)

    @functools.cached_property
    def log_densities(self) -> tuple[Array, Array]:
        """``log q`` at the start and at the end of the trajectory, (B,) each, in nats: closed forms."""
        ends = (self.x, self.start), (self.map.value, self.end)
        start, end = (np.asarray(self.law.log_density(x, *level), dtype=np.float64) for x, level in ends)
        return start, end

    @property
    def log_determinant(self) -> Array:
        """``log|det d x_end / d x_start|``, shape (B,): eq. 14, integrated."""
        return self.log_densities[0] - self.log_densities[1]

    @property
    def is_linear(self) -> bool:
        """Whether the map is affine with a symmetric Jacobian, as it is for one atom and one Gaussian."""
        centres = self.law.atoms if isinstance(self.law, DiracMixture) else self.law.means
        return len(centres) == 1

    @property
    def is_single(self) -> bool:
        """Whether the data are one atom: nothing has a covariance then."""
        return self.is_linear and isinstance(self.law, DiracMixture)

    @property
    def _oracle(self) -> FlowOracle:
        return FlowOracle(self.law, self.schedule)


@dataclasses.dataclass(frozen=True, eq=False)
class SkewTrajectory(Trajectory):
    """The same for a flow whose epsilon is not that of the law: its Jacobian is known, and not symmetric."""

    skew: SkewEps

    @property
    def is_linear(self) -> bool:
        """Never: of a tanh."""
        return False

    @functools.cached_property
    def map(self) -> FlowResult:
        """The points at ``t_end``, shape (B, d)."""
        return self._follow()[0]

    @functools.cached_property
    def jacobian(self) -> FlowResult:
        """``d x_end / d x_start``, shape (B, d, d)."""
        return self._follow()[1]

    @functools.cached_property
    def with_jvp(self) -> Array:
        """The wrong adjoint state for which ``J v`` is taken for ``J^T v`` in the equation, (B, d)."""
        return np.einsum("bij,bi->bj", self._follow(transposed=True)[1].value, self.loss_grad)

    def _follow(self, *, transposed: bool = False) -> tuple[FlowResult, FlowResult]:
        from scipy.integrate import solve_ivp

        d, batch, p, q = self.dimension, len(self.x), self.skew.p, self.skew.q
        outer = np.outer(q, p) if transposed else np.outer(p, q)

        def slope(t: float, state: Array) -> Array:
            x, M = state[: batch * d].reshape(batch, d), state[batch * d :].reshape(batch, d, d)
            sigmas = np.full(batch, float(self.schedule.sigma(t)))
            f, rate = float(self.schedule.f(t)), float(self.schedule.g2(t)) / 2 / sigmas[0]
            moving = f * x + rate * self.skew.value(x, sigmas)
            scale = f + rate * self.skew.scale(sigmas)
            turning = scale[:, None, None] * M + rate * self.skew.slope(x)[:, None, None] * (outer @ M)
            return np.concatenate([moving.ravel(), turning.ravel()])

        start = np.concatenate([self.x.ravel(), np.tile(np.eye(d).ravel(), batch)])
        ends, tolerance = (self.t_start, self.t_end), 1e-12
        found = solve_ivp(slope, ends, start, method="DOP853", rtol=tolerance, atol=tolerance, t_eval=[self.t_end])
        x, M = found.y[: batch * d, -1].reshape(batch, d), found.y[batch * d :, -1].reshape(batch, d, d)
        errors = [1e-9 * norms(value) for value in (x, M)]  # of the tolerance of every step, with a wide margin
        return FlowResult(x, errors[0], int(found.nfev)), FlowResult(M, errors[1], int(found.nfev))


TrajectoryFormula: TypeAlias = Callable[[Trajectory, Array], Array | None]
"""Computes a wrong answer from a trajectory and the right answer; ``None`` where the two cannot differ."""


def norm_of_answer(trajectory: Trajectory, right: Array) -> Array:
    """Return the Euclidean norm of each point's answer, (B,)."""
    del trajectory
    return norms(right)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrajectoryClaim(AnyClaim):
    """A statement about the limit of an implementation's answers as ``num_steps`` grows.

    Attributes
    ----------
    truth
        From the oracle of the flow, with its error.
    wrong
        Wrong formulas by name, for the margins.
    scale
        What an error is measured by, (B,), from a trajectory and the right answer.
    eps_kinds
        The functions that play epsilon for who asks for that alone; see :class:`~afi_properties.problem.Problem`.
    cases
        What draws the problems; see :func:`~afi_properties.trajectory_cases.trajectory_problems` for its arguments.
    """

    truth: Callable[[Trajectory], FlowResult]
    wrong: Mapping[str, TrajectoryFormula]
    scale: Callable[[Trajectory, Array], Array] = norm_of_answer
    eps_kinds: tuple[str, ...] = ("exact",)
    cases: Callable[..., Iterator[Problem]] = trajectory_problems


def margins_of_trajectory(claim: TrajectoryClaim, trajectory: Trajectory, right: Array) -> dict[str, Array]:
    """Return each wrong formula's distance from the truth in multiples of what cannot pass, shape (B,) each.

    A formula that cannot differ from the truth on this trajectory is left out.
    """
    scale = claim.scale(trajectory, right)
    margins = {}
    for name, formula in claim.wrong.items():
        answer = formula(trajectory, right)
        if answer is not None:
            distance = norms(np.asarray(answer, dtype=np.float64) - right)
            margins[name] = np.asarray(distance / (TELLING * RESOLUTION * scale))
    return margins


@functools.lru_cache(maxsize=64)
def trajectory_of(problem: Problem) -> Trajectory:
    """Return the trajectory that a problem speaks of; its numbers are exact in every precision."""
    values = problem.values
    weights = values["weights"] / values["weights"].sum()
    law: DiracMixture | GaussianMixture
    if "data" in values:
        law = DiracMixture(values["data"], weights)
    else:
        law = GaussianMixture(values["means"], values["covariances"], weights)
    trajectory = Trajectory(
        law=law,
        schedule=problem.schedule,
        x=values["x"],
        loss_grad=values["loss_grad"],
        t_start=float(values["t_start"][0]),
        t_end=float(values["t_end"][0]),
    )
    if problem.eps_kind == "exact":
        return trajectory
    skew = skew_eps_for(values["x"], values["sigma"], problem.seed)
    return SkewTrajectory(**{f.name: getattr(trajectory, f.name) for f in dataclasses.fields(trajectory)}, skew=skew)
