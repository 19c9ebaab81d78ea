"""Gaussian and Gaussian mixture, diffused: a Gaussian mixture again (Diracs are the limit of covariance 0)."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from afi_reference.distribution import (
    Array,
    Noise,
    Rounding,
    as_float_array,
    as_noise_levels,
    as_points,
    normalised_weights,
)
from afi_reference.extended import accurate_product, inverse_and_log_determinant


@dataclasses.dataclass(frozen=True)
class _Component:
    """One component at one noise level: ``N(alpha mean, C)`` with ``C = alpha^2 Sigma + sigma^2 I``.

    ``precision`` is ``C^-1`` of shape (d, d), or its diagonal, shape (d,), for a diagonal covariance.
    ``log_determinant`` is that of ``C / unit``, for a unit that all components share: what their log determinants
    have in common grows with d, and would cost the posterior weights digits.
    """

    mean: Array
    covariance: Array
    precision: Array
    log_determinant: Array
    alpha: Array
    sigma: Array
    rounding: Rounding

    @classmethod
    def at(
        cls, mean: Array, covariance: Array, alpha: Array, sigma: Array, unit: Array, rounding: Rounding | None
    ) -> "_Component":
        rounding = rounding or _exactly
        if covariance.ndim == 1:
            diffused = rounding(alpha**2 * covariance + sigma**2)
            precision, log_determinant = 1 / diffused, np.log(diffused / unit).sum()
        else:
            diffused = rounding(alpha**2 * covariance + sigma**2 * np.eye(len(mean)))
            inverse, log_determinant = inverse_and_log_determinant((diffused + diffused.T) / (2 * unit))
            precision = inverse / unit
        if rounding is not _exactly:
            # What is rounded elsewhere is the whole of it, not the part above the common unit.
            common = len(mean) * np.log(unit)
            log_determinant = rounding(log_determinant + common) - common
        return cls(mean, covariance, precision, log_determinant, alpha, sigma, rounding)

    def score(self, x: Array) -> Array:
        return -self.rounding(_times(self.precision, x - self.alpha * self.mean))

    def squared_mahalanobis(self, x: Array) -> Array:
        return -((x - self.alpha * self.mean) * self.score(x)).sum(axis=1)

    def posterior_shift(self, x: Array) -> Array:
        """Return the posterior mean minus the mean, shape (B, d)."""
        return -self.alpha * _times(self.covariance, self.score(x))

    def posterior_covariance(self) -> Array:
        """``sigma^2 Sigma C^-1``, or what it is where the data are wider than the noise in every direction.

        That is ``(sigma / alpha)^2 (I - sigma^2 C^-1)``, a small number from the identity: the product of a large and
        a small matrix would multiply the rounding of the inverse.
        """
        if self.covariance.ndim == 1:
            return np.diag(self.sigma**2 * self.covariance * self.precision)
        if self._is_wide():
            rest = np.eye(len(self.mean)) - self.sigma**2 * self.precision
            return (self.sigma / self.alpha) ** 2 * rest
        gain = self.sigma**2 * accurate_product(self.covariance, self.precision)
        return (gain + gain.T) / 2

    def posterior_covariance_trace(self) -> Array:
        if self._is_wide():
            return (self.sigma / self.alpha) ** 2 * (len(self.mean) - self.sigma**2 * self.precision_trace())
        return self.sigma**2 * _product_trace(self.covariance, self.precision)

    def _is_wide(self) -> bool:
        """Whether no eigenvalue of ``sigma^2 C^-1`` is above 1/2, by a norm that bounds them."""
        if self.covariance.ndim == 1:
            return False
        return bool(self.sigma**2 * np.abs(self.precision).sum(axis=1).max() <= 0.5)

    def precision_matrix(self) -> Array:
        return np.diag(self.precision) if self.precision.ndim == 1 else self.precision

    def precision_trace(self) -> Array:
        return self.precision.sum() if self.precision.ndim == 1 else np.trace(self.precision)


@dataclasses.dataclass(frozen=True)
class _Posterior:
    """The posterior over the components at points that share a noise level."""

    components: list[_Component]
    log_density: Array  # (B,)
    weights: Array  # (B, K)
    x: Array  # (B, d)

    def mean_of(self, values: list[Array]) -> tuple[Array, list[Array]]:
        """Posterior mean over the components of ``values[k]`` (B, d), and the centred values.

        The mean is taken about the most probable component's value, so that neither it nor the centred
        values lose digits to a common part.
        """
        best = np.argmax(self.weights, axis=1)
        anchor = np.stack(values)[best, np.arange(len(best))]
        shift = sum(w[:, None] * (value - anchor) for w, value in zip(self.weights.T, values, strict=True))
        return anchor + shift, [(value - anchor) - shift for value in values]

    def scores(self) -> list[Array]:
        return [component.score(self.x) for component in self.components]

    def means(self) -> tuple[Array, list[Array]]:
        """Posterior mean (B, d), and the components' minus it.

        Each component's is ``mean + shift``, and by Tweedie's formula ``(x + sigma^2 score) / alpha``. What is added to
        a place that all components share, the most probable one's mean or ``x / alpha``, decides how many digits are
        kept: whichever is smaller.
        """
        alpha, sigma = self.components[0].alpha, self.components[0].sigma
        best = np.argmax(self.weights, axis=1)
        base = np.stack([c.mean for c in self.components])[best]
        steps = np.stack([(c.mean - base) + c.posterior_shift(self.x) for c in self.components])
        pulls = np.stack(self.scores()) * (sigma**2 / alpha)
        by_score = np.abs(pulls).max(axis=0) < np.abs(steps).max(axis=0)
        steps = np.where(by_score, pulls, steps)
        step, centred = self.mean_of(list(steps))
        return np.where(by_score, self.x / alpha, base) + step, centred


_Quantity: TypeAlias = Callable[..., Array]


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianMixture:
    """A Gaussian mixture as a :class:`~afi_reference.distribution.Distribution`.

    Accuracy: float64 arithmetic, or longdouble where an input is longdouble. The Fisher information is the
    posterior mean of the components' precisions minus the posterior covariance of their scores, which stays
    finite where sigma goes to 0; ``I / sigma^2`` minus a covariance would not. In more than 128 dimensions float64
    inverses are refined and products with matrices split, so that their rounding does not grow with d.

    Parameters
    ----------
    means
        Shape (K, d), finite.
    covariances
        Shape (K, d, d), symmetric positive semi-definite; or (K, d): diagonals, for which no matrix is formed.
    weights
        Shape (K,), non-negative, summing to 1 up to rounding; uniform when omitted.
    round_distances
        Applied once to the squared Mahalanobis distances, shape (B, K). The identity unless the cost of
        rounding them is what you want to measure.

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, a covariance is not symmetric or has a negative
        eigenvalue, or the weights are not a distribution.
    """

    means: Array
    covariances: Array
    weights: Array | None = None
    round_distances: Rounding | None = None
    round_components: Rounding | None = None

    def __post_init__(self) -> None:
        means = as_float_array(self.means, "means")
        if means.ndim != 2 or 0 in means.shape:
            raise ValueError(f"means must have shape (K, d) with K, d >= 1; got {means.shape}.")
        k, d = means.shape
        covariances = as_float_array(self.covariances, "covariances")
        if covariances.shape not in ((k, d, d), (k, d)):
            raise ValueError(
                f"covariances must have shape ({k}, {d}, {d}), or ({k}, {d}) for diagonals; got {covariances.shape}."
            )
        _require_covariances(covariances)
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "covariances", covariances)
        object.__setattr__(self, "weights", normalised_weights(self.weights, k))

    @property
    def dimension(self) -> int:
        """The dimension d of a data point."""
        return int(self.means.shape[1])

    def log_density(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``log q_t(x)`` in nats, shape (B,) (eq. 34)."""
        return self._collect(x, alpha, sigma, lambda p: p.log_density)

    def score(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Gradient of the log density, shape (B, d) (eq. 35)."""
        return self._collect(x, alpha, sigma, lambda p: p.mean_of(p.scores())[0])

    def posterior_mean(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``E[x_0 | x_t = x]``, shape (B, d) (Prop. 4)."""
        return self._collect(x, alpha, sigma, lambda p: p.means()[0])

    def posterior_covariance(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``Cov[x_0 | x_t = x]``, shape (B, d, d)."""

        def covariance(p: _Posterior) -> Array:
            _, centred = p.means()
            return _mixture(p.weights, [c.posterior_covariance() for c in p.components]) + _outer(p.weights, centred)

        return self._collect(x, alpha, sigma, covariance)

    def posterior_second_moment(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``E[|x_0|^2 | x_t = x]``, shape (B,) (Prop. 6, times d)."""

        def second_moment(p: _Posterior) -> Array:
            traces = np.stack([c.posterior_covariance_trace() for c in p.components])
            mean, centred = p.means()
            squares = np.stack([(m * m).sum(axis=1) for m in centred], axis=1)
            return p.weights @ traces + (p.weights * squares).sum(axis=1) + (mean * mean).sum(axis=1)

        return self._collect(x, alpha, sigma, second_moment)

    def fisher(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Fisher information, shape (B, d, d) (Prop. 3)."""

        def matrix(p: _Posterior) -> Array:
            _, centred = p.mean_of(p.scores())
            return _mixture(p.weights, [c.precision_matrix() for c in p.components]) - _outer(p.weights, centred)

        return self._collect(x, alpha, sigma, matrix)

    def fisher_vector_product(self, x: Array, v: Array, alpha: Noise, sigma: Noise) -> Array:
        """Fisher information times ``v``, shape (B, d), without forming the matrix per point."""
        x, v = as_points(x, self.dimension), as_points(v, self.dimension, "v")
        if len(v) != len(x):
            raise ValueError(f"v must hold one direction per point: {len(x)} points, {len(v)} directions.")

        def product(p: _Posterior, v: Array) -> Array:
            _, centred = p.mean_of(p.scores())
            terms = [
                w[:, None] * (_times(c.precision, v) - (s * v).sum(axis=1)[:, None] * s)
                for w, c, s in zip(p.weights.T, p.components, centred, strict=True)
            ]
            return np.asarray(sum(terms))

        return self._collect(x, alpha, sigma, product, v)

    def fisher_trace(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Trace of the Fisher information, shape (B,) (Prop. 3 and 5)."""

        def trace(p: _Posterior) -> Array:
            _, centred = p.mean_of(p.scores())
            squares = np.stack([(s * s).sum(axis=1) for s in centred], axis=1)
            return p.weights @ np.stack([c.precision_trace() for c in p.components]) - (p.weights * squares).sum(axis=1)

        return self._collect(x, alpha, sigma, trace)

    def _collect(self, x: Array, alpha: Noise, sigma: Noise, quantity: "_Quantity", *others: Array) -> Array:
        """Evaluate ``quantity`` on the points of each noise level; put the results into the points' order."""
        points = as_points(x, self.dimension)
        alphas, sigmas = as_noise_levels(alpha, sigma, len(points))
        dtype = np.result_type(points, alphas, sigmas, self.means, self.covariances)
        alphas, sigmas = alphas.astype(dtype), sigmas.astype(dtype)  # the widest, for the powers of sigma too
        parts, places = [], []
        for indices in _points_by_level(alphas, sigmas):
            posterior = self._posterior(points[indices], alphas[indices[0]], sigmas[indices[0]])
            parts.append(quantity(posterior, *(other[indices] for other in others)))
            places.append(indices)
        return np.concatenate(parts)[np.argsort(np.concatenate(places))]

    def _posterior(self, x: Array, alpha: Array, sigma: Array) -> _Posterior:
        unit = self._unit(alpha, sigma)
        components = [
            _Component.at(mean, covariance, alpha, sigma, unit, self.round_components)
            for mean, covariance in zip(self.means, self.covariances, strict=True)
        ]
        distances = np.stack([c.squared_mahalanobis(x) for c in components], axis=1)
        if self.round_distances is not None:
            distances = self.round_distances(distances)
        prior = np.asarray(self.weights, dtype=distances.dtype)
        with np.errstate(divide="ignore"):  # a component of weight 0 has log weight -inf: exp makes it 0 again
            log_weights = np.log(prior)
        logits = log_weights - np.stack([c.log_determinant for c in components]) / 2 - distances / 2
        largest = logits.max(axis=1, keepdims=True)
        unnormalised = np.exp(logits - largest)
        total = unnormalised.sum(axis=1, keepdims=True)
        two_pi = 8 * np.arctan(np.ones_like(total[:, 0]))  # in the precision of the computation
        log_density = (largest + np.log(total))[:, 0] - self.dimension / 2 * np.log(two_pi * unit)
        return _Posterior(components, log_density, unnormalised / total, x)

    def _unit(self, alpha: Array, sigma: Array) -> Array:
        """Return a power of two near the variances of the first component, so that dividing by it rounds nothing."""
        first = self.covariances[0]
        variances = alpha**2 * (np.diagonal(first) if first.ndim == 2 else first) + sigma**2
        return np.exp2(np.round(np.log2(variances).mean()))


def gaussian(mean: Array, covariance: Array) -> GaussianMixture:
    """Return the Gaussian with ``mean`` (d,) and ``covariance`` (d, d), or (d,) for a diagonal one."""
    return GaussianMixture(np.asarray(mean)[None], np.asarray(covariance)[None])


def _exactly(values: Array) -> Array:
    return values


def _points_by_level(alphas: Array, sigmas: Array) -> Iterator[Array]:
    """Yield the indices of the points of each noise level: a level's matrices are factorised once."""
    levels: dict[tuple[Array, Array], list[int]] = {}
    for index, level in enumerate(zip(alphas, sigmas, strict=True)):
        levels.setdefault(level, []).append(index)
    for indices in levels.values():
        yield np.array(indices)


def _times(matrix: Array, rows: Array) -> Array:
    """Apply a symmetric matrix (d, d), or a diagonal (d,), to each row of (B, d)."""
    return rows * matrix if matrix.ndim == 1 else accurate_product(rows, matrix)


def _product_trace(a: Array, b: Array) -> Array:
    return (a * b).sum()  # of symmetric matrices, or of diagonals


def _mixture(weights: Array, matrices: list[Array]) -> Array:
    return np.asarray(sum(w[:, None, None] * m for w, m in zip(weights.T, matrices, strict=True)))


def _outer(weights: Array, vectors: list[Array]) -> Array:
    terms = [w[:, None, None] * v[:, :, None] * v[:, None, :] for w, v in zip(weights.T, vectors, strict=True)]
    return np.asarray(sum(terms))


def _require_covariances(covariances: Array) -> None:
    if covariances.ndim == 2:
        if (covariances < 0).any():
            raise ValueError(f"variances must not be negative; the smallest is {covariances.min()}.")
        return
    for k, covariance in enumerate(covariances):
        if (covariance != covariance.T).any():
            raise ValueError(f"covariances[{k}] is not symmetric; pass (C + C.T) / 2.")
    eigenvalues = np.linalg.eigvalsh(covariances.astype(np.float64))
    # The slack is the rounding of the entries themselves, at most d times the largest eigenvalue's.
    slack = covariances.shape[1] * np.finfo(np.float64).eps * abs(eigenvalues).max(axis=1)
    for worst in np.flatnonzero(eigenvalues[:, 0] < -slack):
        raise ValueError(f"covariances[{worst}] has the negative eigenvalue {eigenvalues[worst, 0]:.3g}.")
