"""An adapter of functions that ask for no data: they have data of their own, as a trained network has.

No oracle can say what their answers should be, but the answers must belong to one another: `afi-verify run
unknown_data.py`. Samples of the data, `--data samples.npy`, make two more relations checkable.
"""

import numpy as np

from afi_verify import Adapter

DATA = np.array([[0.5, -1.0], [-1.25, 0.25], [1.0, 1.5]])

# A trained network is no exact diffusion: model="network" leaves out what then need not hold.
afi = Adapter("unknown-data", event_shape=(2,))


def posterior(x, alpha, sigma):
    distances = ((x[:, None] - alpha * DATA) ** 2).sum(axis=2)  # (B, N)
    weights = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * sigma**2))
    weights /= weights.sum(axis=1, keepdims=True)
    mean = weights @ DATA
    return weights, mean, DATA - mean[:, None]


@afi.provides("score")
def score(x, alpha, sigma):
    return -(x - alpha * posterior(x, alpha, sigma)[1]) / sigma**2


@afi.provides("fisher_vector_product")
def fisher_vector_product(x, v, alpha, sigma):
    weights, _, centred = posterior(x, alpha, sigma)
    product = np.einsum("bn,bni->bi", weights * np.einsum("bni,bi->bn", centred, v), centred)
    return v / sigma**2 - alpha**2 / sigma**4 * product


@afi.provides("fisher_trace")
def fisher_trace(x, alpha, sigma):
    weights, _, centred = posterior(x, alpha, sigma)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (weights * (centred**2).sum(axis=2)).sum(axis=1)
