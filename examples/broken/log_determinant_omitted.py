"""Wrong: a Gaussian mixture's posterior weights without the determinants of its covariances."""

import numpy as np

from afi_verify import Adapter

double = Adapter("log-determinant-omitted")
single = Adapter("log-determinant-omitted", dtype="float32")


@double.provides("score")
@single.provides("score")
def score(x, alpha, sigma, means, covariances, weights):
    variances, axes = np.linalg.eigh(covariances)  # (K, d), (K, d, d)
    variances = alpha**2 * variances + sigma**2
    differences = np.einsum("bkd,kde->bke", x[:, None] - alpha * means, axes)
    distances = (differences**2 / variances).sum(axis=2)
    logits = np.log(weights) - distances / 2
    posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    return -np.einsum("bk,bke,kde->bd", posterior, differences / variances, axes)
