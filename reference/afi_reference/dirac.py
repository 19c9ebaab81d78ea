"""Weighted mixture of Diracs (eq. 10): the empirical distribution of a data set, diffused."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from afi_reference import few_atoms
from afi_reference.distribution import (
    Array,
    Noise,
    Rounding,
    as_float_array,
    as_noise_levels,
    as_points,
    normalised_weights,
)
from afi_reference.extended import gram_matrix, weighted_sum

_MANY = 64
"""From so many atoms on the rounding of their sum is worth a second one."""


@dataclasses.dataclass(frozen=True)
class _Posterior:
    """The posterior over the atoms at one point, relative to its most probable atom.

    Moments are taken about that atom, then about the mean of the differences: nothing cancels, neither where
    one atom holds all the mass (the covariance is then tiny and still correct) nor under a large offset.
    Of many atoms the mean is taken once more, about itself: the rounding of a sum of N terms grows with N, but not if
    they cancel all along. Else it would be lost where the score is a small difference, at the mean of the data.
    """

    log_evidence: Array  # (): log of sum_i w_i exp(-|x - alpha y_i|^2 / (2 sigma^2))
    atom_weights: Array  # (N,), summing to 1
    weights: Array  # (M,): those that are not 0
    anchor: Array  # (d,): the most probable atom, or where there are many the mean to one rounding
    noise: Array  # (d,): x - alpha * anchor
    mean_difference: Array  # (d,): posterior mean minus anchor
    centred: Array  # (M, d): atoms minus posterior mean
    alpha: Array
    sigma: Array

    def mean(self) -> Array:
        return self.anchor + self.mean_difference

    def score(self) -> Array:
        return -(self.noise - self.alpha * self.mean_difference) / self.sigma**2

    def covariance(self) -> Array:
        return gram_matrix(np.sqrt(self.weights)[:, None] * self.centred)

    def covariance_vector_product(self, v: Array) -> Array:
        return weighted_sum(self.weights * (self.centred @ v), self.centred)

    def covariance_trace(self) -> Array:
        return (self.weights * (self.centred * self.centred).sum(axis=1)).sum()


@dataclasses.dataclass(frozen=True, eq=False)
class DiracMixture:
    """A weighted mixture of Diracs as a :class:`~afi_reference.distribution.Distribution`.

    Accuracy: float64 arithmetic, or longdouble where an input is longdouble. Squared distances are sums of
    squared differences, so that an offset of the data costs nothing; time ``O(B N d)``, memory ``O(N d)``.

    Parameters
    ----------
    atoms
        Shape (N, d), finite.
    weights
        Shape (N,), non-negative, summing to 1 up to rounding; uniform when omitted.
    round_distances
        Applied once to the squared distances, shape (N,). The identity unless the cost of rounding them is
        what you want to measure.
    round_mean
        The same for the posterior mean, shape (d,), about which the covariance is then taken.

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, or the weights are not a distribution.
    """

    atoms: Array
    weights: Array | None = None
    round_distances: Rounding | None = None
    round_mean: Rounding | None = None

    def __post_init__(self) -> None:
        atoms = as_float_array(self.atoms, "atoms")
        if atoms.ndim != 2 or 0 in atoms.shape:
            raise ValueError(f"atoms must have shape (N, d) with N, d >= 1; got {atoms.shape}.")
        object.__setattr__(self, "atoms", atoms)
        object.__setattr__(self, "weights", normalised_weights(self.weights, len(atoms)))

    @property
    def dimension(self) -> int:
        """The dimension d of an atom."""
        return int(self.atoms.shape[1])

    def log_density(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``log q_t(x)`` in nats, shape (B,) (eq. 26)."""
        half_d = self.dimension / 2
        if (many := self._at_once(x, alpha, sigma)) is not None:
            sigmas = as_noise_levels(alpha, sigma, len(many.weights))[1].astype(many.log_evidence.dtype)
            return many.log_evidence - half_d * np.log(2 * _pi(many.log_evidence) * sigmas**2)
        return np.stack(
            [
                p.log_evidence - half_d * np.log(2 * _pi(p.log_evidence) * p.sigma**2)
                for p in self._posteriors(x, alpha, sigma)
            ]
        )

    def score(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Gradient of the log density, shape (B, d) (eq. 27)."""
        return np.stack([p.score() for p in self._posteriors(x, alpha, sigma)])

    def posterior_mean(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``E[x_0 | x_t = x]``, shape (B, d) (Prop. 2)."""
        if (many := self._at_once(x, alpha, sigma)) is not None:
            return many.mean
        return np.stack([p.mean() for p in self._posteriors(x, alpha, sigma)])

    def posterior_covariance(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``Cov[x_0 | x_t = x]``, shape (B, d, d)."""
        return np.stack([p.covariance() for p in self._posteriors(x, alpha, sigma)])

    def posterior_second_moment(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``E[|x_0|^2 | x_t = x]``, shape (B,) (eq. 43, times d)."""
        if (many := self._at_once(x, alpha, sigma)) is not None:
            return np.asarray(many.covariance_trace + (many.mean * many.mean).sum(axis=1))
        return np.stack([p.covariance_trace() + p.mean() @ p.mean() for p in self._posteriors(x, alpha, sigma)])

    def fisher(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Fisher information, shape (B, d, d) (eq. 11)."""
        identity = np.eye(self.dimension)
        return np.stack(
            [
                identity / p.sigma**2 - (p.alpha / p.sigma**2) ** 2 * p.covariance()
                for p in self._posteriors(x, alpha, sigma)
            ]
        )

    def fisher_vector_product(self, x: Array, v: Array, alpha: Noise, sigma: Noise) -> Array:
        """Fisher information times ``v``, shape (B, d) (eq. 11 as an operator)."""
        x, v = as_points(x, self.dimension), as_points(v, self.dimension, "v")
        if len(v) != len(x):
            raise ValueError(f"v must hold one direction per point: {len(x)} points, {len(v)} directions.")
        return np.stack(
            [
                direction / p.sigma**2 - (p.alpha / p.sigma**2) ** 2 * p.covariance_vector_product(direction)
                for p, direction in zip(self._posteriors(x, alpha, sigma), v, strict=True)
            ]
        )

    def fisher_trace(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Trace of the Fisher information, shape (B,) (eq. 16)."""
        return np.stack(
            [
                self.dimension / p.sigma**2 - (p.alpha / p.sigma**2) ** 2 * p.covariance_trace()
                for p in self._posteriors(x, alpha, sigma)
            ]
        )

    def posterior_weights(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Posterior probability of each atom, shape (B, N) (``w_i`` of Prop. 1)."""
        if (many := self._at_once(x, alpha, sigma)) is not None:
            return many.weights
        return np.stack([p.atom_weights for p in self._posteriors(x, alpha, sigma)])

    def _posteriors(self, x: Array, alpha: Noise, sigma: Noise) -> Iterator[_Posterior]:
        points, alphas, sigmas, log_weights = self._arguments(x, alpha, sigma)
        for point, a, s in zip(points, alphas, sigmas, strict=True):
            yield self._posterior(point, a, s, log_weights)

    def _at_once(self, x: Array, alpha: Noise, sigma: Noise) -> few_atoms.Posteriors | None:
        """Return the posteriors at all points where that is faster, and nothing is to be rounded point by point."""
        rounded = self.round_distances is not None or self.round_mean is not None
        if rounded or not few_atoms.pays(np.shape(x), self.atoms):
            return None
        points, alphas, sigmas, log_weights = self._arguments(x, alpha, sigma)
        return few_atoms.posteriors(points, alphas, sigmas, self.atoms, log_weights)

    def _arguments(self, x: Array, alpha: Noise, sigma: Noise) -> tuple[Array, Array, Array, Array]:
        points = as_points(x, self.dimension)
        alphas, sigmas = as_noise_levels(alpha, sigma, len(points))
        dtype = np.result_type(points, alphas, sigmas, self.atoms)  # the widest, for the powers of sigma too
        with np.errstate(divide="ignore"):  # an atom of weight 0 has log weight -inf: exp makes it 0 again
            log_weights = np.log(np.asarray(self.weights, dtype=dtype))
        return points, alphas.astype(dtype), sigmas.astype(dtype), log_weights

    def _posterior(self, x: Array, alpha: Array, sigma: Array, log_weights: Array) -> _Posterior:
        # In place where it can be: at this size, memory traffic is the cost.
        work: Array = alpha * self.atoms
        np.subtract(x, work, out=work)
        np.multiply(work, work, out=work)
        squared_distances = work.sum(axis=1)
        if self.round_distances is not None:
            squared_distances = self.round_distances(squared_distances)
        logits = log_weights - squared_distances / (2 * sigma**2)
        best = int(np.argmax(logits))
        unnormalised = np.exp(logits - logits[best])
        total = unnormalised.sum()
        # Atoms whose weight is exactly 0 add exactly nothing, and at high SNR they are most.
        seen = unnormalised > 0
        weights, atoms = (unnormalised, self.atoms) if seen.all() else (unnormalised[seen], self.atoms[seen])
        weights = weights / total
        anchor = self.atoms[best]
        differences = atoms - anchor
        mean_difference = weights @ differences
        if len(weights) > _MANY:
            anchor = anchor + mean_difference
            differences = atoms - anchor
            mean_difference = weighted_sum(weights, differences)
        if self.round_mean is not None:
            mean_difference = self.round_mean(anchor + mean_difference) - anchor
        return _Posterior(
            log_evidence=logits[best] + np.log(total),
            atom_weights=unnormalised / total,
            weights=weights,
            anchor=anchor,
            noise=x - alpha * anchor,
            mean_difference=mean_difference,
            centred=differences - mean_difference,
            alpha=alpha,
            sigma=sigma,
        )


def _pi(like: Array) -> Array:
    """Return pi in the precision of ``like``: ``np.pi`` is a float64."""
    one: Array = np.ones_like(like)
    return 4 * np.arctan(one)
