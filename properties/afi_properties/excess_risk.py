"""How far a trained trace head is from the optimum of Prop. 6: its excess risk, with a confidence interval.

What that is, and why it is the part of the risk that a head is to blame for: :mod:`~afi_properties.claims.trace_head`.
"""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from afi_properties.problem import Array
from afi_properties.statistics import mean_interval
from afi_properties.training import diffused_points, levels_of
from afi_reference.dirac import DiracMixture
from afi_reference.gaussian import GaussianMixture
from afi_reference.schedules import Schedule

Head: TypeAlias = Callable[[Array, float], Array]
"""``head(x, t)`` for NumPy points (B, d) and one time, returning (B,)."""


@dataclasses.dataclass(frozen=True)
class LevelRisk:
    """The risks at one time of the schedule."""

    t: float
    log_snr: float
    excess: float
    explainable: float


@dataclasses.dataclass(frozen=True)
class ExcessRisk:
    """What a trace head loses, as a mean over equally spaced times of the schedule.

    All risks are mean squares of ``|x_0|^2 / d``. The risk of the head is ``bayes + excess``, that of the best head
    that knows the time alone ``bayes + explainable``.

    Attributes
    ----------
    excess, low, high
        ``E (head - t*)^2`` with its confidence interval, see :func:`~afi_properties.statistics.mean_interval`.
    explainable
        ``Var t*(x_t)`` at each time: the excess of the best constant.
    bayes
        ``E Var(|x_0|^2 / d given x_t)``: the risk of the optimum. The closed form of the target's variance less
        ``explainable``.
    levels
        The same for each time.
    points
        At each time.
    """

    excess: float
    low: float
    high: float
    explainable: float
    bayes: float
    confidence: float
    points: int
    levels: tuple[LevelRisk, ...]

    @property
    def relative(self) -> tuple[float, float, float]:
        """The excess as a part of what can be explained, with its interval; 0 is the optimum, 1 a constant."""
        return self.excess / self.explainable, self.low / self.explainable, self.high / self.explainable


def excess_risk(
    head: Head,
    law: DiracMixture | GaussianMixture,
    schedule: Schedule,
    *,
    points: int = 1024,
    levels: int = 8,
    confidence: float = 0.95,
    seed: int = 0,
) -> ExcessRisk:
    """Measure a head against the optimum at points that are drawn from the diffused distribution.

    Parameters
    ----------
    head
        Takes points (B, d) and one time, returns (B,).
    law
        The data it was trained on.
    schedule
        Whose times it takes.
    points, levels
        Points at each time; times, the middles of equal parts of the schedule.
    confidence, seed
        Of the interval; of the draws.

    Raises
    ------
    ValueError
        If an answer has another shape or is not finite, or nothing can be explained.
    """
    rng = np.random.default_rng([seed, 9])
    times, alphas, sigmas = levels_of(schedule, levels)
    found, losses = [], []
    for t, alpha, sigma in zip(times, alphas, sigmas, strict=True):
        x = diffused_points(law, np.full(points, alpha), np.full(points, sigma), rng)
        optimum = law.posterior_second_moment(x, alpha, sigma) / law.dimension
        answer = np.asarray(head(x, float(t)), dtype=np.float64)
        if answer.shape != (points,) or not np.isfinite(answer).all():
            raise ValueError(f"head(x, t) must return {points} finite numbers, shape ({points},); got {answer.shape}.")
        losses.append((answer - optimum) ** 2)
        log_snr = float(2 * np.log(alpha / sigma))
        found.append(LevelRisk(float(t), log_snr, float(losses[-1].mean()), float(optimum.var())))
    explainable = float(np.mean([level.explainable for level in found]))
    if explainable == 0:
        raise ValueError("The norm of the data is the same everywhere: a head has nothing to explain.")
    # One value for each set of points, one per time: these are independent of one another.
    means = np.mean(losses, axis=0)
    low, high = mean_interval(means, confidence)
    bayes = target_variance(law) - explainable
    return ExcessRisk(float(means.mean()), low, high, explainable, bayes, confidence, points, tuple(found))


def target_variance(law: DiracMixture | GaussianMixture) -> float:
    """Return ``Var(|x_0|^2 / d)``: the risk of a constant.

    For a Gaussian with mean m and covariance S, ``E |x|^2 = |m|^2 + tr S`` and ``Var |x|^2 = 2 |S|^2 + 4 m^T S m``.
    """
    weights = np.asarray(law.weights, dtype=np.float64)
    if isinstance(law, DiracMixture):
        means, variances = (law.atoms**2).sum(axis=1), np.zeros(len(law.atoms))
    else:
        matrices = law.covariances if law.covariances.ndim == 3 else np.stack([np.diag(c) for c in law.covariances])
        means = (law.means**2).sum(axis=1) + np.trace(matrices, axis1=1, axis2=2)
        quadratic = np.einsum("ki,kij,kj->k", law.means, matrices, law.means)
        variances = 2 * (matrices**2).sum(axis=(1, 2)) + 4 * quadratic
    centre = weights @ means
    return float(weights @ ((means - centre) ** 2 + variances)) / law.dimension**2
