"""Wrong: exponentials without their maximum subtracted, so that far from all atoms every weight is 0."""

import numpy as np

from afi_verify import Adapter

double = Adapter("weights-underflow")
single = Adapter("weights-underflow", dtype="float32")


@double.provides("posterior_mean")
@single.provides("posterior_mean")
def posterior_mean(x, alpha, sigma, data):
    distances = ((x[:, None] - alpha * data) ** 2).sum(axis=2)
    weights = np.exp(-distances / (2 * sigma**2))
    return weights @ data / weights.sum(axis=1, keepdims=True)
