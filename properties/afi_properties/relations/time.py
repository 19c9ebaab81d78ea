"""Time is a label: a noise level has the same answers whatever time it is reached at."""

import dataclasses
from typing import Any

import numpy as np

from afi_properties.problem import Array, Problem
from afi_properties.relation import Ask, Question, Relation, Sides, altered, norms, per_point
from afi_reference.schedules import Schedule

_UNIT = 64.0
"""A power of two: times in another unit are then exact. Much, so that it shows at small times, too."""


@dataclasses.dataclass(frozen=True)
class SlowSchedule:
    """A schedule whose time is measured in a unit a 64th as long, as a :class:`Schedule`."""

    inner: Schedule

    @property
    def name(self) -> str:
        """Name of the schedule, and what was done to it."""
        return f"{self.inner.name}, time times {_UNIT:g}"

    @property
    def t_min(self) -> float:
        """The first time."""
        return _UNIT * self.inner.t_min

    @property
    def t_max(self) -> float:
        """The last time."""
        return _UNIT * self.inner.t_max

    def alpha(self, t: Any) -> Any:
        """Signal scale, of the shape of ``t``."""
        return self.inner.alpha(t / _UNIT)

    def sigma(self, t: Any) -> Any:
        """Noise scale, of the shape of ``t``."""
        return self.inner.sigma(t / _UNIT)

    def log_snr(self, t: Any) -> Any:
        """``log(alpha^2 / sigma^2)``, of the shape of ``t``."""
        return self.inner.log_snr(t / _UNIT)

    def f(self, t: Any) -> Any:
        """Drift per unit of this time, of the shape of ``t``."""
        return self.inner.f(t / _UNIT) / _UNIT

    def g2(self, t: Any) -> Any:
        """Squared diffusion per unit of this time, of the shape of ``t``."""
        return self.inner.g2(t / _UNIT) / _UNIT

    def rates(self, t: Any) -> tuple[Any, Any]:
        """``(d alpha / dt, d sigma / dt)`` in this time, each of the shape of ``t``."""
        alpha_rate, sigma_rate = self.inner.rates(t / _UNIT)
        return alpha_rate / _UNIT, sigma_rate / _UNIT

    def time_of_log_snr(self, lam: Any) -> Any:
        """Time at which the log-SNR is ``lam``, of the shape of ``lam``."""
        return _UNIT * self.inner.time_of_log_snr(lam)

    def noise_at_log_snr(self, lam: Any) -> tuple[Any, Any]:
        """``(alpha, sigma)`` at the log-SNR ``lam``, each of the shape of ``lam``."""
        return self.inner.noise_at_log_snr(lam)


def _time_change(ask: Ask, roles: tuple[str, ...], problem: Problem) -> Sides:
    (role,) = roles
    values = {**problem.values, "t": _UNIT * problem.values["t"]}
    slow = dataclasses.replace(problem, schedule=SlowSchedule(problem.schedule), values=values, id=None)
    right = ask(role, problem)
    return Sides(ask(role, slow), right, norms(right))


def _time_dependent(answer: Array, question: Question) -> Array:
    return per_point(1 + 0.01 * np.tanh(question.values["t"]), answer)


RELATIONS = (
    Relation(
        label="time-change",
        statement="the answer is the same when time is measured in another unit: (t, α(t)) and (64t, α(64t/64))",
        violated="the answer depends on the unit of time: {left} with 64 times the time, {right} before",
        roles=tuple(
            (role,)
            for role in (
                "score",
                "posterior_mean",
                "fisher",
                "fisher_vector_product",
                "fisher_trace",
                "fisher_vector_product_vjp",
                "fisher_vector_product_jvp",
                "fisher_trace_autodiff",
                "fisher_trace_matching",
            )
        ),
        compare=_time_change,
        mistakes={"1 % of time itself": altered(_time_dependent)},
        # The time of a function that is not told the schedule is no label: it has a schedule of its own.
        asks=frozenset({"schedule", "eps_fn", "head_fn"}),
        largest_dimension=16,
        cases=2,
    ),
)
