"""Gaussian mixtures whose covariances are a diagonal plus few directions: no (d, d) matrix unless it is asked for."""

import dataclasses

import numpy as np

from afi_reference.distribution import Array, as_float_array, normalised_weights
from afi_reference.families.law import AboutAnchor, Law, Posterior, log_two_pi, mean_with_fewest_terms, widened
from afi_reference.families.mixture import MixturePosterior, log_of_weights
from afi_reference.families.thin_svd import thin_svd


class _Component(Posterior):
    """A Gaussian of covariance ``U U^T + diag(D)``, diffused.

    With ``s = alpha^2 D + sigma^2`` and the singular value decomposition ``Q S V^T`` of ``alpha s^(-1/2) U``,
    Woodbury's formula reads ``C^-1 = s^(-1/2) (I - Q Q^T + Q (I + S^2)^-1 Q^T) s^(-1/2)``: in the span of the
    factors the small number itself, not the difference ``I - Q (S^2 / (1 + S^2)) Q^T`` that it comes from.
    """

    def __init__(self, x: Array, mean: Array, factor: Array, variances: Array, alpha: Array, sigma: Array) -> None:
        self._x, self._residual = x, x - alpha * mean  # (n, d)
        self._mean, self._variances = mean, variances
        self._alpha, self._sigma = alpha, sigma
        self._noise = alpha**2 * variances + sigma**2  # (d,)
        self._root = np.sqrt(self._noise)
        self._basis, values = thin_svd(alpha * factor / self._root[:, None])  # (d, k), (k,)
        self._values = values
        self._kept = 1 / (1 + values**2)
        self._taken = values**2 / (1 + values**2)
        self._full = self._basis.shape[1] == len(mean)
        self._log_determinant = np.log(self._noise).sum() + np.log1p(values**2).sum()

    def log_density(self) -> Array:
        squared = -(self._residual * self.score()).sum(axis=1)
        return -(squared + self._log_determinant + len(self._mean) * log_two_pi()) / 2

    def about_anchor(self) -> AboutAnchor:
        # C^-1 = I / sigma^2 minus these two, which are all that is left where the noise is high.
        own = self._residual**2 @ (self._alpha**2 * self._variances / (self._sigma**2 * self._noise))
        spanned = (self._residual / self._root @ self._basis) ** 2 @ self._taken
        widths = np.log1p((self._alpha / self._sigma) ** 2 * self._variances).sum() + np.log1p(self._values**2).sum()
        place = np.broadcast_to(self._mean, self._residual.shape)
        return AboutAnchor(place, (own + spanned - widths) / 2)

    def score(self) -> Array:
        return -self.fisher_vector_product(self._residual)

    def mean(self) -> Array:
        drawn = self._alpha**2 * self._variances / self._noise * self._residual
        spanned = (self._residual / self._root @ self._basis * self._taken) @ self._basis.T
        shift = (drawn + self._sigma**2 / self._root * spanned) / self._alpha
        terms = np.abs(self._mean) + np.abs(shift)
        return mean_with_fewest_terms(self._mean + shift, terms, self, self._x, self._alpha, self._sigma)

    def covariance(self) -> Array:
        root = (self._sigma**2 / self._alpha / self._root)[:, None] * (self._basis * np.sqrt(self._taken))
        own = np.diag(self._sigma**2 * self._variances / self._noise)
        return self._repeated(own + root @ root.T)

    def covariance_trace(self) -> Array:
        spanned = self._sigma**4 / self._alpha**2 * (self._basis**2 @ self._taken) / self._noise
        return self._repeated((self._sigma**2 * self._variances / self._noise + spanned).sum())

    def fisher(self) -> Array:
        root = self._basis / self._root[:, None]
        matrix = (root * self._kept) @ root.T
        if not self._full:
            matrix += np.diag(1 / self._noise) - root @ root.T
        return self._repeated(matrix)

    def fisher_vector_product(self, v: Array) -> Array:
        scaled = v / self._root
        parts = scaled @ self._basis
        product = (parts * self._kept) @ self._basis.T
        if not self._full:
            rest = scaled - parts @ self._basis.T
            product += rest - (rest @ self._basis) @ self._basis.T  # once more: the first one rounds
        return product / self._root

    def fisher_trace(self) -> Array:
        squares = self._basis**2
        diagonal = squares @ self._kept
        if not self._full:
            diagonal += 1 - squares.sum(axis=1)
        return self._repeated((diagonal / self._noise).sum())

    def _repeated(self, value: Array) -> Array:
        """Return the same for each point: a Gaussian's posterior covariance does not depend on the point."""
        value = np.asarray(value)
        return np.broadcast_to(value, (len(self._residual), *value.shape))


@dataclasses.dataclass(frozen=True, eq=False)
class LowRankGaussianMixture(Law):
    """A Gaussian mixture of low-rank covariances as a :class:`~afi_reference.distribution.Distribution`.

    Time ``O(K d r^2)`` per noise level and ``O(K d r)`` per point; (d, d) matrices are formed only where the
    answer is one. Accuracy: that of longdouble arithmetic relative to ``1 / (alpha^2 min D + sigma^2)``. That
    is the size of the Fisher information unless the factors cover every coordinate of small D.

    Parameters
    ----------
    means
        Shape (K, d).
    factors
        U, shape (K, d, r): the covariance of component k is ``U U^T + diag(D)``.
    diagonal
        D, shape (K, d), or one number for all; non-negative.
    weights
        Shape (K,), non-negative, summing to 1 up to rounding; uniform when omitted.

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, a variance is negative, or the weights are not a
        distribution.
    """

    means: Array
    factors: Array
    diagonal: Array | float = 0.0
    weights: Array | None = None

    def __post_init__(self) -> None:
        means, factors = as_float_array(self.means, "means"), as_float_array(self.factors, "factors")
        if means.ndim != 2 or 0 in means.shape:
            raise ValueError(f"means must have shape (K, d) with K, d >= 1; got {means.shape}.")
        k, d = means.shape
        if factors.ndim != 3 or factors.shape[:2] != (k, d):
            raise ValueError(f"factors must have shape ({k}, {d}, r), one column per direction; got {factors.shape}.")
        diagonal = as_float_array(self.diagonal, "diagonal")
        if diagonal.shape not in ((), (k, d)):
            raise ValueError(f"diagonal must be a number or have shape ({k}, {d}); got {diagonal.shape}.")
        if (diagonal < 0).any():
            raise ValueError(f"diagonal holds variances, which must not be negative; the smallest is {diagonal.min()}.")
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "factors", factors)
        object.__setattr__(self, "diagonal", np.broadcast_to(diagonal, (k, d)))
        object.__setattr__(self, "weights", normalised_weights(self.weights, k))

    @property
    def dimension(self) -> int:
        """The dimension d of a data point."""
        return int(self.means.shape[1])

    def posterior(self, x: Array, alpha: Array, sigma: Array) -> Posterior:
        """Return the posterior at longdouble ``x`` (n, d)."""
        parts = zip(self.means, self.factors, np.asarray(self.diagonal), strict=True)
        components = [
            _Component(x, widened(mean), widened(factor), widened(variances), alpha, sigma)
            for mean, factor, variances in parts
        ]
        return MixturePosterior(components, log_of_weights(self.weights), x, alpha, sigma)

    def _parameters(self) -> tuple[Array, ...]:
        return self.means, self.factors, np.asarray(self.diagonal), np.asarray(self.weights)
