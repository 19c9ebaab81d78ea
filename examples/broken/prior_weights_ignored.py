"""Wrong: every atom counts the same, whatever its weight."""

import torch

from afi_verify import Adapter

double = Adapter("prior-weights-ignored", backend="torch")
single = Adapter("prior-weights-ignored", backend="torch", dtype="float32")


@double.provides("fisher")
@single.provides("fisher")
def fisher(x, alpha, sigma, data, weights):
    log_prior = torch.ones_like(weights).log()
    distances = (x[:, None] - alpha * data).square().sum(dim=2)
    posterior = (log_prior - distances / (2 * sigma**2)).softmax(dim=1)
    centred = data - (posterior @ data)[:, None]
    covariance = torch.einsum("bn,bni,bnj->bij", posterior, centred, centred)
    return torch.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance
