"""The Fisher information of diffused dots."""

import numpy as np


def trace(x, dots, signal, noise):
    """Trace of the Fisher information at the points ``x`` (B, d) of dots (N, d) scaled by signal, with noise added."""
    distances = ((x[:, None] - signal * dots) ** 2).sum(axis=2)
    weights = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * noise**2))
    weights /= weights.sum(axis=1, keepdims=True)
    centred = dots - (weights @ dots)[:, None]
    spread = (weights * (centred**2).sum(axis=2)).sum(axis=1)
    return x.shape[1] / noise**2 - signal**2 / noise**4 * spread
