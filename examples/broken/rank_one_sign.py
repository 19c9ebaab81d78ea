"""Wrong: both rank-one terms of eq. 20 are subtracted; the one of the posterior mean is to be added."""

from afi_verify import Adapter

double = Adapter("rank-one-sign")
single = Adapter("rank-one-sign", dtype="float32")


@double.provides("fisher_vector_product_endpoint")
@single.provides("fisher_vector_product_endpoint")
def fisher_vector_product_endpoint(x, v, x0, eps, alpha, sigma):
    mean = (x - sigma * eps) / alpha
    endpoint_part = (x0 * v).sum(axis=1, keepdims=True) * x0
    mean_part = (mean * v).sum(axis=1, keepdims=True) * mean
    return v / sigma**2 - alpha**2 / sigma**4 * (endpoint_part + mean_part)
