"""A certified answer: float64 numbers with a proven bound on their error, or an honest "undecided"."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from flint import arb

from afi_reference.certified.precision import working_precision

FloatArray: TypeAlias = npt.NDArray[np.float64]

# Wide enough that a difference of a midpoint and its nearest float64 keeps 53 bits after cancellation.
_ROUNDING_BITS = 192


@dataclass(frozen=True, eq=False)
class Certified:
    """What is proven about one quantity. All arrays have the shape of the quantity.

    Attributes
    ----------
    value
        The float64 numbers nearest to the midpoints; None where the answer is undecided.
    radius
        A proven bound on the error of each entry of ``value``, its rounding to float64 included; None where
        the answer is undecided. For each point its norm is below ``2**-53`` times the norm of the answer,
        unless the answer is so small that float64 rounds it to a subnormal number or to zero.
    lower, upper
        Proven bounds of the truth, rounded outwards; at best one float64 apart. Where the answer is
        undecided they say what was reached, -inf and inf if nothing was.
    precision
        The largest number of bits that a point took.
    decided
        Whether ``value`` is there: for a batch, whether every point was decided.
    reason
        Why the answer is undecided; empty if it is decided.
    """

    value: FloatArray | None
    radius: FloatArray | None
    lower: FloatArray
    upper: FloatArray
    precision: int
    decided: bool
    reason: str


@dataclass(frozen=True)
class PointAnswer:
    """The enclosures of one point's numbers, and why they are not tight ("" if they are)."""

    balls: Sequence[arb]
    precision: int
    reason: str


def certify(answers: Sequence[PointAnswer], shape: tuple[int, ...]) -> Certified:
    """Round the enclosures of a batch to float64, with what that costs.

    Parameters
    ----------
    answers
        One per point, in order.
    shape
        The shape of the result.

    Returns
    -------
    Certified
        Undecided if any point is, or if a number overflows float64.
    """
    precision = max((answer.precision for answer in answers), default=0)
    reasons = [f"point {i}: {answer.reason}" for i, answer in enumerate(answers) if answer.reason]
    with working_precision(_ROUNDING_BITS):
        balls = [ball for answer in answers for ball in answer.balls]
        lower = np.array([_round_down(ball) for ball in balls]).reshape(shape)
        upper = np.array([_round_up(ball) for ball in balls]).reshape(shape)
        if not reasons:
            nearest = [float(ball.mid()) for ball in balls]
            if all(map(math.isfinite, nearest)):
                errors = [-_round_down(-(ball - v).abs_upper()) for ball, v in zip(balls, nearest, strict=True)]
                value, radius = np.array(nearest).reshape(shape), np.array(errors).reshape(shape)
                return Certified(value, radius, lower, upper, precision, True, "")
            reasons = ["the answer overflows float64; bring alpha, sigma or the data closer to 1"]
    return Certified(None, None, lower, upper, precision, False, "; ".join(reasons))


def _round_down(ball: arb) -> float:
    """Return the largest float64 (or -inf) that is proven not to be above the ball."""
    bound = ball.lower()
    if bound.is_nan():
        return -math.inf
    number = float(bound)
    return number if arb(number) <= bound else math.nextafter(number, -math.inf)


def _round_up(ball: arb) -> float:
    """Return the smallest float64 (or inf) that is proven not to be below the ball."""
    return 0.0 - _round_down(-ball)
