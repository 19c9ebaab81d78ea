"""How far apart the two sides of a relation may be, derived from the problem and not from a table.

Where the data are known, the oracle answers in the implementation's place, with its inputs and what every
implementation has to round on its way changed at random by a rounding: how far the sides then come apart is what
rounding does to this relation on this problem; and how far they are apart without roundings is the error of quadratures
and differences. Where nobody knows the data, the implementation answers in its own place, its inputs changed at random
by a rounding, and the error of quadratures and differences is estimated. Either way one rounding of the terms that
cancel is added.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from afi_properties.claim import Claim
from afi_properties.inputs import make_inputs
from afi_properties.judgement import LIMIT, SMALLEST_CHANGE, representable_points
from afi_properties.known_jacobian import SkewEps
from afi_properties.precision import Precision
from afi_properties.problem import Array, Problem
from afi_properties.relation import Ask, Question, Relation, Sides, norms
from afi_properties.rounding import Rounder

_ROUNDED = ("x", "v", "x0", "alpha", "sigma", "data", "weights", "means", "covariances")

DRAWS = 4
"""How often a relation is computed with random roundings. Fewer than for a claim: a relation asks many questions, each
with roundings of its own."""


@dataclasses.dataclass(frozen=True, eq=False)
class Tolerance:
    """What a relation may be off by on a problem, and how far wrong variants would be, per point (B,).

    ``representable`` is False where an answer on the way is outside the range of the precision.
    """

    attainable: Array
    margins: Mapping[str, Array]  # by mistake, in multiples of the limit
    representable: bool


@dataclasses.dataclass(eq=False)
class Oracle:
    """The truth of every role, as an :data:`~afi_properties.relation.Ask`; with roundings if there is a rounder."""

    claims: Mapping[str, Claim]
    handed: Mapping[str, frozenset[str]]  # by role, which derived numbers the implementation asks for
    skew: SkewEps | None
    precision: Precision
    rounder: Rounder | None = None
    representable: bool = True

    def __call__(self, role: str, question: Question) -> Array:
        """Return the truth of a role, in float64."""
        values = {name: value for name, value in question.values.items() if name in _ROUNDED}
        handed = self.handed[role]
        rounder = self.rounder
        if rounder is not None:
            values = {name: rounder(value, symmetric=name == "covariances") for name, value in values.items()}
        if "alpha_bar" in handed:
            values["alpha_bar"] = _rounded(rounder, values["alpha"] ** 2)
        if self.skew is None and not handed.isdisjoint({"eps", "eps_fn", "head", "head_fn"}):
            inputs = make_inputs(values)
            if not handed.isdisjoint({"eps", "eps_fn"}):
                values["eps"] = _rounded(rounder, inputs.eps)
            if not handed.isdisjoint({"head", "head_fn"}):
                values["head"] = _rounded(rounder, inputs.second_moment / question.dimension)
        answer = self.claims[role].truth(make_inputs(values, skew=self.skew, rounder=rounder))
        if rounder is None:
            self.representable &= bool(representable_points(values, answer, self.precision).all())
        return np.asarray(answer, dtype=np.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class Shaken:
    """An implementation whose inputs are changed at random before each call, and its answers once after it."""

    ask: Ask
    rounder: Rounder

    def __call__(self, role: str, question: Question) -> Array:
        """Return the answer to a question with changed numbers."""
        # Twice a rounding: what is changed by less than half the distance of two numbers is rounded back.
        changed = {name: value for name, value in question.values.items() if name in _ROUNDED}
        changed = {name: self.rounder(self.rounder(value)) for name, value in changed.items()}
        return self.rounder(self.ask(role, dataclasses.replace(question, values={**question.values, **changed})))


def tolerance_of_known(
    relation: Relation, roles: tuple[str, ...], problem: Problem, oracle: Oracle
) -> tuple[Tolerance, Sides]:
    """Return what rounding does to the relation, by the oracle; and the oracle's own two sides."""
    with np.errstate(all="ignore"):  # what overflows is found not representable
        sides = relation.compare(oracle, roles, problem)
        unit = oracle.precision.unit_roundoff
        change = max(unit, SMALLEST_CHANGE)
        rng = np.random.default_rng([problem.seed, 6])
        noisy = dataclasses.replace(oracle, rounder=Rounder(rng, change, oracle.precision.added_as_one))
        spread = unit / change * _spread(lambda: relation.compare(noisy, roles, problem), sides)
        attainable = spread + unit * sides.size + sides.violation + oracle.precision.smallest
        return _tolerance(relation, roles, problem, oracle, attainable), sides


def tolerance_of_unknown(
    relation: Relation, roles: tuple[str, ...], problem: Problem, ask: Ask, sides: Sides, precision: Precision
) -> Tolerance:
    """Return what rounding does to the relation, by the implementation's own response to it.

    Parameters
    ----------
    sides
        The implementation's two sides.
    precision
        Whose rounding: the implementation's own, or a coarser one.
    """
    with np.errstate(all="ignore"):
        unit = precision.unit_roundoff
        # Answers to one and the same question differ by chance alone, and no more when the inputs are changed by more:
        # the response to larger changes, scaled down, is then that of a reproducible function.
        change = np.sqrt(unit) if relation.reproducible else unit
        rng = np.random.default_rng([problem.seed, 6])
        noisy = Shaken(ask, Rounder(rng, change, precision.added_as_one))
        spread = unit / change * _spread(lambda: relation.compare(noisy, roles, problem), sides)
        attainable = spread + unit * sides.size + sides.truncation + precision.smallest
        return _tolerance(relation, roles, problem, ask, attainable)


def errors_of(sides: Sides, tolerance: Tolerance) -> Array:
    """Return each point's violation in multiples of the attainable, shape (B,)."""
    with np.errstate(all="ignore"):
        errors = sides.violation / tolerance.attainable
    return np.where(np.isnan(errors), np.inf, errors)


def _spread(compute: Callable[[], Sides], sides: Sides) -> Array:
    spread = np.zeros(len(sides.left))
    for _ in range(DRAWS):
        spread = np.maximum(spread, norms(compute().difference - sides.difference))
    return spread


def _tolerance(relation: Relation, roles: tuple[str, ...], problem: Problem, ask: Ask, attainable: Array) -> Tolerance:
    margins = {}
    for name, mistake in relation.mistakes.items():
        violation = relation.compare(mistake(ask, roles), roles, problem).violation
        margins[name] = np.nan_to_num(violation / (LIMIT * attainable), nan=0.0, posinf=0.0)
    representable = ask.representable if isinstance(ask, Oracle) else True
    return Tolerance(attainable, margins, representable and bool(np.isfinite(attainable).all()))


def _rounded(rounder: Rounder | None, values: Array) -> Array:
    return values if rounder is None else rounder(values)
