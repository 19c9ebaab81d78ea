"""Wrong: <z, J^T z> for one random z of signs is the trace on average only."""

import torch

from afi_verify import Adapter

double = Adapter("one-probe-for-trace", backend="torch")
single = Adapter("one-probe-for-trace", backend="torch", dtype="float32")


@double.provides("fisher_trace_autodiff")
@single.provides("fisher_trace_autodiff")
def fisher_trace_autodiff(eps_fn, x, t, sigma):
    _, pullback = torch.func.vjp(lambda point: eps_fn(point, t), x)
    generator = torch.Generator().manual_seed(0)
    probes = [2 * torch.randint(0, 2, x.shape, generator=generator).to(x) - 1]
    return sum((z * pullback(z)[0]).sum(dim=1) for z in probes) / sigma
