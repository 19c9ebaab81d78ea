"""Wrong: eq. 17 as the paper prints it, without the 1/d before the squared norm of the posterior mean."""

from afi_verify import Adapter

double = Adapter("one-over-d-missing")
single = Adapter("one-over-d-missing", dtype="float32")


@double.provides("fisher_trace_matching")
@single.provides("fisher_trace_matching")
def fisher_trace_matching(x, alpha, sigma, eps, head):
    mean = (x - sigma * eps) / alpha
    return x.shape[1] * (1 / sigma**2 - alpha**2 / sigma**4 * (head - (mean**2).sum(axis=1)))
