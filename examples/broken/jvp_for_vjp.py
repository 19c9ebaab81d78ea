"""Wrong: J v for J^T v; they differ as soon as the Jacobian is not symmetric, as no trained network's is."""

import torch

from afi_verify import Adapter

double = Adapter("jvp-for-vjp", backend="torch")
single = Adapter("jvp-for-vjp", backend="torch", dtype="float32")


@double.provides("fisher_vector_product_vjp")
@single.provides("fisher_vector_product_vjp")
def fisher_vector_product_vjp(eps_fn, x, v, t, sigma):
    return torch.func.jvp(lambda point: eps_fn(point, t), (x,), (v,))[1] / sigma
