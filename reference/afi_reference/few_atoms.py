"""The posterior over few small atoms at many points at once: there Python's own time is the cost of one by one.

The formulas are those of :mod:`~afi_reference.dirac`, about the most probable atom of each point.
"""

import dataclasses

import numpy as np

from afi_reference.distribution import Array

_POINTS = 64
"""From so many points on it pays."""

_NUMBERS = 256
"""Numbers that the atoms may have: with more, one point alone is work for NumPy."""

_PART = 2**18
"""Numbers of a temporary array: points are handled in parts, so that memory stays small."""


@dataclasses.dataclass(frozen=True)
class Posteriors:
    """Moments of the posterior over atoms (N, d) at points (B, d)."""

    log_evidence: Array  # (B,): log of sum_i w_i exp(-|x - alpha y_i|^2 / (2 sigma^2))
    weights: Array  # (B, N), summing to 1
    mean: Array  # (B, d)
    covariance_trace: Array  # (B,)


def pays(points: tuple[int, ...], atoms: Array) -> bool:
    """Whether points of this shape, (B, d), are many and atoms (N, d) few."""
    return atoms.size <= _NUMBERS and len(points) == 2 and points[0] >= _POINTS


def posteriors(points: Array, alpha: Array, sigma: Array, atoms: Array, log_weights: Array) -> Posteriors:
    """Return the moments at ``points`` (B, d), for noise levels (B,), in the widest of the precisions given."""
    count = max(1, _PART // atoms.size)
    parts = [slice(begin, begin + count) for begin in range(0, len(points), count)]
    found = [_some(points[p], alpha[p, None], sigma[p, None], atoms, log_weights) for p in parts]
    return Posteriors(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _some(points: Array, alpha: Array, sigma: Array, atoms: Array, log_weights: Array) -> tuple[Array, ...]:
    squared_distances = ((points[:, None] - alpha[..., None] * atoms) ** 2).sum(axis=2)
    logits = log_weights - squared_distances / (2 * sigma**2)
    best = logits.argmax(axis=1)
    top = logits.max(axis=1)
    unnormalised = np.exp(logits - top[:, None])
    total = unnormalised.sum(axis=1)
    weights = unnormalised / total[:, None]
    differences = (atoms - atoms[:, None])[best]  # (B, N, d): from the most probable one
    mean_difference = (weights[..., None] * differences).sum(axis=1)
    centred = differences - mean_difference[:, None]
    covariance_trace = (weights * (centred * centred).sum(axis=2)).sum(axis=1)
    return top + np.log(total), weights, atoms[best] + mean_difference, covariance_trace
