"""Wrong: the squared norm of the posterior mean is summed over the batch, not for each item of it."""

from afi_verify import Adapter

double = Adapter("sum-over-batch", backend="torch")
single = Adapter("sum-over-batch", backend="torch", dtype="float32")


@double.provides("fisher_trace_matching")
@single.provides("fisher_trace_matching")
def fisher_trace_matching(x, alpha, sigma, eps, head):
    d = x.shape[1]
    mean = (x - sigma * eps) / alpha
    return d * (1 / sigma**2 - alpha**2 / sigma**4 * (head - mean.square().sum() / d))
