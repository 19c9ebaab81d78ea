"""The standard normal law on an interval: what the posterior of a uniform law is, in units of the noise."""

import dataclasses

import numpy as np

from afi_reference.distribution import Array
from afi_reference.families.law import log_two_pi
from afi_reference.families.quadrature import NEGLIGIBLE, gauss_legendre


@dataclasses.dataclass(frozen=True)
class TruncatedNormal:
    """Moments of z ~ N(0, 1) given ``lower < z < upper``, elementwise.

    Every one is a sum of positive terms, or one minus a number below 0.4: nothing cancels, neither where the
    interval is many standard deviations away nor where it holds nearly all of the mass.
    """

    log_mass: Array
    log_relative_mass: Array  # the mass over the density at its highest point in the interval
    mean: Array
    variance: Array
    one_minus_variance: Array
    outside: Array  # bool: zero is not in the interval
    mirrored: Array  # bool: the edge closer to zero is the upper one
    beyond_edge: Array  # E|z - closer edge|, where outside


def truncated_normal(lower: Array, upper: Array, width: Array) -> TruncatedNormal:
    """Return the moments for arrays of one shape.

    Parameters
    ----------
    width
        ``upper - lower``, handed over because the difference may lose digits.
    """
    mirrored = lower + upper < 0
    near = np.where(mirrored, -upper, lower)
    far = np.where(mirrored, -lower, upper)
    outside = near >= 0
    # Beyond these the density is exp(-NEGLIGIBLE) of its peak, which is at zero or at the near edge.
    reach = np.sqrt(np.longdouble(2 * NEGLIGIBLE))
    start = np.maximum(near, -reach)
    decay = reach**2 / (np.maximum(near, 0) + np.sqrt(np.maximum(near, 0) ** 2 + reach**2))
    end = np.where(outside, np.minimum(width, decay), np.minimum(width - (start - near), reach - start))
    peak = np.where(outside, near, 0)

    nodes, weights = gauss_legendre()
    offset = end[..., None] * nodes
    start_, peak_ = start[..., None], peak[..., None]
    mass = weights * np.exp(-(offset * (start_ + offset / 2) + (start_ - peak_) * (start_ + peak_) / 2))
    total = mass.sum(axis=-1)
    offset_mean = (mass * offset).sum(axis=-1) / total
    variance = (mass * (offset - offset_mean[..., None]) ** 2).sum(axis=-1) / total

    # Inside, by the boundary terms of an integration by parts: all of one sign.
    scale = 1 / (end * total)
    at_near = scale * np.exp(-(near**2 - peak**2) / 2)
    at_far = scale * np.exp(-(far**2 - peak**2) / 2)
    inside_mean = at_near * -np.expm1(-width * np.abs(lower + upper) / 2)
    inside_rest = far * at_far - near * at_near + inside_mean**2
    mean = np.where(outside, near + offset_mean, inside_mean)
    log_relative_mass = np.log(end * total)
    return TruncatedNormal(
        log_mass=log_relative_mass - (peak**2 + log_two_pi()) / 2,
        log_relative_mass=log_relative_mass,
        mean=np.where(mirrored, -mean, mean),
        variance=variance,
        one_minus_variance=np.where(outside, 1 - variance, inside_rest),
        outside=outside,
        mirrored=mirrored,
        beyond_edge=offset_mean,
    )
