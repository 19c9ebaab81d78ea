"""An adapter for float32 torch code: a product by autodiff of a network, and the exact score of the data."""

import torch

from afi_verify import Adapter

afi = Adapter("correct-torch", backend="torch", dtype="float32")


@afi.provides("fisher_vector_product_vjp")
def fisher_vector_product_vjp(eps_fn, x, v, t, sigma):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(eps_fn(x, t), x, grad_outputs=v)[0] / sigma


@afi.provides("score")
def score(x, alpha, sigma, data, weights):
    differences = x[:, None] - alpha * data  # (B, N, d)
    logits = weights.log() - differences.square().sum(dim=2) / (2 * sigma**2)
    return -(logits.softmax(dim=1)[:, :, None] * differences).sum(dim=1) / sigma**2
