"""Wrong: a Gaussian mixture's posterior covariance from its means alone, without the spread of each component."""

import torch

from afi_verify import Adapter

double = Adapter("component-covariances-ignored", backend="torch")
single = Adapter("component-covariances-ignored", backend="torch", dtype="float32")


@double.provides("fisher_trace")
@single.provides("fisher_trace")
def fisher_trace(x, alpha, sigma, means, covariances, weights):
    variances, axes = torch.linalg.eigh(covariances)
    variances = alpha**2 * variances + sigma**2
    differences = torch.einsum("bkd,kde->bke", x[:, None] - alpha * means, axes)
    logits = weights.log() - (differences.square() / variances).sum(dim=2) / 2 - variances.log().sum(dim=1) / 2
    posterior = logits.softmax(dim=1)
    scores = -torch.einsum("bke,kde->bkd", differences / variances, axes)
    centred = scores - (posterior[:, :, None] * scores).sum(dim=1, keepdim=True)
    within = torch.full_like(weights, x.shape[1]) / sigma**2
    return (posterior * (within - centred.square().sum(dim=2))).sum(dim=1)
