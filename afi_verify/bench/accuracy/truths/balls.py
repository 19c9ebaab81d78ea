"""A posterior in balls: scalars, vectors, and matrices that are a diagonal plus few directions."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from flint import arb, arb_mat

from afi_reference.certified import working_precision
from afi_reference.certified.exact import exact_numbers
from afi_reference.certified.precision import is_tight

Array: TypeAlias = npt.NDArray[Any]

Numbers: TypeAlias = Mapping[str, Sequence[arb]]
"""The inputs of a truth, flattened in C order: parameters of the law, and ``x``, ``alpha``, ``sigma``."""

PRECISIONS = (256, 512, 1024, 2048, 4096, 8192)
LARGEST_DENSE = 64
"""Matrices of more rows are put together from tight parts in longdouble: nothing that shows in their norm."""


class NotTightError(ArithmeticError):
    """The balls are too wide: more bits are needed."""


@dataclasses.dataclass(frozen=True, eq=False)
class Symmetric:
    """The matrix ``diag(diagonal) + rows^T middle rows``, with ``rows`` (r, d) and ``middle`` (r, r)."""

    diagonal: Sequence[arb]
    rows: arb_mat
    middle: arb_mat

    @classmethod
    def rank_one(cls, multiple: arb, coefficient: arb, direction: Sequence[arb]) -> "Symmetric":
        """Return ``multiple I + coefficient direction direction^T``."""
        d = len(direction)
        return cls([multiple] * d, arb_mat(1, d, list(direction)), arb_mat(1, 1, [coefficient]))

    @classmethod
    def of_diagonal(cls, diagonal: Sequence[arb]) -> "Symmetric":
        """Return a diagonal matrix."""
        return cls(diagonal, arb_mat(0, len(diagonal)), arb_mat(0, 0))

    def trace(self) -> arb:
        """Return the trace."""
        weighted = (self.middle * self.rows).entries()
        return total(self.diagonal) + total(a * b for a, b in zip(weighted, self.rows.entries(), strict=True))

    def times(self, v: Sequence[arb]) -> list[arb]:
        """Return the product with a vector."""
        image = self.rows.transpose() * (self.middle * (self.rows * arb_mat(len(v), 1, list(v))))
        return [a * b + c for a, b, c in zip(self.diagonal, v, image.entries(), strict=True)]

    def dense(self) -> Array:
        """Return all entries in longdouble, shape (d, d)."""
        d, r = len(self.diagonal), self.rows.nrows()
        if r and d <= LARGEST_DENSE:
            entries = (self.rows.transpose() * self.middle * self.rows).entries()
            for i, value in enumerate(self.diagonal):
                entries[i * (d + 1)] += value
            return rounded(entries).reshape(d, d)
        matrix = np.diag(rounded(self.diagonal))
        if r:
            rows = rounded(self.rows.entries()).reshape(r, d)
            matrix += rows.T @ (rounded(self.middle.entries()).reshape(r, r) @ rows)
        return matrix


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior:
    """Everything about one point at one noise level."""

    log_density: arb
    score: Sequence[arb]
    mean: Sequence[arb]
    covariance: Symmetric
    fisher: Symmetric


Truth: TypeAlias = Callable[[Numbers], Posterior]


def quantities(truth: Truth, inputs: Mapping[str, Array], *, matrices: bool = True) -> dict[str, Array]:
    """Return every quantity at one point, in longdouble, right to its last digits relative to its norm.

    Parameters
    ----------
    inputs
        The law's parameters, ``x`` and ``v`` of shape (d,), ``alpha`` and ``sigma``: taken as exact.
    matrices
        Whether to return those of shape (d, d), too.

    Raises
    ------
    NotTightError
        If thousands of bits are not enough.
    """
    numbers = {name: exact_numbers(np.asarray(value)) for name, value in inputs.items()}
    return at_enough_bits(lambda: _rounded(truth(numbers), numbers["v"], matrices))


def at_enough_bits(answers: Callable[[], dict[str, Array]]) -> dict[str, Array]:
    """Return the answers at the first precision at which they are tight.

    Raises
    ------
    NotTightError
        If thousands of bits are not enough.
    """
    for bits in PRECISIONS:
        with working_precision(bits):
            try:
                return answers()
            except (NotTightError, ZeroDivisionError):
                continue
    raise NotTightError(f"not tight at {PRECISIONS[-1]} bits")


def _rounded(p: Posterior, v: Sequence[arb], matrices: bool) -> dict[str, Array]:
    answers = {
        "log_density": rounded([p.log_density])[0],
        "score": rounded(p.score),
        "posterior_mean": rounded(p.mean),
        "posterior_second_moment": rounded([p.covariance.trace() + squared_norm(p.mean)])[0],
        "fisher_vector_product": rounded(p.fisher.times(v)),
        "fisher_trace": rounded([p.fisher.trace()])[0],
    }
    if matrices:
        answers |= {"posterior_covariance": p.covariance.dense(), "fisher": p.fisher.dense()}
    return answers


def rounded(balls: Sequence[arb]) -> Array:
    """Return the midpoints of tight balls in longdouble, shape (n,)."""
    if not is_tight(balls):
        raise NotTightError
    middles = [ball.mid() for ball in balls]
    high = [float(m) for m in middles]
    low = [float(m - h) if np.isfinite(h) else 0.0 for m, h in zip(middles, high, strict=True)]
    return np.array(high, dtype=np.longdouble) + np.array(low, dtype=np.longdouble)


def mixture(weights: Sequence[arb], parts: Sequence[Posterior]) -> Posterior:
    """Return the posterior of a mixture: the laws of total expectation and covariance, for means and for scores."""
    logits = [w.log() + p.log_density for w, p in zip(weights, parts, strict=True) if w != 0]
    parts = [p for w, p in zip(weights, parts, strict=True) if w != 0]
    largest = max(logits, key=lambda logit: logit.mid())
    unnormalised = [(logit - largest).exp() for logit in logits]
    mass = total(unnormalised)
    shares = [u / mass for u in unnormalised]
    mean, between_means = _average(shares, [p.mean for p in parts])
    score, between_scores = _average(shares, [p.score for p in parts])
    return Posterior(
        log_density=largest + mass.log() - total(weights).log(),
        score=score,
        mean=mean,
        covariance=_sum(shares, [p.covariance for p in parts], between_means, shares),
        fisher=_sum(shares, [p.fisher for p in parts], between_scores, [-share for share in shares]),
    )


def _average(shares: Sequence[arb], vectors: Sequence[Sequence[arb]]) -> tuple[list[arb], list[list[arb]]]:
    mean = [total(s * e for s, e in zip(shares, column, strict=True)) for column in zip(*vectors, strict=True)]
    return mean, [[e - m for e, m in zip(vector, mean, strict=True)] for vector in vectors]


def _sum(
    shares: Sequence[arb], within: Sequence[Symmetric], between: Sequence[Sequence[arb]], signed: Sequence[arb]
) -> Symmetric:
    """Return the average of ``within`` plus the sum of ``signed[k] between[k] between[k]^T``."""
    columns = zip(*[w.diagonal for w in within], strict=True)
    diagonal = [total(s * e for s, e in zip(shares, column, strict=True)) for column in columns]
    blocks = [w.middle * s for w, s in zip(within, shares, strict=True)] + [arb_mat(1, 1, [s]) for s in signed]
    size = sum(block.nrows() for block in blocks)
    middle, start = arb_mat(size, size), 0
    for block in blocks:
        for i in range(block.nrows()):
            for j in range(block.nrows()):
                middle[start + i, start + j] = block[i, j]
        start += block.nrows()
    rows = [e for w in within for e in w.rows.entries()] + [e for row in between for e in row]
    return Symmetric(diagonal, arb_mat(size, len(diagonal), rows), middle)


def total(numbers: Any) -> arb:
    """Return the sum of an iterable of balls."""
    return sum(numbers, arb(0))


def squared_norm(vector: Sequence[arb]) -> arb:
    """Return the sum of squares."""
    return total(e * e for e in vector)
