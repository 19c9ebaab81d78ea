"""Batches of cases for the bounds: data, a noisy point, wrong networks, an endpoint."""

import dataclasses

import numpy as np

from afi_reference.distribution import Array

SHAPES = ((1, 1), (3, 1), (1, 2), (2, 2), (3, 2), (5, 3), (2, 4), (8, 8))
"""(N, d) of the batches."""


@dataclasses.dataclass(frozen=True)
class Cases:
    """B cases with N atoms in d dimensions.

    Attributes
    ----------
    atoms : Array
        Shape (B, N, d): each case has data of its own; N and d are small.
    x, noise_error, end : Array
        The noisy point, the error of the noise prediction and the endpoint, shape (B, d); the endpoint is in the ball
        around the origin that holds the atoms.
    alpha, sigma, head_error : Array
        The noise level and the error of the trace head, shape (B,).
    """

    atoms: Array
    x: Array
    alpha: Array
    sigma: Array
    noise_error: Array
    head_error: Array
    end: Array


def draw_cases(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> Cases:
    """Draw cases that can come close to the bounds: errors along the data, endpoints at right angles to them.

    Parameters
    ----------
    generator : numpy.random.Generator
        Where the numbers come from.
    count : int
        How many cases.
    shape : tuple of int
        N and d.

    Returns
    -------
    Cases
        Log-SNR from -20 to 20 (variance preserving); atoms in general position, on a line, in a cluster or far from the
        origin; points near an atom or between two.
    """
    n, d = shape
    normal = generator.standard_normal
    atoms = normal((count, n, d))
    kind = generator.integers(0, 4, count)
    line = normal((count, 1, d))
    atoms = np.where((kind == 1)[:, None, None], line * normal((count, n, 1)), atoms)
    atoms = np.where((kind == 2)[:, None, None], line + 10.0 ** -generator.uniform(1, 4) * atoms, atoms)
    atoms = np.where((kind == 3)[:, None, None], 10 * line + atoms, atoms)
    log_snr = generator.uniform(-20, 20, count)
    alpha, sigma = np.sqrt(1 / (1 + np.exp(-log_snr))), np.sqrt(1 / (1 + np.exp(log_snr)))
    share = generator.choice([0.0, 0.5], (count, 1))
    x = alpha[:, None] * (share * atoms[:, 0] + (1 - share) * atoms[:, -1])
    x = x + (sigma * generator.choice([0.0, 0.1, 1.0], count))[:, None] * normal((count, d))
    radius = np.sqrt((atoms**2).sum(-1).max(-1))
    # The error of the y-prediction, relative to the data, over five orders of magnitude.
    r = radius * 10 ** generator.uniform(-3, 2, count)
    direction = _unit(atoms[:, 0])
    mixing = generator.choice([0.0, 0.1, 0.9, 10.0], (count, 1))  # never 1: on a line the two could cancel
    direction = _unit(generator.choice([-1.0, 1.0], (count, 1)) * direction + mixing * _unit(normal((count, d))))
    noise_error = (-alpha * r / sigma)[:, None] * direction
    head_error = generator.choice([0.0, -1.0, 1.0], count) * radius**2 * 10 ** generator.uniform(-3, 2, count)
    return Cases(atoms, x, alpha, sigma, noise_error, head_error, _ends(generator, atoms, radius))


def _ends(generator: np.random.Generator, atoms: Array, radius: Array) -> Array:
    """Return an atom, the origin, a point of the ball, or one on its surface at a right angle to the first atom."""
    count, _, d = atoms.shape
    kind = generator.integers(0, 4, (count, 1))
    anywhere = _unit(generator.standard_normal((count, d)))
    first = _unit(atoms[:, 0])
    across = anywhere - (anywhere * first).sum(-1, keepdims=True) * first
    norms = np.linalg.norm(across, axis=-1, keepdims=True)
    across = np.where(norms > 1e-9, across / np.maximum(norms, 1e-9), first)
    inside = generator.uniform(0, 1, (count, 1)) * anywhere
    size = radius[:, None] * (1 - 1e-15)  # so that rounding does not take it out of the ball
    return np.where(kind == 0, atoms[:, -1], np.where(kind == 1, 0.0, size * np.where(kind == 2, inside, across)))


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
