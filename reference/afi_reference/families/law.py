"""What all families share: from a posterior at some points to the oracle's public methods."""

import abc
import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from afi_reference.distribution import Array, Distribution, Noise, as_float_array, as_noise_levels, as_points


class Posterior(abc.ABC):
    """The posterior of x_0 at n points that share a noise level, and what follows from it."""

    @abc.abstractmethod
    def log_density(self) -> Array:
        """``log q_t``, shape (n,)."""

    @abc.abstractmethod
    def score(self) -> Array:
        """Shape (n, d)."""

    @abc.abstractmethod
    def mean(self) -> Array:
        """Shape (n, d)."""

    @abc.abstractmethod
    def covariance(self) -> Array:
        """Shape (n, d, d)."""

    @abc.abstractmethod
    def covariance_trace(self) -> Array:
        """Shape (n,)."""

    @abc.abstractmethod
    def fisher(self) -> Array:
        """Shape (n, d, d)."""

    @abc.abstractmethod
    def fisher_vector_product(self, v: Array) -> Array:
        """Shape (n, d), for ``v`` of shape (n, d)."""

    @abc.abstractmethod
    def fisher_trace(self) -> Array:
        """Shape (n,)."""

    def about_anchor(self) -> "AboutAnchor | None":
        """``log q_t`` relative to the density of one point mass; None where only the whole of it is known."""
        return None


@dataclasses.dataclass(frozen=True)
class AboutAnchor:
    """``log q_t(x)`` minus ``log N(x; alpha place, sigma^2 I)``.

    Log densities of laws that are compared have large parts in common, which grow with d and with the distance from
    the data. This is what is left of them, computed without their difference.
    """

    place: Array  # (n, d)
    log_ratio: Array  # (n,)


