"""The posterior of a density at one point, as nodes; every quantity with a bound on its error."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from afi_reference.distribution import Array
from afi_reference.families.cells import Landmark, Nodes, fit_nodes, in_parts
from afi_reference.families.law import log_two_pi
from afi_reference.families.peak import climb, scale_at

LogDensity: TypeAlias = Callable[[Array], Array]

EPS = 4 * np.finfo(np.float64).eps
"""Allowed for each rounded operation: a density's own last digit is rarely the nearest one."""

UNRESOLVED = 0.02
"""The difference of two rules bounds their error where both see the function. Where they differ by so much of the
integral they may as well have missed most of it."""

NEGLIGIBLE = -1000.0
"""A landmark that much below the peak, in nats, underflows with all that is within many of its scales."""

CANDIDATES = {1: 513, 2: 65}
"""Per axis: where the search for the highest point may start."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A quantity and a bound on the error of each of its entries."""

    value: Array
    error: Array


@dataclasses.dataclass(frozen=True)
class _Integrand:
    """``p(y) exp(-|x - alpha y|^2 / (2 sigma^2))`` near a place, as a function of the offset from it.

    ``noise`` is ``(alpha place - x) / sigma``, whose digits no offset can lose, and ``slope = alpha / sigma``.
    """

    log_density: LogDensity
    bounds: Array
    place: Array
    noise: Array
    slope: float

    def gain(self, offsets: Array) -> Array:
        """Return the rise of the logarithm over ``offsets`` (N, m) from the place, where it must be finite."""
        return self.gain_and_terms(offsets)[0]

    def gain_and_terms(self, offsets: Array) -> tuple[Array, Array]:
        """Return the same, and the size of what it is the sum of, (N,) each."""
        scaled = self.slope * offsets
        here, there = self._data(offsets), self.log_density(self.place[None])[0]
        exponent = (scaled * (self.noise + scaled / 2)).sum(axis=1)
        size = np.where(np.isfinite(here), np.abs(here), 0)
        return here - there - exponent, size + np.abs(there) + np.abs(exponent)

    def uncertainty(self, offsets: Array) -> tuple[Array]:
        """Return what rounding makes of the integrand at ``offsets`` (N, m), relative to it, one array (N,)."""
        scaled = self.slope * offsets
        here = self._data(offsets)
        change = np.zeros(len(offsets))
        for axis in range(offsets.shape[1]):  # what the density makes of the rounding of its argument
            for end in self.bounds[axis]:
                points = self._points(offsets)
                points[:, axis] = np.nextafter(points[:, axis], end)
                with np.errstate(invalid="ignore"):
                    difference = np.abs(self.log_density(points) - here)
                change += np.where(np.isnan(difference), 0, np.minimum(difference, 1))
        exponent = (np.abs(scaled) * (np.abs(self.noise) + np.abs(scaled))).sum(axis=1)
        return (change + EPS * (1 + np.where(np.isfinite(here), np.abs(here), 0) + exponent),)

    def _data(self, offsets: Array) -> Array:
        return self.log_density(self._points(offsets))

    def _points(self, offsets: Array) -> Array:
        return np.clip(self.place + offsets, self.bounds[:, 0], self.bounds[:, 1])


