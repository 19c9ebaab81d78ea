"""What a relation is: a claim that needs no oracle, because it ties the answers of one implementation to one another.

The operator is linear, its trace is the sum over a basis, the answers for one point do not depend on the others: such
statements hold for functions whose data nobody knows, a trained network's for example. A relation asks the functions
for answers at points of its own choice and returns two sides that must agree.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from afi_properties.problem import Array, Problem

Values: TypeAlias = Mapping[str, Array]
"""Numbers by their names in the adapter contract, ``x``, ``alpha``, ``sigma`` … with one row per point."""

Question: TypeAlias = Problem
"""Numbers to be handed over, with the schedule that they belong to."""

Ask: TypeAlias = Callable[[str, Question], Array]
"""Answers a question for a role: (B, d), (B,) or (B, d, d). An implementation, an oracle, or a wrong variant."""

Mistake: TypeAlias = Callable[[Ask, tuple[str, ...]], Ask]
"""Makes a wrong implementation of some roles of a right one, to see whether a relation would notice."""

FAMILIES = ("dirac", "gaussian-mixture", "unknown")
"""Of data: handed over as atoms or as a mixture, or not handed over because nobody knows them."""

MODELS = ("network", "potential", "diffusion")
"""What functions are, each kind one of the kind before: any function of x, one whose score is a gradient, and the
exact quantities of a diffused distribution. A relation holds for one of them and those after it."""

_PER_POINT = ("x", "v", "x0", "t", "alpha", "sigma")


@dataclasses.dataclass(frozen=True, eq=False)
class Sides:
    """Two sides that must agree.

    Attributes
    ----------
    left, right
        Per point, shape (B,) or (B, k).
    size
        Sizes of the terms that were added or subtracted on the way, (B,): each is rounded once in any case.
    truncation
        Estimated error of quadratures and differences, (B,); see :func:`truncation_of`.
    upper_bound
        Whether ``left <= right`` is all that must hold.
    """

    left: Array
    right: Array
    size: Array
    truncation: Array | float = 0.0
    upper_bound: bool = False

    @property
    def difference(self) -> Array:
        """Left minus right, shape (B, k)."""
        return np.asarray(self.left - self.right).reshape(len(self.left), -1)

    @property
    def violation(self) -> Array:
        """How far the sides are apart, or the bound is exceeded, shape (B,); infinite where it is not a number."""
        difference = self.difference
        if self.upper_bound:
            difference = np.where(difference <= 0, 0.0, difference)
        violation = norms(difference)
        return np.where(np.isnan(violation), np.inf, violation)


Compare: TypeAlias = Callable[[Ask, tuple[str, ...], Problem], Sides]
"""Asks the roles about a problem and what it derives from it, and returns the two sides."""


@dataclasses.dataclass(frozen=True)
class Relation:
    """A statement that ties the answers of one implementation to one another.

    Attributes
    ----------
    label
        Its name, for example ``"linearity"``.
    statement
        What must hold, as one line of text.
    violated
        What to say where it does not: a format string of ``left`` and ``right``.
    roles
        Alternatives: sets of roles of which an implementation must provide all. Each set is tried by itself.
    compare
        Computes the two sides.
    mistakes
        Wrong variants by name: a case counts as evidence if it would tell all of them from the truth.
    families
        Of data for which it can be stated.
    model
        For which kind of functions it holds; see :data:`MODELS`.
    largest_dimension, most_atoms
        Limits of the drawn problems.
    smallest_dimension, fewest_atoms
        Of the drawn problems: below them it says nothing.
    limit
        The largest dimension in which it can be computed at all, for functions that have one of their own.
    cases
        How many problems are tried in the quick profile, for each set of roles and each family.
    asks
        If not empty, a function must ask for one of these names for the relation to say anything about it.
    refuses
        A function must ask for none of these: they would have to be changed in a way that they cannot be.
    needs_samples
        Whether data that are unknown must be given as samples.
    reproducible
        Whether the sides are answers to one and the same question. Their tolerance then leaves no room for noise of
        the implementation's own.
    """

    label: str
    statement: str
    violated: str
    roles: tuple[tuple[str, ...], ...]
    compare: Compare
    mistakes: Mapping[str, Mistake]
    families: tuple[str, ...] = FAMILIES
    model: str = "network"
    largest_dimension: int = 3
    most_atoms: int = 5
    smallest_dimension: int = 1
    fewest_atoms: int = 1
    limit: int = 2**30
    cases: int = 4
    asks: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    needs_samples: bool = False
    reproducible: bool = False

    @property
    def role(self) -> str:
        """What stands in the place of a claim's one role."""
        return "relation"

    @property
    def printed(self) -> None:
        """Relations are not the paper's: nothing is printed wrongly."""
        return None

    @property
    def all_roles(self) -> tuple[str, ...]:
        """Every role that it speaks of."""
        return tuple(dict.fromkeys(role for alternative in self.roles for role in alternative))


