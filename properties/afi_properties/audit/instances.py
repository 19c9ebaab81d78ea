"""Small instances with exact numbers, their posteriors in ball arithmetic, and the search among them.

Everything is enclosed: two sides of a statement that differ on an instance are proven to differ, and Hypothesis
shrinks the instance to the smallest numbers.
"""

import dataclasses
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cached_property

import hypothesis
from flint import arb, arb_mat
from hypothesis import strategies as st

from afi_reference.certified import working_precision
from afi_reference.certified.weighted import posterior_weights

BITS = 256
"""Working precision: differences that matter are found far above 2**-256, those of equal sides far below 2**-128."""


@dataclasses.dataclass(frozen=True)
class Instance:
    """A Dirac mixture of N atoms in d dimensions, a point, a noise level, and what some statements need besides."""

    atoms: tuple[tuple[int, ...], ...]
    x: tuple[int, ...]
    alpha: Fraction
    sigma: Fraction
    v: tuple[int, ...]  # a direction, or the error of a noise prediction
    x0: tuple[int, ...]  # an endpoint
    number: int  # the error of a trace head, or a slope

    def __str__(self) -> str:
        return (
            f"atoms {_list(self.atoms)}, x = {_list(self.x)}, α = {self.alpha}, σ = {self.sigma}, v = {_list(self.v)}, "
            f"x₀ = {_list(self.x0)}, number {self.number}"
        )


def _list(values: Sequence[object]) -> str:
    return f"({', '.join(_list(v) if isinstance(v, tuple) else str(v) for v in values)})"


@st.composite
def instances(draw: st.DrawFn, dimensions: tuple[int, ...] = (1, 2, 3), largest_count: int = 3) -> Instance:
    """Draw a small instance; it shrinks towards one atom at the origin of the line."""
    d = draw(st.sampled_from(dimensions))
    vectors = st.tuples(*[st.integers(-2, 2)] * d)
    levels = st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(2), Fraction(1, 4), Fraction(3, 4), Fraction(1, 8)])
    return Instance(
        tuple(draw(st.lists(vectors, min_size=1, max_size=largest_count))),
        draw(vectors),
        draw(levels),
        draw(levels),
        draw(vectors),
        draw(vectors),
        draw(st.integers(-3, 3)),
    )


def search(
    violated: Callable[[Instance], bool], cases: int, strategy: st.SearchStrategy[Instance] | None = None
) -> Instance | None:
    """Look for an instance that violates a statement, and shrink it.

    Parameters
    ----------
    violated : callable
        Whether an instance is *proven* to violate the statement; called at ``BITS`` of working precision.
    cases : int
        How many instances to draw.
    strategy : SearchStrategy, optional
        Where from; ``instances()`` if left out.

    Returns
    -------
    Instance or None
        The simplest violation, or None if ``cases`` instances hold none.
    """

    def precisely(instance: Instance) -> bool:
        with working_precision(BITS):
            return violated(instance)

    options = hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    try:
        return hypothesis.find(
            instances() if strategy is None else strategy,
            precisely,
            settings=options,
            random=random.Random(0),  # noqa: S311
        )
    except hypothesis.errors.NoSuchExample:
        return None


def ball(value: Fraction | int) -> arb:
    """Return an exact number as a ball (of radius zero where it is dyadic)."""
    fraction = Fraction(value)
    return arb(fraction.numerator) / fraction.denominator


def column(values: Sequence[Fraction | int | arb]) -> arb_mat:
    """Return numbers as a column of balls."""
    return arb_mat(len(values), 1, [v if isinstance(v, arb) else ball(v) for v in values])


def identity(d: int) -> arb_mat:
    """Return the identity matrix."""
    return arb_mat(d, d, [int(i == j) for i in range(d) for j in range(d)])


def trace(matrix: arb_mat) -> arb:
    """Return the trace."""
    return sum((matrix[i, i] for i in range(matrix.nrows())), arb(0))


def inner(a: arb_mat, b: arb_mat) -> arb:
    """Return the sum of the products of the entries: the inner product of columns, or of matrices."""
    return sum((p * q for p, q in zip(a.entries(), b.entries(), strict=True)), arb(0))


def norm(a: arb_mat) -> arb:
    """Return the Euclidean norm of a column, or the Hilbert-Schmidt norm of a matrix."""
    return inner(a, a).sqrt()


def differ(left: arb_mat | arb, right: arb_mat | arb) -> bool:
    """Tell whether two sides are proven to be different."""
    difference = left - right
    entries = [difference] if isinstance(difference, arb) else difference.entries()
    return any(not entry.contains(0) for entry in entries)


class Posterior:
    """The posterior of an instance's point, enclosed."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.alpha, self.sigma = ball(instance.alpha), ball(instance.sigma)
        self.x = column(instance.x)
        self.atoms = [column(atom) for atom in instance.atoms]
        self.d = len(instance.x)

    @cached_property
    def weights(self) -> list[arb]:
        """The weights w_i of Prop. 1."""
        gaps = [self.x - y * self.alpha for y in self.atoms]
        logits = [-inner(gap, gap) / (2 * self.sigma**2) for gap in gaps]
        weights, _ = posterior_weights([arb(1)] * len(logits), logits)
        total = sum(weights, arb(0))
        return [w / total for w in weights]

    @cached_property
    def mean(self) -> arb_mat:
        """The posterior mean, (d, 1)."""
        return sum((y * w for w, y in zip(self.weights, self.atoms, strict=True)), arb_mat(self.d, 1))

    @cached_property
    def second(self) -> arb_mat:
        """The sum of w_i y_i y_i^T."""
        terms = (y * y.transpose() * w for w, y in zip(self.weights, self.atoms, strict=True))
        return sum(terms, arb_mat(self.d, self.d))

    @cached_property
    def covariance(self) -> arb_mat:
        """The posterior covariance."""
        gaps = [y - self.mean for y in self.atoms]
        return sum((g * g.transpose() * w for w, g in zip(self.weights, gaps, strict=True)), arb_mat(self.d, self.d))

    @cached_property
    def fisher(self) -> arb_mat:
        """The Fisher information, by the covariance."""
        return identity(self.d) / self.sigma**2 - self.covariance * (self.alpha**2 / self.sigma**4)

    @cached_property
    def noise(self) -> arb_mat:
        """The exact noise prediction (x - alpha mean) / sigma."""
        return (self.x - self.mean * self.alpha) / self.sigma