class PointPosterior:
    """The posterior at one point. Methods are named after the quantities of a distribution."""

    def __init__(self, integrand: _Integrand, nodes: Nodes, log_peak: Estimate, alpha: Array, sigma: Array) -> None:
        self._place, self._noise, self._log_peak = integrand.place, integrand.noise, log_peak
        self._alpha, self._sigma = float(alpha), float(sigma)
        # The moments are all that is kept: nodes take tens of megabytes, and there may be many points.
        average = _Average(nodes, integrand)
        self._total, self._doubt = average.total, average.doubt
        offset = np.array([(nodes.weights * o).sum() for o in np.moveaxis(nodes.offsets, 2, 0)]) / self._total
        centred = np.moveaxis(nodes.offsets - offset, 2, 0)
        first = [average(c) for c in centred]
        self._shift = Estimate(offset + [f[0] for f in first], np.array([f[1] for f in first]))
        second = np.array([[average(a * b) for a in centred] for b in centred])
        product = np.multiply.outer(self._shift.error, self._shift.error)
        self._spread = Estimate(second[:, :, 0], second[:, :, 1] + product)

    def log_density(self) -> Estimate:
        """Return ``log q_t``, shape ()."""
        m = len(self._place)
        terms = np.array(
            [
                self._log_peak.value,
                -(self._noise @ self._noise) / 2,
                -m / 2 * (float(log_two_pi()) + 2 * np.log(self._sigma)),
                np.log(self._total),
            ]
        )
        error = self._log_peak.error - np.log1p(-self._doubt) + EPS * np.abs(terms).sum()
        return Estimate(terms.sum(), error)

    def score(self) -> Estimate:
        """Return the score, shape (d,)."""
        slope = self._alpha / self._sigma
        value = (self._noise + slope * self._shift.value) / self._sigma
        rounding = EPS * (np.abs(self._noise) + slope * np.abs(self._shift.value)) / self._sigma
        return Estimate(value, slope / self._sigma * self._shift.error + rounding)

    def posterior_mean(self) -> Estimate:
        """Return the mean, shape (d,) (Prop. 4)."""
        rounding = EPS * (np.abs(self._place) + np.abs(self._shift.value))
        return Estimate(self._place + self._shift.value, self._shift.error + rounding)

    def posterior_covariance(self) -> Estimate:
        """Return the covariance, shape (d, d)."""
        return self._spread

    def posterior_second_moment(self) -> Estimate:
        """Return the mean of ``|x_0|^2``, shape ()."""
        mean = self.posterior_mean()
        error = np.trace(self._spread.error) + ((2 * np.abs(mean.value) + mean.error) * mean.error).sum()
        value = np.trace(self._spread.value) + mean.value @ mean.value
        return Estimate(value, error + EPS * value)

    def fisher(self) -> Estimate:
        """Return the Fisher information, shape (d, d) (Prop. 3)."""
        gain = (self._alpha / self._sigma) ** 2
        identity = np.eye(len(self._place))
        value = (identity - gain * self._spread.value) / self._sigma**2
        rounding = EPS * (identity + gain * np.abs(self._spread.value))
        return Estimate(value, (gain * self._spread.error + rounding) / self._sigma**2)

    def fisher_vector_product(self, v: Array) -> Estimate:
        """Return its product with ``v`` (d,), shape (d,)."""
        fisher, direction = self.fisher(), np.asarray(v, dtype=np.float64)
        error = (fisher.error + EPS * np.abs(fisher.value)) @ np.abs(direction)
        return Estimate(fisher.value @ direction, error)

    def fisher_trace(self) -> Estimate:
        """Return its trace, shape ()."""
        fisher = self.fisher()
        return Estimate(np.trace(fisher.value), np.trace(fisher.error))


class _Average:
    """The posterior mean of anything given at the nodes, and its error."""

    def __init__(self, nodes: Nodes, integrand: _Integrand) -> None:
        self._nodes = nodes
        self._rounding = nodes.weights * (_uncertainty(nodes, integrand) + EPS)
        self.total, error = self._integral(np.ones(nodes.weights.shape))
        self.doubt = _resolved(self.total, error, len(nodes.weights))

    def __call__(self, values: Array) -> tuple[Array, Array]:
        value, error = self._integral(values)
        return value / self.total, (error + np.abs(value) * self.doubt) / self.total / (1 - self.doubt)

    def _integral(self, values: Array) -> tuple[Array, Array]:
        value, error = self._nodes.integral(values)
        return value, error + (self._rounding * np.abs(values)).sum()


def _resolved(total: Array, error: Array, cells: int) -> float:
    """Return the relative error of an integral if it is an error, not a sign that the cells are too large.

    Raises
    ------
    ValueError
        If the cells are too large for what they hold.
    """
    doubt = float(error / total) if total > 0 else np.inf
    if not doubt < UNRESOLVED:
        raise ValueError(
            f"{cells} cells do not resolve the density: its integral is known to {doubt:.0%} only, and no error could "
            "be stated that holds. Give landmarks where it is narrow, tighter bounds, coordinates along which it "
            "extends, or a larger most_cells."
        )
    return doubt