def norms(answer: Array) -> Array:
    """Euclidean norm of each point's answer (B, ...), shape (B,)."""
    flat = np.asarray(answer).reshape(len(answer), -1)
    return np.sqrt((flat * flat).sum(axis=1))


def changed(problem: Problem, **values: Array) -> Question:
    """Return the problem with some of its numbers replaced."""
    return dataclasses.replace(problem, values={**problem.values, **values}, id=None)


def repeated(problem: Problem, count: int, **values: Array) -> Question:
    """Return the problem with each point ``count`` times in a row, and some of its numbers replaced."""
    rows = {name: np.repeat(problem.values[name], count, axis=0) for name in _PER_POINT if name in problem.values}
    return dataclasses.replace(problem, values={**problem.values, **rows, **values}, id=None)


def only(problem: Problem, rows: Array) -> Question:
    """Return the problem with the points of these indices alone."""
    values = {name: problem.values[name][rows] for name in _PER_POINT if name in problem.values}
    return dataclasses.replace(problem, values={**problem.values, **values}, id=None)


def at_noise(problem: Problem, log_snr: Array) -> Question:
    """Return the problem at the log-SNRs (B,) of its own schedule."""
    times = np.asarray(problem.schedule.time_of_log_snr(log_snr))
    alpha, sigma = problem.schedule.noise_at_log_snr(log_snr)
    return changed(problem, t=times, alpha=np.asarray(alpha), sigma=np.asarray(sigma))


def rng_of(problem: Problem) -> np.random.Generator:
    """Return the source of whatever directions a relation draws: the same each time that it is computed."""
    return np.random.default_rng([problem.seed, 5])


def simple_directions(problem: Problem, count: int) -> list[Array]:
    """Return ``count`` random directions (B, d) of a few bits, so that their sums are exact in every precision."""
    rng = rng_of(problem)
    shape = problem.values["x"].shape
    drawn = [rng.integers(1, 8, shape) * rng.choice([-1, 1], shape) / 4 for _ in range(count)]
    return [np.asarray(direction) for direction in drawn]


def scaled(position: int, factor: float = 1.01) -> Mistake:
    """Return the mistake of the answers for one of the roles being wrong by a factor."""
    return altered(lambda answer, question: factor * answer, position)


def altered(change: Callable[[Array, Question], Array], position: int | None = None) -> Mistake:
    """Return the mistake of the answers for one of the roles, or for all of them, being changed."""

    def mistake(ask: Ask, roles: tuple[str, ...]) -> Ask:
        wrong_roles = roles if position is None else roles[position : position + 1]

        def wrong(role: str, question: Question) -> Array:
            answer = ask(role, question)
            return np.asarray(change(answer, question)) if role in wrong_roles else answer

        return wrong

    return mistake


def asked_otherwise(change: Callable[[Question], Question]) -> Mistake:
    """Return the mistake of answering another question."""
    return lambda ask, roles: lambda role, question: ask(role, change(question))


def truncation_of(fine: Array, coarse: Array, coarsest: Array) -> Array:
    """Estimate the error of the finest of three rules, (B,).

    The distance to the second rule is conservative where the rules converge. Where they do not, it can be small by
    chance: a tenth of the distance to the third, in multiples of which 16 is the limit, then covers the error.
    """
    return np.maximum(norms(fine - coarse), 0.1 * norms(fine - coarsest))


def per_point(factor: Array, answer: Array) -> Array:
    """Multiply each point's answer (B, ...) by its factor (B,)."""
    return np.asarray(factor).reshape(-1, *[1] * (answer.ndim - 1)) * answer


def isotropic(role: str, problem: Problem) -> Array:
    """Size of the term ``1 / sigma^2`` from which a covariance is subtracted, (B,); 0 where none is."""
    jacobian = role in ("fisher_vector_product_vjp", "fisher_vector_product_jvp", "fisher_trace_autodiff")
    return np.zeros(problem.batch) if jacobian else np.asarray(problem.values["sigma"] ** -2.0)
