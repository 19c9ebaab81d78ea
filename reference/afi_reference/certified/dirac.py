"""Certified quantities of a weighted mixture of Diracs."""

from functools import cached_property
from typing import Any

from flint import arb, arb_mat

from afi_reference.certified.exact import EXACT_BITS, exact_matrix, identity_matrix, log2_magnitude
from afi_reference.certified.oracle import CertifiedOracle, Posterior
from afi_reference.certified.precision import working_precision
from afi_reference.certified.validation import as_rows, as_weights, merge_duplicates
from afi_reference.certified.weighted import WeightedRows, posterior_weights
from afi_reference.distribution import Array


class CertifiedDiracMixture(CertifiedOracle):
    """The weighted mixture of Diracs (eq. 10), diffused: every quantity as a proven enclosure.

    ``q_t = sum_i w_i N(alpha y_i, sigma^2 I) / sum_i w_i``, all inputs being exactly the floats that are
    passed (float16, float32, float64 or longdouble). The precision is raised until the float64 answer is
    determined; if a limit is met first, the answer is undecided rather than a guess.

    The methods take one point, shape (d,), or a batch (B, d) with ``alpha`` and ``sigma`` scalars or (B,).
    They raise ValueError for a wrong shape, for NaN or infinity, and for a noise level that is not positive.

    python-flint's working precision is a global of the process: it is set under a lock and always restored;
    ``working_precision`` says what that means for threads.

    Parameters
    ----------
    atoms
        The data points, shape (N, d).
    weights
        Their weights, shape (N,), summing to 1 within 1e-6; uniform if None.
    max_precision
        The largest number of bits to try.
    time_limit
        Seconds that one call may take, looked at before each attempt; None for no limit.

    Examples
    --------
    >>> import numpy as np
    >>> mixture = CertifiedDiracMixture(np.array([[-1.0], [1.0]]))
    >>> float(mixture.fisher_trace(np.array([0.0]), alpha=1.0, sigma=2.0).value)
    0.1875
    """

    def __init__(
        self, atoms: Any, weights: Any = None, *, max_precision: int = 4096, time_limit: float | None = None
    ) -> None:
        rows = as_rows(atoms, "atoms")
        super().__init__(rows.shape[1], max_precision, time_limit)
        rows, self._weights = merge_duplicates(rows, as_weights(weights, len(rows)))
        self._atoms = exact_matrix(rows)
        self._log2_size = log2_magnitude(rows)

    @cached_property
    def _squared_norms(self) -> list[arb]:
        # Exact, so that they serve every precision and are computed once.
        with working_precision(EXACT_BITS):
            d, entries = self._dimension, self._atoms.entries()
            squares = [entry * entry for entry in entries]
            return [sum(squares[i : i + d], arb(0)) for i in range(0, len(squares), d)]

    def _lost_bits(self, x: Array, alpha: Any, sigma: Any) -> float:
        # The exponents |x - alpha y|^2 / sigma^2 must be known absolutely, not relatively.
        size = max(log2_magnitude(x), log2_magnitude(alpha) + self._log2_size)
        return 2.0 * (size - log2_magnitude(sigma)) + self._dimension.bit_length()

    def _posterior(self, x: arb_mat, alpha: arb, sigma: arb) -> Posterior:
        return _DiracPosterior(self._atoms, self._squared_norms, self._weights, x, alpha, sigma)


class _DiracPosterior:
    """The atoms under their posterior weights (the ``w_i`` of Prop. 1)."""

    def __init__(self, atoms: arb_mat, norms: list[arb], prior: list[arb], x: arb_mat, alpha: arb, sigma: arb) -> None:
        self._x, self._alpha, self._variance = x, alpha, sigma * sigma
        self._d, self._norms, self._prior = atoms.ncols(), norms, prior
        # -|x - alpha y|^2 / (2 sigma^2) without its part in |x|^2, which all atoms share.
        slope = alpha / self._variance
        products = (atoms * x).entries()
        logits = [slope * (p - alpha * n / 2) for p, n in zip(products, norms, strict=True)]
        weights, self._reference = posterior_weights(prior, logits)
        self._rows = WeightedRows(atoms, weights, self._reference)

    def log_density(self) -> arb:
        i, atoms = self._reference, self._rows.rows
        residual = [self._x[j, 0] - self._alpha * atoms[i, j] for j in range(self._d)]
        exponent = sum((r * r for r in residual), arb(0)) / (2 * self._variance)
        mass = self._rows.total / sum(self._prior, arb(0))
        return mass.log() - exponent - self._d * (2 * arb.pi() * self._variance).log() / 2

    def score(self) -> arb_mat:
        return (self._rows.mean() * self._alpha - self._x.transpose()) / self._variance

    def mean(self) -> arb_mat:
        return self._rows.mean()

    def covariance(self) -> arb_mat:
        return self._rows.covariance()

    def second_moment(self) -> arb:
        return self._rows.average(self._norms)

    def fisher(self) -> arb_mat:
        return identity_matrix(self._d) / self._variance - self._rows.covariance() * self._steepness()

    def fisher_times(self, v: arb_mat) -> arb_mat:
        return v.transpose() / self._variance - self._rows.covariance_times(v) * self._steepness()

    def fisher_trace(self) -> arb:
        return self._d / self._variance - self._rows.covariance_trace(self._norms) * self._steepness()

    def _steepness(self) -> arb:
        """Return ``alpha^2 / sigma^4``, the factor of the covariance in eq. 11 and 16."""
        return (self._alpha / self._variance) ** 2
