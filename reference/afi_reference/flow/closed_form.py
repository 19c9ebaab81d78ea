"""The flow of one point in closed form: for a Gaussian it is linear."""

from dataclasses import dataclass

import numpy as np

from afi_reference.dirac import DiracMixture
from afi_reference.distribution import Array, Distribution
from afi_reference.flow.level import Level
from afi_reference.flow.result import PointAnswer
from afi_reference.gaussian import GaussianMixture

_EPS = float(np.finfo(np.float64).eps)
_ROUNDINGS = 16


@dataclass(frozen=True, eq=False)
class GaussianFlow:
    """The flow of ``N(mean, axes diag(variances) axes^T)`` for one point ``x`` of shape (d,).

    From ``start`` (s) to ``end`` (T) the flow stretches ``x - alpha mean`` along each principal axis by
    ``sqrt((alpha_T^2 lam + sigma_T^2) / (alpha_s^2 lam + sigma_s^2))``, lam the variance along that axis.

    Attributes
    ----------
    mean
        Shape (d,).
    variances
        Shape (d,), not negative.
    axes
        Shape (d, d): the principal axes as columns.
    uncertainty
        Error of the variances, from the rounding of the decomposition.
    """

    mean: Array
    variances: Array
    axes: Array
    uncertainty: float

    @classmethod
    def of(cls, distribution: Distribution) -> "GaussianFlow | None":
        """Return the flow of a single Gaussian or a single atom; None for other data."""
        if isinstance(distribution, DiracMixture) and len(distribution.atoms) == 1:
            d = distribution.dimension
            return cls(distribution.atoms[0].astype(np.float64), np.zeros(d), np.eye(d), 0.0)
        if not isinstance(distribution, GaussianMixture) or len(distribution.means) != 1:
            return None
        mean = distribution.means[0].astype(np.float64)
        covariance = distribution.covariances[0].astype(np.float64)
        if covariance.ndim == 1:
            return cls(mean, covariance, np.eye(len(mean)), 0.0)
        variances, axes = np.linalg.eigh(covariance)
        # A negative variance is the rounding of a covariance without full rank.
        variances = np.maximum(variances, 0.0)
        return cls(mean, variances, axes, 4 * len(mean) * _EPS * float(variances.max()))

    def transport(self, x: Array, start: Level, end: Level) -> PointAnswer:
        """Return the point at ``end``, shape (d,)."""
        moved = self.axes @ (self._stretch(start, end) * self._principal(x, start))
        value = end.alpha * self.mean + moved
        error = self._relative(start, end) * np.linalg.norm(moved) + 2 * _EPS * np.linalg.norm(end.alpha * self.mean)
        return PointAnswer(value, float(error), 0)

    def jacobian(self, x: Array, start: Level, end: Level) -> PointAnswer:
        """Return ``d x_end / d x_start``, shape (d, d): the same at every point, symmetric."""
        del x
        value = (self.axes * self._stretch(start, end)) @ self.axes.T
        return PointAnswer(value, float(self._relative(start, end) * np.linalg.norm(value)), 0)

    def adjoint(self, x: Array, loss_grad: Array, start: Level, end: Level) -> PointAnswer:
        """Return ``(d x_end / d x_start)^T loss_grad``, shape (d,)."""
        del x
        stretch = self._stretch(start, end)
        value = self.axes @ (stretch * (self.axes.T @ loss_grad))
        error = self._relative(start, end) * stretch.max() * np.linalg.norm(loss_grad)
        return PointAnswer(value, float(error), 0)

    def log_determinant(self, x: Array, start: Level, end: Level) -> PointAnswer:
        """Return ``log|det d x_end / d x_start|``, shape ()."""
        del x
        value = np.log(self._stretch(start, end)).sum()
        error = len(self.mean) * self._relative(start, end) + _EPS * abs(value)
        return PointAnswer(np.asarray(value), float(error), 0)

    def log_likelihood(self, x: Array, start: Level, end: Level) -> PointAnswer:
        """Return ``log q_start(x)`` in nats from ``log q_end`` and the change of variables, shape ()."""
        determinant = self.log_determinant(x, start, end)
        moved = self._stretch(start, end) * self._principal(x, start)
        variances = self._diffused(end)
        distance = (moved * moved / variances).sum()
        density = -(distance + np.log(2 * np.pi * variances).sum()) / 2
        rounding = self._relative(start, end) * (len(x) + distance) + _ROUNDINGS * _EPS * abs(density)
        return PointAnswer(density + determinant.value, float(determinant.error + rounding), 0)

    def _principal(self, x: Array, level: Level) -> Array:
        return level.alpha * (self.axes.T @ level.data_coordinates(x, self.mean))

    def _diffused(self, level: Level) -> Array:
        return level.alpha**2 * self.variances + level.sigma**2

    def _stretch(self, start: Level, end: Level) -> Array:
        return np.sqrt(self._diffused(end) / self._diffused(start))

    def _relative(self, start: Level, end: Level) -> float:
        """Relative error of the stretch: of rounding, and of the variance that is known least well."""
        least = float(self.variances.min()) + min(start.ratio, end.ratio) ** 2
        return float(_ROUNDINGS * _EPS * np.sqrt(len(self.mean)) + self.uncertainty / least)