class Law(abc.ABC):
    """A :class:`~afi_reference.distribution.Distribution` by its posterior at one noise level.

    The arithmetic is longdouble throughout; results are rounded to float64 unless an input is longdouble.
    """

    @property
    @abc.abstractmethod
    def dimension(self) -> int:
        """The dimension d of a data point."""

    @abc.abstractmethod
    def posterior(self, x: Array, alpha: Array, sigma: Array) -> Posterior:
        """Return the posterior at longdouble ``x`` (n, d); ``alpha`` and ``sigma`` have shape ()."""

    @abc.abstractmethod
    def _parameters(self) -> tuple[Array, ...]:
        """Return the arrays whose dtype decides that of the results."""

    def log_density(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``log q_t(x)`` in nats, shape (B,)."""
        return self._evaluate(lambda p: p.log_density(), x, alpha, sigma)

    def score(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Gradient of the log density, shape (B, d)."""
        return self._evaluate(lambda p: p.score(), x, alpha, sigma)

    def posterior_mean(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``E[x_0 | x_t = x]``, shape (B, d) (Prop. 4)."""
        return self._evaluate(lambda p: p.mean(), x, alpha, sigma)

    def posterior_covariance(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``Cov[x_0 | x_t = x]``, shape (B, d, d)."""
        return self._evaluate(lambda p: p.covariance(), x, alpha, sigma)

    def posterior_second_moment(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``E[|x_0|^2 | x_t = x]``, shape (B,) (Prop. 6, times d)."""
        return self._evaluate(lambda p: p.covariance_trace() + (p.mean() ** 2).sum(axis=1), x, alpha, sigma)

    def fisher(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Fisher information, shape (B, d, d) (Prop. 3, eq. 13)."""
        return self._evaluate(lambda p: p.fisher(), x, alpha, sigma)

    def fisher_vector_product(self, x: Array, v: Array, alpha: Noise, sigma: Noise) -> Array:
        """Fisher information times ``v``, shape (B, d), without forming the matrix (eq. 13 as an operator)."""
        v = as_directions(v, x, self.dimension)
        return self._evaluate(lambda p, v: p.fisher_vector_product(v), x, alpha, sigma, v)

    def fisher_trace(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Trace of the Fisher information, shape (B,) (Prop. 3 and 5)."""
        return self._evaluate(lambda p: p.fisher_trace(), x, alpha, sigma)

    def _evaluate(self, quantity: Callable[..., Array], x: Array, alpha: Noise, sigma: Noise, *others: Array) -> Array:
        """Evaluate ``quantity`` on the points of each noise level; put the results into the points' order."""
        points = as_points(x, self.dimension)
        alphas, sigmas = as_noise_levels(alpha, sigma, len(points))
        dtype = np.result_type(points, alphas, sigmas, *others, *self._parameters())
        parts, places = [], []
        for indices in points_by_level(alphas, sigmas):
            level = (widened(levels[indices[0]]) for levels in (alphas, sigmas))
            posterior = self.posterior(widened(points[indices]), *level)
            parts.append(quantity(posterior, *(widened(other[indices]) for other in others)).astype(dtype))
            places.append(indices)
        return np.concatenate(parts)[np.argsort(np.concatenate(places))]


class ForeignPosterior(Posterior):
    """The posterior of a distribution that is not a :class:`Law`, by its public methods."""

    def __init__(self, distribution: Distribution, x: Array, alpha: Array, sigma: Array) -> None:
        self._distribution = distribution
        self._point = (x, alpha, sigma)

    def log_density(self) -> Array:
        """Return ``log q_t``, shape (n,)."""
        return self._distribution.log_density(*self._point)

    def score(self) -> Array:
        """Return the score, shape (n, d)."""
        return self._distribution.score(*self._point)

    def mean(self) -> Array:
        """Return the mean, shape (n, d)."""
        return self._distribution.posterior_mean(*self._point)

    def covariance(self) -> Array:
        """Return the covariance, shape (n, d, d)."""
        return self._distribution.posterior_covariance(*self._point)

    def covariance_trace(self) -> Array:
        """Return its trace, shape (n,)."""
        return np.trace(self.covariance(), axis1=1, axis2=2)

    def fisher(self) -> Array:
        """Return the Fisher information, shape (n, d, d)."""
        return self._distribution.fisher(*self._point)

    def fisher_vector_product(self, v: Array) -> Array:
        """Return its product with ``v`` (n, d), shape (n, d)."""
        x, alpha, sigma = self._point
        return self._distribution.fisher_vector_product(x, v, alpha, sigma)

    def fisher_trace(self) -> Array:
        """Return its trace, shape (n,)."""
        return self._distribution.fisher_trace(*self._point)


def posterior_of(distribution: Distribution, x: Array, alpha: Array, sigma: Array) -> Posterior:
    """Return the posterior of any distribution at longdouble ``x`` (n, d) and one noise level."""
    if isinstance(distribution, Law):
        return distribution.posterior(x, alpha, sigma)
    return ForeignPosterior(distribution, x, alpha, sigma)


def mean_with_fewest_terms(
    direct: Array, terms: Array, posterior: Posterior, x: Array, alpha: Array, sigma: Array
) -> Array:
    """Return ``direct``, or the posterior mean by Tweedie's formula where that one adds up smaller numbers.

    Deep in the support the mean is near ``x / alpha``, which may be far smaller than the data's own location.

    Parameters
    ----------
    direct
        The posterior mean, shape (n, d), as the sum of numbers no larger than ``terms``, shape (n, d).
    """
    pull = sigma**2 * posterior.score()
    return np.where(np.abs(x) + np.abs(pull) < alpha * terms, (x + pull) / alpha, direct)


def points_by_level(alphas: Array, sigmas: Array) -> Iterator[Array]:
    """Yield the indices of the points of each noise level: what a level needs is computed once."""
    levels: dict[tuple[Array, Array], list[int]] = {}
    for index, level in enumerate(zip(alphas, sigmas, strict=True)):
        levels.setdefault(level, []).append(index)
    for indices in levels.values():
        yield np.array(indices)


def widened(values: Array) -> Array:
    """Return ``values`` in longdouble."""
    return np.asarray(values, dtype=np.longdouble)


def log_two_pi() -> Array:
    """Return ``log(2 pi)`` in longdouble: ``np.pi`` is a float64."""
    return np.asarray(np.log(8 * np.arctan(np.longdouble(1))))


def as_vector(values: object, name: str) -> Array:
    """Return ``values`` as a finite array of shape (d,).

    Raises
    ------
    ValueError
        If the shape is not (d,) with d >= 1, or an entry is not finite.
    """
    array = as_float_array(values, name)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name} must have shape (d,) with d >= 1; got {array.shape}.")
    return array


def as_directions(v: object, x: Array, dimension: int) -> Array:
    """Return ``v`` as an array of shape (B, d).

    Raises
    ------
    ValueError
        If there is not one direction per point.
    """
    directions = as_points(v, dimension, "v")
    if len(directions) != len(x):
        raise ValueError(f"v must hold one direction per point: {len(x)} points, {len(directions)} directions.")
    return directions
