"""Mixtures of any laws: the law of total covariance, of their means and of their scores."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from afi_reference.distribution import Array, Distribution, normalised_weights
from afi_reference.families.law import Law, Posterior, posterior_of, widened


class MixturePosterior(Posterior):
    """The posterior of a mixture, by those of its components.

    The Fisher information is the posterior mean of the components' minus the posterior covariance of their
    scores; the covariance is the mean of the components' plus the covariance of their means.

    Parameters
    ----------
    components
        K posteriors at the same points.
    log_weights
        The logarithms of the prior weights, shape (K,).
    x, alpha, sigma
        The points, shape (n, d), and their noise level.
    """

    def __init__(
        self, components: Sequence[Posterior], log_weights: Array, x: Array, alpha: Array, sigma: Array
    ) -> None:
        self._components = components
        log_densities = np.stack([c.log_density() for c in components], axis=1)
        reference = np.argmax(log_weights + log_densities, axis=1)
        logits = log_weights + _log_ratios(components, log_densities, reference, x, alpha, sigma)
        best = logits.max(axis=1, keepdims=True)
        unnormalised = np.exp(logits - best)
        total = unnormalised.sum(axis=1, keepdims=True)
        self._weights = unnormalised / total  # (n, K)
        self._log_density = log_densities[np.arange(len(x)), reference] + (best + np.log(total))[:, 0]

    def log_density(self) -> Array:
        """Return ``log q_t``, shape (n,)."""
        return self._log_density

    def score(self) -> Array:
        """Return the score, shape (n, d)."""
        return self._scores()[0]

    def mean(self) -> Array:
        """Return the mean, shape (n, d)."""
        return self._means()[0]

    def covariance(self) -> Array:
        """Return the covariance, shape (n, d, d)."""
        _, centred = self._means()
        within = self._average(lambda c: c.covariance())
        return within + sum_over(self._weights, [m[:, :, None] * m[:, None, :] for m in centred])

    def covariance_trace(self) -> Array:
        """Return its trace, shape (n,)."""
        _, centred = self._means()
        within = self._average(lambda c: c.covariance_trace())
        return within + sum_over(self._weights, [(m * m).sum(axis=1) for m in centred])

    def fisher(self) -> Array:
        """Return the Fisher information, shape (n, d, d)."""
        _, centred = self._scores()
        within = self._average(lambda c: c.fisher())
        return within - sum_over(self._weights, [s[:, :, None] * s[:, None, :] for s in centred])

    def fisher_vector_product(self, v: Array) -> Array:
        """Return its product with ``v`` (n, d), shape (n, d)."""
        _, centred = self._scores()
        within = self._average(lambda c: c.fisher_vector_product(v))
        return within - sum_over(self._weights, [(s * v).sum(axis=1, keepdims=True) * s for s in centred])

    def fisher_trace(self) -> Array:
        """Return its trace, shape (n,)."""
        _, centred = self._scores()
        within = self._average(lambda c: c.fisher_trace())
        return within - sum_over(self._weights, [(s * s).sum(axis=1) for s in centred])

    def _average(self, quantity: Callable[[Posterior], Array]) -> Array:
        return sum_over(self._weights, [quantity(c) for c in self._components])

    def _means(self) -> tuple[Array, list[Array]]:
        return self._centre([c.mean() for c in self._components])

    def _scores(self) -> tuple[Array, list[Array]]:
        return self._centre([c.score() for c in self._components])

    def _centre(self, values: list[Array]) -> tuple[Array, list[Array]]:
        """Posterior mean of ``values[k]`` (n, d), and the values minus it.

        The mean is taken about the most probable component's value: a common part costs no digits.
        """
        best = np.argmax(self._weights, axis=1)
        anchor = np.stack(values)[best, np.arange(len(best))]
        shift = sum_over(self._weights, [value - anchor for value in values])
        return anchor + shift, [(value - anchor) - shift for value in values]


@dataclasses.dataclass(frozen=True, eq=False)
class MixtureOfLaws(Law):
    """A mixture of any distributions as a :class:`~afi_reference.distribution.Distribution`.

    As accurate as its laws are in longdouble arithmetic, relative to the largest of their Fisher informations
    and of the squares of their scores' differences.

    Parameters
    ----------
    laws
        K distributions of one dimension.
    weights
        Shape (K,), non-negative, summing to 1 up to rounding; uniform when omitted.

    Raises
    ------
    ValueError
        If there is no law, their dimensions differ, or the weights are not a distribution.
    """

    laws: Sequence[Distribution]
    weights: Array | None = None

    def __post_init__(self) -> None:
        laws = tuple(self.laws)
        if not laws:
            raise ValueError("laws must hold at least one law.")
        dimensions = sorted({law.dimension for law in laws})
        if len(dimensions) > 1:
            raise ValueError(f"laws must share one dimension; got {dimensions}.")
        object.__setattr__(self, "laws", laws)
        object.__setattr__(self, "weights", normalised_weights(self.weights, len(laws)))

    @property
    def dimension(self) -> int:
        """The dimension d of a data point."""
        return self.laws[0].dimension

    def posterior(self, x: Array, alpha: Array, sigma: Array) -> Posterior:
        """Return the posterior at longdouble ``x`` (n, d)."""
        components = [posterior_of(law, x, alpha, sigma) for law in self.laws]
        return MixturePosterior(components, log_of_weights(self.weights), x, alpha, sigma)

    def _parameters(self) -> tuple[Array, ...]:
        inner = (parameter for law in self.laws if isinstance(law, Law) for parameter in law._parameters())
        return (np.asarray(self.weights), *inner)


def _log_ratios(
    components: Sequence[Posterior], log_densities: Array, reference: Array, x: Array, alpha: Array, sigma: Array
) -> Array:
    """Return the log densities relative to that of the component ``reference`` (n,), shape (n, K).

    As they are, or from what is left of each about an anchor of its own, whichever adds up smaller numbers: the noise
    far from the data, and its normaliser in many dimensions, are large numbers that all components share.
    """
    points = np.arange(len(x))
    direct = log_densities - log_densities[points, reference][:, None]
    anchored = [part for part in (c.about_anchor() for c in components) if part is not None]
    if len(components) == 1 or len(anchored) < len(components):
        return direct
    place = np.stack([part.place for part in anchored])[reference, points]
    moves = np.stack(
        [
            alpha * ((part.place - place) * (2 * x - alpha * (part.place + place))).sum(axis=1) / (2 * sigma**2)
            for part in anchored
        ],
        axis=1,
    )
    ratios = np.stack([part.log_ratio for part in anchored], axis=1)
    about = ratios - ratios[points, reference][:, None] + moves
    smaller = (np.abs(ratios) + np.abs(moves)).max(axis=1) < np.abs(log_densities).max(axis=1)
    return np.where(smaller[:, None], about, direct)


def log_of_weights(weights: Array | None) -> Array:
    """Return the logarithms in longdouble; that of zero is -inf, which ``exp`` makes zero again."""
    with np.errstate(divide="ignore"):
        return np.log(widened(np.asarray(weights)))


def sum_over(weights: Array, values: list[Array]) -> Array:
    """Return the sum over k of ``weights[:, k] * values[k]``, of which each value has shape (n, ...)."""
    total = np.zeros_like(values[0])
    for w, value in zip(weights.T, values, strict=True):
        total += w.reshape(-1, *[1] * (value.ndim - 1)) * value
    return total