def _uncertainty(nodes: Nodes, integrand: _Integrand) -> Array:
    offsets = nodes.offsets.reshape(-1, nodes.offsets.shape[2])
    (relative,) = in_parts(integrand.uncertainty, offsets)
    return relative.reshape(nodes.weights.shape)


def posterior_at_point(
    log_density: LogDensity,
    bounds: Array,
    landmarks: Array,
    most_cells: int,
    log_mass: Estimate,
    x: Array,
    alpha: Array,
    sigma: Array,
) -> PointPosterior:
    """Return the posterior at one longdouble point ``x`` (m,).

    Parameters
    ----------
    log_mass
        The logarithm of the density's integral within the bounds.
    """

    def near(place: Array) -> _Integrand:
        noise = ((alpha * place - x) / sigma).astype(np.float64)
        return _Integrand(log_density, bounds, place, noise, float(alpha / sigma))

    centre = np.clip((x / alpha).astype(np.float64), bounds[:, 0], bounds[:, 1])
    place, nodes = _fit(near, centre, landmarks, most_cells)
    height = log_density(place[None])[0]
    log_peak = Estimate(height - log_mass.value, log_mass.error + EPS * (np.abs(height) + np.abs(log_mass.value)))
    return PointPosterior(near(place), nodes, log_peak, alpha, sigma)


def total_mass(log_density: LogDensity, bounds: Array, landmarks: Array, most_cells: int) -> Estimate:
    """Return the logarithm of the integral of a density within the bounds."""

    def near(place: Array) -> _Integrand:
        return _Integrand(log_density, bounds, place, np.zeros(len(place)), 0.0)

    place, nodes = _fit(near, bounds.mean(axis=1), landmarks, most_cells)
    total, error = nodes.integral(np.ones(nodes.weights.shape))
    error = error + (nodes.weights * (_uncertainty(nodes, near(place)) + EPS)).sum()
    doubt = _resolved(total, error, len(nodes.weights))
    return Estimate(np.log(total) + log_density(place[None])[0], -np.log1p(-doubt))


def _fit(near: Callable[[Array], _Integrand], centre: Array, landmarks: Array, most_cells: int) -> tuple[Array, Nodes]:
    """Return the highest point of the integrand, shape (m,), and nodes about it."""
    start = near(centre)
    low, high = start.bounds[:, 0], start.bounds[:, 1]

    def gain(place: Array, offsets: Array) -> Array:
        return near(place).gain(offsets)

    place = climb(gain, _highest(start, centre, landmarks), low, high)
    peak = near(place)
    marks = [Landmark(np.zeros(len(place)), scale_at(gain, place, low, high))]
    for landmark in landmarks:
        if np.isfinite(start.log_density(landmark[None])[0]):
            matters = peak.gain((landmark - place)[None])[0] > NEGLIGIBLE
            scale = scale_at(gain, landmark, low, high) if matters else float((high - low).max())
            marks.append(Landmark(landmark - place, scale))
    return place, fit_nodes(peak.gain_and_terms, low - place, high - place, marks, most_cells)


def _highest(start: _Integrand, centre: Array, landmarks: Array) -> Array:
    """Return the best of many candidates: a grid, ever finer towards the Gaussian factor's centre; landmarks."""
    low, high = start.bounds[:, 0], start.bounds[:, 1]
    m = len(centre)
    axes = [np.linspace(a, b, CANDIDATES[m]) for a, b in start.bounds]
    if m == 1:
        halvings = 2.0 ** -np.arange(60)
        axes = [np.concatenate([axes[0], centre + (high - low) * halvings, centre - (high - low) * halvings])]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, m)
    candidates = np.clip(np.concatenate([grid, centre[None], landmarks]), low, high)
    heights = start.log_density(candidates)
    if not (heights > -np.inf).any():
        raise ValueError(
            "the density is zero at every point tried; tighten the bounds around its support, or give landmarks in it."
        )
    scaled = start.slope * (candidates - centre)
    heights = heights - (scaled * (start.noise + scaled / 2)).sum(axis=1)
    place: Array = candidates[np.argmax(heights)]
    return place
