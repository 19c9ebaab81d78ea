"""An adapter: the function to verify, and two lines that say what it is. `afi-verify run correct.py`."""

import numpy as np

from afi_verify import Adapter

afi = Adapter("correct")


@afi.provides("fisher_trace")
def fisher_trace(x, alpha, sigma, data):
    distances = ((x[:, None] - alpha * data) ** 2).sum(axis=2)  # (B, N)
    weights = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * sigma**2))
    weights /= weights.sum(axis=1, keepdims=True)
    centred = data - (weights @ data)[:, None]
    variance = (weights * (centred**2).sum(axis=2)).sum(axis=1)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance
