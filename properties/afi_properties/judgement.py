"""How far an answer is from the truth, in multiples of what its precision could attain.

The tolerance comes from the problem, not from a table. The inputs are rounded at random, and so is, once, what every
implementation must round on its way (squared distances and the posterior mean, as sums of many terms by more than one
rounding; for mixtures the diffused covariances and the components' scores), in arithmetic wider than the
implementation's. The spread of the truth is then the error that no straightforward implementation can avoid. An
absolute or relative tolerance would accuse the innocent where a problem is ill conditioned, and acquit the guilty
where it is not.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from afi_properties.claim import Claim
from afi_properties.inputs import make_inputs, noise_of
from afi_properties.known_jacobian import SkewEps
from afi_properties.precision import Precision, wider_dtype
from afi_properties.problem import Array, Problem
from afi_properties.rounding import Rounder

LIMIT = 16.0
"""Largest error that passes, in multiples of the attainable. Straightforward implementations stay below 6, but for one
in some thousand ill-conditioned cases, which reaches 10."""

ROUNDINGS = 8
"""How often the inputs are rounded at random. The largest of eight deviations is hardly ever small by chance."""


SMALLEST_CHANGE = 2.0**-46
"""Float64 arithmetic shows the effect of changes this small to two digits. That of a float64 rounding is smaller in
proportion: to find it so costs a fifth of finding it in longdouble."""

_LARGEST_LINEAR = 2.0**-10
"""Relative deviations up to this are taken as proportional to the change."""


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """The truth of a claim on a problem, with the error that is attainable.

    Where a point's truth, or what any way to it needs, is outside the range of the precision, the point is
    not ``representable``: no evidence, whatever the answer.
    """

    answer: Array  # (B, ...), wider than the precision
    attainable: Array  # (B,)
    representable: Array  # (B,) bool


def find_truth(
    claim: Claim, values: Mapping[str, Array], problem: Problem, skew: SkewEps | None, precision: Precision
) -> Truth:
    """Compute the truth of ``claim`` for the numbers handed over, and the attainable error.

    Parameters
    ----------
    values
        The numbers handed over, by name, after they were rounded to the precision; see
        :func:`~afi_properties.inputs.make_inputs`.
    problem
        Gives the seed of the random roundings.
    """
    if not all(np.isfinite(value).all() for value in values.values()):
        nothing = np.zeros(problem.batch)  # the precision cannot even hold the question
        return Truth(nothing, nothing, np.zeros(problem.batch, dtype=bool))
    exact = {name: np.asarray(value, dtype=wider_dtype(precision)) for name, value in values.items()}
    with np.errstate(all="ignore"):  # what overflows here is not representable, and is reported as such
        answer = claim.truth(make_inputs(exact, skew=skew))
        size = norms(answer)
        unit = precision.unit_roundoff
        change = max(unit, SMALLEST_CHANGE)
        base, spread = _spread(
            claim, values if change > unit else exact, problem.seed, skew, change, precision.added_as_one
        )
        spread = unit / change * spread
        if change > unit:
            linear = _LARGEST_LINEAR * unit / change * size
            # Where even the unchanged numbers give something else, changes of that say nothing about the truth.
            if not ((spread <= linear) & (norms(base - answer) <= linear)).all():
                _, spread = _spread(claim, exact, problem.seed, skew, unit, precision.added_as_one)
        attainable = spread + precision.unit_roundoff * size + precision.smallest
        representable = representable_points(exact, answer, precision) & np.isfinite(attainable)
    return Truth(answer, np.asarray(attainable, dtype=np.float64), representable)


def _spread(
    claim: Claim, values: Mapping[str, Array], seed: int, skew: SkewEps | None, change: float, added_as_one: int
) -> tuple[Array, Array]:
    """Return the truth in the precision of ``values``, and its largest deviation, (B,), by changes up to ``change``."""
    rng = np.random.default_rng([seed, 2])
    answer = claim.truth(make_inputs(values, skew=skew))
    spread = np.zeros(len(answer))
    for _ in range(ROUNDINGS):
        rounder = Rounder(rng, change, added_as_one)
        changed = {name: rounder(value, symmetric=name == "covariances") for name, value in values.items()}
        deviation = claim.truth(make_inputs(changed, skew=skew, rounder=rounder)) - answer
        spread = np.maximum(spread, norms(deviation))
    return answer, spread


def errors_of(answer: Array, truth: Truth) -> Array:
    """Return each point's error in multiples of the attainable, shape (B,); infinite where it is not a number."""
    with np.errstate(all="ignore"):
        errors = norms(np.asarray(answer, dtype=truth.answer.dtype) - truth.answer) / truth.attainable
    return np.where(np.isnan(errors), np.inf, errors).astype(np.float64)


def margins_of(claim: Claim, values: Mapping[str, Array], skew: SkewEps | None, truth: Truth) -> dict[str, Array]:
    """Return each wrong formula's distance from the truth in multiples of the limit, shape (B,) each.

    A formula that cannot differ from the truth on this problem is left out; all are where no point is representable.
    """
    if not truth.representable.any():
        return {}
    # As precise as the truth: a difference that is only the rounding of the wrong formula is no evidence.
    inputs = make_inputs(values, skew=skew).in_dtype(truth.answer.dtype)
    margins = {}
    with np.errstate(all="ignore"):
        for name, formula in claim.wrong.items():
            answer = formula(inputs, truth.answer)
            if answer is not None:
                distance = norms(np.asarray(answer, dtype=truth.answer.dtype) - truth.answer)
                margin = np.asarray(distance / (LIMIT * truth.attainable), dtype=np.float64)
                margins[name] = np.where(truth.representable, np.nan_to_num(margin, nan=0.0), 0.0)
    return margins


def norms(answer: Array) -> Array:
    """Return the Euclidean norm of each point's answer, (B, ...) to (B,)."""
    flat = answer.reshape(len(answer), -1)
    return np.sqrt((flat * flat).sum(axis=1))


def representable_points(values: Mapping[str, Array], answer: Array, precision: Precision) -> Array:
    """Return for which points (B,) the answer, and what a straightforward way to it needs, are in range."""
    alpha, sigma = noise_of(values)
    centres = values["data"] if "data" in values else values["means"]
    largest_square = 2 * ((values["x"] ** 2).sum(axis=1) + alpha**2 * (centres**2).sum(axis=1).max())
    # The logits of a straightforward implementation, and the powers of sigma of the formulas.
    large = (np.abs(answer.reshape(len(answer), -1)).max(axis=1), largest_square, largest_square / sigma**2)
    either = (sigma**4, sigma**-4, alpha**2 / sigma**4)
    return np.asarray(
        np.logical_and.reduce(
            [q <= precision.largest for q in large]
            + [(q <= precision.largest) & (q >= precision.smallest) for q in either]
        )
    )
