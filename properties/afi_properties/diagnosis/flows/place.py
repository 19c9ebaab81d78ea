"""A place on a trajectory: points, their noise level, and what the data are like from there."""

import dataclasses
import functools

import numpy as np

from afi_properties.problem import Array


@dataclasses.dataclass(frozen=True, eq=False)
class Law:
    """Atoms, or components with covariances; ``logits`` and what else a variant changes are overridden by ``change``.

    Attributes
    ----------
    means
        Atoms or means, (N, d).
    covariances
        (N, d, d), or ``None`` for atoms.
    weights
        (N,), summing to 1.
    """

    means: Array
    covariances: Array | None
    weights: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """Points x (B, d) at the time t of a schedule, seen by a law at a noise level.

    Attributes
    ----------
    alpha, sigma
        The noise level that the law is diffused with, which may be a wrong one.
    f, g2
        The rates of the flow.
    axis
        Over which the posterior is normalised: 1 is right, 0 are the points of the batch.
    sharpness
        A factor of the log weights: 1 is right.
    determinants
        Whether the log determinants of components count, as is right.
    """

    law: Law
    x: Array
    t: float
    alpha: float
    sigma: float
    f: float
    g2: float
    axis: int = 1
    sharpness: float = 1.0
    determinants: bool = True

    @property
    def dimension(self) -> int:
        """Dimension d."""
        return int(self.x.shape[1])

    @functools.cached_property
    def _components(self) -> tuple[Array, Array, Array, Array | None]:
        """Squared distances (B, N), log determinants (N,), means of x_0 (B, N, d) and their covariances (N, d, d)."""
        law, away = self.law, self.x[:, None] - self.alpha * self.law.means
        if law.covariances is None:
            means = np.broadcast_to(law.means, away.shape)
            return (away**2).sum(axis=2) / self.sigma**2, np.zeros(len(law.means)), means, None
        total = self.alpha**2 * law.covariances + self.sigma**2 * np.eye(self.dimension)
        inverse = np.linalg.inv(total)
        distances = np.einsum("bni,nij,bnj->bn", away, inverse, away)
        gain = self.alpha * law.covariances @ inverse
        means = law.means + np.einsum("nij,bnj->bni", gain, away)
        return distances, np.linalg.slogdet(total)[1], means, law.covariances - self.alpha * gain @ law.covariances

    @functools.cached_property
    def shares(self) -> Array:
        """Posterior weights, (B, N)."""
        distances, determinants, _, _ = self._components
        logits = -self.sharpness * distances / 2 - (determinants / 2 if self.determinants else 0)
        with np.errstate(divide="ignore"):
            logits = logits + np.log(self.law.weights)
        shares = np.exp(logits - logits.max(axis=self.axis, keepdims=True))
        return np.asarray(shares / shares.sum(axis=self.axis, keepdims=True))

    @functools.cached_property
    def mean(self) -> Array:
        """``E[x_0 | x]``, (B, d)."""
        return np.einsum("bn,bnd->bd", self.shares, self._components[2])

    @functools.cached_property
    def second_moment(self) -> Array:
        """``E[x_0 x_0^T | x]``, (B, d, d)."""
        _, _, means, inside = self._components
        outer = np.einsum("bn,bni,bnj->bij", self.shares, means, means)
        return outer if inside is None else outer + np.einsum("bn,nij->bij", self.shares, inside)

    @functools.cached_property
    def covariance(self) -> Array:
        """``Cov[x_0 | x]``, (B, d, d)."""
        return np.asarray(self.second_moment - self.mean[:, :, None] * self.mean[:, None])

    @functools.cached_property
    def score(self) -> Array:
        """``grad log q``, (B, d)."""
        return np.asarray((self.alpha * self.mean - self.x) / self.sigma**2)

    @functools.cached_property
    def eye(self) -> Array:
        """The identity, (d, d)."""
        return np.eye(self.dimension)

    def fisher_with(self, covariance: Array, alpha_power: float = 2, sigma_power: float = 4) -> Array:
        """``I / sigma^2 - alpha^p / sigma^q covariance``, (B, d, d)."""
        return np.asarray(self.eye / self.sigma**2 - self.alpha**alpha_power / self.sigma**sigma_power * covariance)

    @functools.cached_property
    def fisher(self) -> Array:
        """F, (B, d, d)."""
        return self.fisher_with(self.covariance)
