"""Wrong: the second moment of the atoms for their covariance; the rank-one term of Prop. 1 is missing."""

import numpy as np

from afi_verify import Adapter

double = Adapter("mean-not-subtracted")
single = Adapter("mean-not-subtracted", dtype="float32")


@double.provides("fisher")
@single.provides("fisher")
def fisher(x, alpha, sigma, data):
    distances = ((x[:, None] - alpha * data) ** 2).sum(axis=2)
    posterior = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * sigma**2))
    posterior /= posterior.sum(axis=1, keepdims=True)
    centred = data - 0 * (posterior @ data)[:, None]
    covariance = np.einsum("bn,bni,bnj->bij", posterior, centred, centred)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance
