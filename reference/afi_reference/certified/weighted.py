"""Means and covariances of weighted rows, safe from cancellation and exact where only one row counts.

Everything is measured from one reference row, the heaviest. Its own deviation is zero and never enters a sum,
so that a covariance many orders of magnitude below the data keeps its relative accuracy: it consists of the
other rows, however small their weights are.
"""

from collections.abc import Sequence
from functools import cached_property

from flint import arb, arb_mat


def posterior_weights(prior: Sequence[arb], logits: Sequence[arb]) -> tuple[list[arb], int]:
    """Return ``prior * exp(logits)`` up to a common factor, and the index of the largest.

    Parameters
    ----------
    prior
        Positive weights, length N.
    logits
        Log-likelihoods up to a common constant, length N.

    Returns
    -------
    weights
        The posterior weights over ``exp(logits[reference])``, length N; not normalised.
    reference
        The heaviest, judged by midpoints: the choice affects accuracy only, never correctness.
    """
    keys = [(logit + weight.log()).mid() for logit, weight in zip(logits, prior, strict=True)]
    reference = max(range(len(keys)), key=keys.__getitem__)
    # The reference is set apart, since exp of a ball around zero would not be exactly 1.
    weights = [
        weight if i == reference else weight * (logit - logits[reference]).exp()
        for i, (logit, weight) in enumerate(zip(logits, prior, strict=True))
    ]
    return weights, reference


class WeightedRows:
    """Rows (N, d) under weights that need not sum to 1; see the module's docstring for ``reference``."""

    def __init__(self, rows: arb_mat, weights: Sequence[arb], reference: int) -> None:
        self.rows = rows
        self.weights = weights
        self._d = rows.ncols()
        self._others = [arb(0) if i == reference else weight for i, weight in enumerate(weights)]
        self._others_total = sum(self._others, arb(0))
        self.total = self._others_total + weights[reference]
        self._origin = arb_mat(1, self._d, [rows[reference, j] for j in range(self._d)])

    @cached_property
    def _others_sum(self) -> arb_mat:
        return arb_mat(1, len(self._others), self._others) * self.rows

    @cached_property
    def _shift(self) -> arb_mat:
        """The mean less the reference row, shape (1, d)."""
        return (self._others_sum - self._origin * self._others_total) / self.total

    def mean(self) -> arb_mat:
        """Return the mean, shape (1, d)."""
        return self._origin + self._shift

    def average(self, numbers: Sequence[arb]) -> arb:
        """Return the mean of one number per row."""
        return sum((w * n for w, n in zip(self.weights, numbers, strict=True)), arb(0)) / self.total

    def covariance_trace(self, squared_norms: Sequence[arb]) -> arb:
        """Return the trace of the covariance, given the squared norms of the rows, length N."""
        products = (self.rows * self._origin.transpose()).entries()
        origin_norm = (self._origin * self._origin.transpose())[0, 0]
        second = sum(
            (w * (n - 2 * p + origin_norm) for w, n, p in zip(self._others, squared_norms, products, strict=True)),
            arb(0),
        )
        return second / self.total - (self._shift * self._shift.transpose())[0, 0]

    def covariance_times(self, v: arb_mat) -> arb_mat:
        """Return the covariance times ``v`` (d, 1), shape (1, d)."""
        along = (self.rows * v).entries()
        origin_along = (self._origin * v)[0, 0]
        scaled = [w * (a - origin_along) for w, a in zip(self._others, along, strict=True)]
        second = arb_mat(1, len(scaled), scaled) * self.rows - self._origin * sum(scaled, arb(0))
        return second / self.total - self._shift * (self._shift * v)[0, 0]

    def covariance(self) -> arb_mat:
        """Return the covariance, shape (d, d)."""
        entries = self.rows.entries()
        scaled = [w * e for i, w in enumerate(self._others) for e in entries[i * self._d : (i + 1) * self._d]]
        cross = self._others_sum.transpose() * self._origin
        second = (
            arb_mat(len(self._others), self._d, scaled).transpose() * self.rows
            - cross
            - cross.transpose()
            + self._origin.transpose() * self._origin * self._others_total
        )
        return second / self.total - self._shift.transpose() * self._shift
