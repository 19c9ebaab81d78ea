"""Certified quantities of a Gaussian mixture."""

from functools import cached_property
from typing import Any

import numpy as np
from flint import arb, arb_mat

from afi_reference.certified.exact import exact_matrix, identity_matrix, log2_magnitude
from afi_reference.certified.oracle import CertifiedOracle, InconclusiveError, Posterior
from afi_reference.certified.validation import as_covariances, as_rows, as_weights, merge_duplicates
from afi_reference.certified.weighted import WeightedRows, posterior_weights
from afi_reference.distribution import Array


class CertifiedGaussianMixture(CertifiedOracle):
    """A Gaussian mixture, diffused: every quantity as a proven enclosure.

    ``q_t = sum_k w_k N(alpha mu_k, alpha^2 Sigma_k + sigma^2 I) / sum_k w_k``. Singular covariances are
    welcome, and zero ones give the answers of ``CertifiedDiracMixture``, whose contract holds here too.

    Besides, a method raises ValueError where ``alpha^2 Sigma_k + sigma^2 I`` is not positive definite: the
    rounding of a singular ``Sigma_k`` can leave it an eigenvalue below zero that a tiny sigma does not lift.

    Parameters
    ----------
    means
        The means, shape (K, d).
    covariances
        The covariances, shape (K, d, d): symmetric to the last bit, and positive semi-definite.
    weights
        The weights, shape (K,), summing to 1 within 1e-6; uniform if None.
    max_precision
        The largest number of bits to try.
    time_limit
        Seconds that one call may take, looked at before each attempt; None for no limit.
    """

    def __init__(
        self,
        means: Any,
        covariances: Any,
        weights: Any = None,
        *,
        max_precision: int = 4096,
        time_limit: float | None = None,
    ) -> None:
        centres = as_rows(means, "means")
        count, d = centres.shape
        super().__init__(d, max_precision, time_limit)
        matrices = as_covariances(covariances, count, d)
        components = np.concatenate([centres, matrices.reshape(count, d * d)], axis=1)
        components, self._weights = merge_duplicates(components, as_weights(weights, count))
        self._means = [exact_matrix(row[:d, None]) for row in components]
        self._covariances = [exact_matrix(row[d:].reshape(d, d)) for row in components]
        self._log2_sizes = (log2_magnitude(components[:, :d]), log2_magnitude(components[:, d:]))

    def _lost_bits(self, x: Array, alpha: Any, sigma: Any) -> float:
        # As for Diracs, where the covariances are small; twice the condition number for the inverse.
        size = max(log2_magnitude(x), log2_magnitude(alpha) + self._log2_sizes[0])
        snr = 2.0 * (log2_magnitude(alpha) - log2_magnitude(sigma))
        condition = max(0.0, snr + self._log2_sizes[1] + self._dimension.bit_length())
        return max(0.0, 2.0 * (size - log2_magnitude(sigma))) + 2.0 * condition + self._dimension.bit_length()

    def _posterior(self, x: arb_mat, alpha: arb, sigma: arb) -> Posterior:
        return _GaussianPosterior(self._means, self._covariances, self._weights, x, alpha, sigma)


