"""Wrong: J^T v, the gradient of <eps, v>, for J v: eq. 9 taken at its word."""

import torch

from afi_verify import Adapter

double = Adapter("vjp-for-jvp", backend="torch")
single = Adapter("vjp-for-jvp", backend="torch", dtype="float32")


@double.provides("fisher_vector_product_jvp")
@single.provides("fisher_vector_product_jvp")
def fisher_vector_product_jvp(eps_fn, x, v, t, sigma):
    x = x.clone().requires_grad_()
    return torch.autograd.grad((eps_fn(x, t) * v).sum(), x)[0] / sigma
