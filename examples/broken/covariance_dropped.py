"""Wrong: F = I / sigma^2, without the posterior covariance: right wherever one atom decides."""

import numpy as np

from afi_verify import Adapter

double = Adapter("covariance-dropped")
single = Adapter("covariance-dropped", dtype="float32")


@double.provides("fisher_vector_product")
@single.provides("fisher_vector_product")
def fisher_vector_product(x, v, alpha, sigma, data):
    distances = ((x[:, None] - alpha * data) ** 2).sum(axis=2)
    posterior = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * sigma**2))
    posterior /= posterior.sum(axis=1, keepdims=True)
    centred = data - (posterior @ data)[:, None]
    product = np.einsum("bn,bni->bi", posterior * np.einsum("bni,bi->bn", centred, v), centred)
    return v / sigma**2 - 0 * alpha**2 / sigma**4 * product
