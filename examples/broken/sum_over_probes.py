"""Wrong: the sum over the probes of Hutchinson's estimator for their mean."""

import numpy as np

from afi_verify import Adapter

double = Adapter("sum-over-probes")
single = Adapter("sum-over-probes", dtype="float32")


@double.provides("fisher_trace_stochastic")
@single.provides("fisher_trace_stochastic")
def fisher_trace_stochastic(x, alpha, sigma, data, num_probes, seed):
    logits = -((x[:, None] - alpha * data) ** 2).sum(axis=2) / (2 * sigma**2)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = shares / shares.sum(axis=1, keepdims=True)
    away = data - (shares @ data)[:, None]
    rng = np.random.default_rng(seed)
    z = rng.choice(np.array([-1, 1], dtype=x.dtype), (num_probes, *x.shape))
    along = np.einsum("mbd,bnd->mbn", z, away)
    products = (z * z).sum(axis=2) / sigma**2 - alpha**2 / sigma**4 * (shares * along**2).sum(axis=2)
    return products.sum(axis=0)
