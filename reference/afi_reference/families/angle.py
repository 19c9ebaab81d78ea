"""The angle between a point of the sphere and a pole, under the von Mises-Fisher law."""

import dataclasses
from collections.abc import Callable

import numpy as np

from afi_reference.distribution import Array
from afi_reference.families.quadrature import NEGLIGIBLE, gauss_legendre


@dataclasses.dataclass(frozen=True)
class Angle:
    """Moments of a unit vector u with density proportional to ``exp(kappa * u_1)`` on the sphere in R^d.

    All come from integrals of positive functions over the angle, so that no difference of Bessel functions
    loses digits: not at ``kappa = 0``, nor at large ``kappa``, nor at large d. Each has shape (n,).
    """

    log_evidence: Array  # log E[exp(kappa (u_1 - 1))] under the uniform law
    across: Array  # E[u_2^2] = A / kappa, with A = E[u_1]
    along: Array  # Var[u_1] = 1 - A^2 - (d - 1) A / kappa


def angle_moments(dimension: int, kappa: Array) -> Angle:
    """Return the moments for ``kappa >= 0`` of shape (n,), in longdouble."""
    if dimension == 1:
        return _two_points(kappa)
    log_evidence, across, along = _integrate(dimension, kappa)
    log_area, _, _ = _integrate(dimension, np.zeros_like(kappa[:1]))
    return Angle(log_evidence - log_area, across, along)


def _two_points(kappa: Array) -> Angle:
    small = np.exp(-2 * kappa)
    with np.errstate(invalid="ignore"):
        across = np.where(kappa > 0, np.tanh(kappa) / kappa, 1)
    return Angle(np.log1p(small) - np.log(np.longdouble(2)), across, 4 * small / (1 + small) ** 2)


def _integrate(dimension: int, kappa: Array) -> tuple[Array, Array, Array]:
    """Integrate ``sin(theta)^(d-2) exp(-2 kappa sin(theta/2)^2)`` and its moments over the angle theta."""
    power = np.longdouble(dimension - 2)
    root = power + np.sqrt(power**2 + 4 * kappa**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.where(root > 0, 2 * kappa / root, 1)  # of the most probable angle
        sine = np.sqrt(np.where(root > 0, 2 * power / root, 0))
        cotangent = np.where(power > 0, cosine / sine, 0)
    peak = np.arctan2(sine, cosine)

    def log_integrand(step: Array) -> tuple[Array, Array]:
        """Relative to the peak; also the difference of the cosines, again free of cancellation."""
        drop = 2 * np.sin(peak[:, None] + step / 2) * np.sin(step / 2)
        growth = cotangent[:, None] * np.sin(step) - 2 * np.sin(step / 2) ** 2
        with np.errstate(divide="ignore"):
            logarithm = power * np.log1p(np.maximum(growth, -1)) if power > 0 else 0
        return logarithm - kappa[:, None] * drop, drop

    low, high = (_edge(log_integrand, end) for end in (-peak, 4 * np.arctan(np.longdouble(1)) - peak))
    nodes, weights = gauss_legendre()
    step = low[:, None] + (high - low)[:, None] * nodes
    logs, drop = log_integrand(step)
    mass = weights * np.exp(logs)
    total = mass.sum(axis=1)
    log_integral = np.log((high - low) * total) - 2 * kappa * np.sin(peak / 2) ** 2
    if power > 0:
        log_integral = log_integral - power / 2 * np.log1p(kappa * cosine / power)
    across = (mass * np.sin(peak[:, None] + step) ** 2).sum(axis=1) / total / (dimension - 1)
    mean_drop = (mass * drop).sum(axis=1) / total
    along = (mass * (drop - mean_drop[:, None]) ** 2).sum(axis=1) / total
    return log_integral, across, along


def _edge(log_integrand: Callable[[Array], tuple[Array, Array]], end: Array) -> Array:
    """Return the step, at most ``end``, beyond which the integrand is negligible; it falls from 0 to ``end``."""
    near, far = np.zeros_like(end), end
    for _ in range(70):
        middle = (near + far) / 2
        negligible = log_integrand(middle[:, None])[0][:, 0] < -NEGLIGIBLE
        near, far = np.where(negligible, near, middle), np.where(negligible, middle, far)
    return far