class _GaussianPosterior:
    """The components under their posterior weights, with their own posteriors."""

    def __init__(
        self,
        means: list[arb_mat],
        covariances: list[arb_mat],
        prior: list[arb],
        x: arb_mat,
        alpha: arb,
        sigma: arb,
    ) -> None:
        self._means, self._covariances, self._prior = means, covariances, prior
        self._alpha, self._variance, self._d = alpha, sigma * sigma, x.nrows()
        self._inverses, self._solutions, self._logits = [], [], []
        for mean, covariance in zip(means, covariances, strict=True):
            diffused = covariance * (alpha * alpha) + identity_matrix(self._d) * self._variance
            log_determinant = _log_determinant(diffused)
            residual = x - mean * alpha
            self._inverses.append(diffused.inv())
            self._solutions.append(self._inverses[-1] * residual)
            distance = (residual.transpose() * self._solutions[-1])[0, 0]
            self._logits.append(-(distance + log_determinant) / 2)
        self._weights, self._reference = posterior_weights(prior, self._logits)
        # Minus the component scores: their spread is the second part of the Fisher information.
        self._scores = self._weigh(self._solutions)

    def _weigh(self, columns: list[arb_mat]) -> WeightedRows:
        entries = [entry for column in columns for entry in column.entries()]
        return WeightedRows(arb_mat(len(columns), self._d, entries), self._weights, self._reference)

    @cached_property
    def _component_means(self) -> WeightedRows:
        pairs = zip(self._means, self._covariances, self._solutions, strict=True)
        return self._weigh([mean + covariance * z * self._alpha for mean, covariance, z in pairs])

    @cached_property
    def _component_covariances(self) -> list[arb_mat]:
        # Equal to Sigma - alpha^2 Sigma C^-1 Sigma, without the difference of nearly equal matrices.
        pairs = zip(self._covariances, self._inverses, strict=True)
        return [covariance * inverse * self._variance for covariance, inverse in pairs]

    def _average(self, matrices: list[arb_mat]) -> arb_mat:
        total = matrices[0] * self._weights[0]
        for matrix, weight in zip(matrices[1:], self._weights[1:], strict=True):
            total += matrix * weight
        return total / self._scores.total

    def log_density(self) -> arb:
        mass = self._scores.total / sum(self._prior, arb(0))
        return mass.log() + self._logits[self._reference] - self._d * (2 * arb.pi()).log() / 2

    def score(self) -> arb_mat:
        return -self._scores.mean()

    def mean(self) -> arb_mat:
        return self._component_means.mean()

    def covariance(self) -> arb_mat:
        return self._average(self._component_covariances) + self._component_means.covariance()

    def second_moment(self) -> arb:
        spreads = [matrix.trace() for matrix in self._component_covariances]
        norms = _squared_norms(self._component_means.rows)
        return self._scores.average([s + n for s, n in zip(spreads, norms, strict=True)])

    def fisher(self) -> arb_mat:
        return self._average(self._inverses) - self._scores.covariance()

    def fisher_times(self, v: arb_mat) -> arb_mat:
        products = [inverse * v for inverse in self._inverses]
        return self._average(products).transpose() - self._scores.covariance_times(v)

    def fisher_trace(self) -> arb:
        traces = self._scores.average([inverse.trace() for inverse in self._inverses])
        return traces - self._scores.covariance_trace(_squared_norms(self._scores.rows))


def _squared_norms(rows: arb_mat) -> list[arb]:
    return [sum((entry * entry for entry in row), arb(0)) for row in rows.tolist()]


def _log_determinant(matrix: arb_mat) -> arb:
    """Return the log determinant of a symmetric matrix and prove that it is positive definite.

    By the pivots of the elimination without interchanges (L D L^T): all positive, if and only if the matrix
    is positive definite.

    Raises
    ------
    ValueError
        If the matrix is proven not to be positive definite.
    InconclusiveError
        If a pivot's ball contains zero.
    """
    rows = matrix.tolist()
    logs = arb(0)
    for k, pivot_row in enumerate(rows):
        pivot = pivot_row[k]
        if pivot <= 0:
            raise ValueError(
                "alpha^2 Sigma + sigma^2 I is not positive definite: the covariance has an eigenvalue below "
                "zero, probably by rounding, and sigma is too small to lift it. Add as much to its diagonal."
            )
        if not pivot > 0:
            raise InconclusiveError
        logs += pivot.log()
        for i in range(k + 1, len(rows)):
            factor = pivot_row[i] / pivot
            for j in range(i, len(rows)):
                rows[i][j] -= factor * pivot_row[j]
    return logs
