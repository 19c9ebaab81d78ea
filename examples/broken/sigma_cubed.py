"""Wrong: sigma^3 for sigma^4 before the posterior variance."""

import numpy as np

from afi_verify import Adapter

double = Adapter("sigma-cubed")
single = Adapter("sigma-cubed", dtype="float32")


@double.provides("fisher_trace")
@single.provides("fisher_trace")
def fisher_trace(x, alpha, sigma, data):
    distances = ((x[:, None] - alpha * data) ** 2).sum(axis=2)
    posterior = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * sigma**2))
    posterior /= posterior.sum(axis=1, keepdims=True)
    centred = data - (posterior @ data)[:, None]
    variance = (posterior * (centred**2).sum(axis=2)).sum(axis=1)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**3 * variance
