"""Sequential tests of random answers, with a stated false-alarm rate and a stated power.

No test of a mean is honest about every distribution: a rare, huge value can always carry it. Hence each test here
states what it assumes, and is valid for every distribution that satisfies it; nothing is taken for normal.

* :class:`BiasTest` (stochastic traces) assumes a bound on the variance, which is itself part of the claim and is tested
  beside the mean. Its evidence is Catoni's: for a function ``phi(y) <= log(1 + y + y^2 / 2)`` and any variable of mean
  m and variance at most V, ``E exp(phi(l (X - m)) - l^2 V / 2) <= 1``.
* :class:`ExcessRiskTest` (trained heads) is about a variable that is not negative. Rejecting assumes nothing; accepting
  assumes a bound on its relative variance, below which ``E exp(-l X)`` is largest for two values, 0 and another.

Products of such variables over independent answers are supermartingales; by Ville's inequality one exceeds ``1 / p``
with probability at most p, however long, and whenever, one looks. See I. Waudby-Smith and A. Ramdas, "Estimating means
of bounded random variables by betting", 2024, and H. Wang and A. Ramdas, "Catoni-style confidence sequences for heavy-
tailed mean estimation", 2023.
"""

import dataclasses
import math
from collections.abc import Callable
from enum import Enum

import numpy as np

from afi_properties.problem import Array

FALSE_ALARM = 1e-6
"""Of a whole run: the probability that any right implementation in it is called wrong."""

MISS = 0.005
"""The probability that a bias of the size to be detected is called none, in each direction."""

_LARGEST_STEP = 0.5
"""Of the evidence, in standard deviations that are claimed: with larger ones Catoni's function loses too much."""

_QUANTILE = 2.6
"""The evidence is lower than expected by more than so many of its standard deviations in 1 of 200 cases."""

_STAKES = np.array([0.02, 0.1, 0.5])
"""Fractions that are bet on the variable being larger than claimed; a mixture of them serves for small excess and for
large."""


class Outcome(Enum):
    """What the answers so far decide."""

    OPEN = "open"
    RIGHT = "right"
    BIASED = "biased"
    SCATTERED = "scattered"  # the variance is larger than stated


@dataclasses.dataclass
class BiasTest:
    """Tests for each of B points whether independent answers have the mean and at most the variance that are claimed.

    If every answer has a mean within ``allowance`` of ``truth`` and a variance of at most ``variance``, some point is
    called BIASED or SCATTERED with probability at most ``false_alarm``. If some point's mean is off by ``bias`` or more
    (and the variance as claimed), all are called RIGHT with probability at most 2 ``MISS``.

    Attributes
    ----------
    truth, allowance, bias, variance
        Shape (B,) each; the allowance, for rounding, must be less than the bias to be detected.
    false_alarm
        For all B points together.
    """

    truth: Array
    allowance: Array
    bias: Array
    variance: Array
    false_alarm: float
    count: int = 0

    def __post_init__(self) -> None:
        if not (self.allowance >= 0).all() or not (self.allowance < self.bias).all():
            raise ValueError("the allowance must be less than the bias that is to be detected")
        if not (self.variance > 0).all() or not np.isfinite(self.variance).all():
            raise ValueError("the variance must be positive and finite")
        # Per standard deviation that is claimed: the distance between no bias and the bias, and what is staked on it.
        self._step = np.minimum((self.bias - self.allowance) / np.sqrt(self.variance), _LARGEST_STEP)
        self._stake = self._step / np.sqrt(self.variance)
        self._against_none = np.zeros((2, len(self.truth)))  # evidence against "no bias": too high, too low
        self._against_bias = np.zeros((2, len(self.truth)))  # evidence against a bias: up, down
        self._against_variance = np.zeros((len(_STAKES), len(self.truth)))
        self._moments = np.zeros((2, len(self.truth)))

    @property
    def budget(self) -> int:
        """Answers after which a bias of the size to be detected is found with the stated power.

        For nearly normal answers of the largest variance that is claimed: n of them with step s then give evidence of
        ``n s^2 (1 - s^2) / 2`` with standard deviation ``s sqrt(n)``.
        """
        kept = 1 - self._step**2
        roots = (_QUANTILE + np.sqrt(_QUANTILE**2 + 2 * self._threshold * kept)) / kept
        return math.ceil(float(((roots / self._step) ** 2).max()))

    @property
    def _threshold(self) -> float:
        return math.log(3 * len(self.truth) / self.false_alarm)

    def add(self, answers: Array) -> Outcome:
        """Take in independent answers, shape (n, B), and say what all so far decide."""
        off = np.asarray(answers, dtype=np.float64) - self.truth
        self.count += len(off)
        self._moments += off.sum(axis=0), (off**2).sum(axis=0)
        cost = self._stake**2 * self.variance / 2
        for row, sign in enumerate((1, -1)):
            self._against_none[row] += (_phi(self._stake * (sign * off - self.allowance)) - cost).sum(axis=0)
            self._against_bias[row] += (_phi(self._stake * (self.bias - sign * off)) - cost).sum(axis=0)
        ratio = off**2 / (self.variance + self.allowance**2)
        for row, stake in enumerate(_STAKES):
            self._against_variance[row] += np.log1p(stake * (ratio - 1)).sum(axis=0)
        return self.outcome

    @property
    def outcome(self) -> Outcome:
        """What the answers so far decide."""
        mixed = np.logaddexp.reduce(self._against_variance, axis=0) - math.log(len(_STAKES))
        # The evidence of a mean against a variance that was exceeded is no evidence: the variance comes first.
        if (mixed >= self._threshold).any() and not (self._against_none >= self._threshold).any():
            return Outcome.SCATTERED
        if (self._against_none >= self._threshold).any():
            return Outcome.BIASED
        return Outcome.RIGHT if (self._against_bias >= -math.log(MISS)).all() else Outcome.OPEN

    @property
    def mean_error(self) -> Array:
        """Mean of the answers less the truth, (B,)."""
        return np.asarray(self._moments[0] / max(self.count, 1))

    @property
    def variance_ratio(self) -> Array:
        """Mean square of the answers' errors over the variance that is stated, (B,)."""
        return np.asarray(self._moments[1] / max(self.count, 1) / self.variance)


@dataclasses.dataclass
class ExcessRiskTest:
    """Tests whether the mean of a variable that is not negative, an excess risk, is small enough.

    If the mean is at most ``acceptable``, it is called BIASED with probability at most ``false_alarm``, whatever the
    distribution. If it is at least ``unacceptable``, and the variance at most ``relative_variance`` times the squared
    mean, it is called RIGHT with probability at most ``MISS``.
    """

    acceptable: float
    unacceptable: float
    false_alarm: float
    relative_variance: float = 9.0
    count: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.acceptable < self.unacceptable:
            raise ValueError("0 < acceptable < unacceptable must hold")
        self._against_small = np.zeros(len(_STAKES))
        moment = 1 + self.relative_variance
        # Of rates tried, each with its own evidence, so that a small mean and one that is only just acceptable count.
        self._rates = np.array([0.03, 0.1, 0.3, 1.0, 3.0]) / self.unacceptable
        self._bounds = np.log(1 - (1 - np.exp(-self._rates * moment * self.unacceptable)) / moment)
        self._against_large = np.zeros(len(self._rates))

    def add(self, losses: Array) -> Outcome:
        """Take in independent values, shape (n,), and say what all so far decide.

        Raises
        ------
        ValueError
            If a value is negative or not a number.
        """
        losses = np.asarray(losses, dtype=np.float64)
        if not (losses >= 0).all():
            raise ValueError("an excess risk must be a number that is not negative")
        self.count += len(losses)
        self._against_small += np.log1p(_STAKES[:, None] * (losses / self.acceptable - 1)).sum(axis=1)
        self._against_large += -self._rates * losses.sum() - len(losses) * self._bounds
        return self.outcome

    @property
    def outcome(self) -> Outcome:
        """What the values so far decide."""
        if np.logaddexp.reduce(self._against_small) - math.log(len(_STAKES)) >= -math.log(self.false_alarm):
            return Outcome.BIASED
        mixed = np.logaddexp.reduce(self._against_large) - math.log(len(self._rates))
        return Outcome.RIGHT if mixed >= -math.log(MISS) else Outcome.OPEN


def mean_interval(losses: Array, confidence: float = 0.95, relative_variance: float = 9.0) -> tuple[float, float]:
    """Return a confidence interval for the mean of values that are not negative, by what :class:`ExcessRiskTest` uses.

    The lower end is valid whatever the distribution; the upper one if the variance is at most ``relative_variance``
    times the squared mean. It is nowhere taken for normal, hence wider than is usual.

    Parameters
    ----------
    losses
        Independent values, shape (n,).

    Raises
    ------
    ValueError
        If there are none, or a value is negative or not a number.
    """
    losses = np.asarray(losses, dtype=np.float64)
    if not losses.size or not (losses >= 0).all():
        raise ValueError("an interval needs values that are numbers and not negative")
    mean, count = float(losses.mean()), len(losses)
    if mean == 0:
        return 0.0, 0.0  # the bound on the relative variance leaves nothing else
    needed = -math.log((1 - confidence) / 2)
    # As multiples of the mean that is tried: many, since the number of values is not known beforehand.
    steps = np.geomspace(0.003, 1, 12)
    moment = 1 + relative_variance
    bounds = np.log(1 - (1 - np.exp(-steps * moment)) / moment)

    def against_small(tried: float) -> float:
        stakes = steps[:-1, None]
        evidence = np.log1p(stakes * (losses / tried - 1)).sum(axis=1)
        return float(np.logaddexp.reduce(evidence)) - math.log(len(stakes))

    def against_large(tried: float) -> float:
        evidence = -steps * count * mean / tried - count * bounds
        return float(np.logaddexp.reduce(evidence)) - math.log(len(steps))

    low = _boundary(lambda share: against_small(share * mean) >= needed, 1e-9, 1.0)
    high = _boundary(lambda share: against_large(share * mean) < needed, 1.0, 1e9)
    return low * mean, high * mean


def _boundary(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return where what holds at ``low`` ceases to, by bisection of the logarithm; an end where it never changes."""
    if not holds(low):
        return 0.0 if low < 1 else low
    if holds(high):
        return high if high == 1 else math.inf
    for _ in range(50):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


def _phi(y: Array) -> Array:
    """Catoni's function: near y where y is small, only logarithmic where it is large, odd, and never decreasing.

    For negative y it is below ``log(1 + y + y^2 / 2)``, which would turn: what is far too low must not count as high.
    """
    size = np.abs(y)
    return np.asarray(np.sign(y) * np.log1p(size + size * size / 2))
