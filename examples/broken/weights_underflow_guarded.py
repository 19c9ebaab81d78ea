"""Wrong: weights that underflow, and a guard against dividing by 0 that makes the answer 0 instead of NaN."""

import numpy as np

from afi_verify import Adapter

double = Adapter("weights-underflow-guarded")
single = Adapter("weights-underflow-guarded", dtype="float32")


@double.provides("posterior_mean")
@single.provides("posterior_mean")
def posterior_mean(x, alpha, sigma, data):
    distances = ((x[:, None] - alpha * data) ** 2).sum(axis=2)
    weights = np.exp(-distances / (2 * sigma**2))
    return weights @ data / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(x.dtype).tiny)
