"""An adapter for code that takes images and a noise level for each of them, as samplers and trainers do."""

from afi_verify import Adapter

afi = Adapter("images", backend="torch", dtype="float32", event_shape=(1, 8, 8), per_sample_noise=True)


@afi.provides("posterior_mean")
def posterior_mean(x, alpha, sigma, eps):  # x and eps (B, 1, 8, 8), alpha and sigma (B,)
    return (x - sigma[:, None, None, None] * eps) / alpha[:, None, None, None]


@afi.provides("fisher_trace")
def fisher_trace(x, alpha, sigma, data):
    atoms = data.flatten(1)
    differences = x.flatten(1)[:, None] - alpha[:, None, None] * atoms  # (B, N, 64)
    weights = (-differences.square().sum(dim=2) / (2 * sigma[:, None] ** 2)).softmax(dim=1)
    centred = atoms - (weights @ atoms)[:, None]
    variance = (weights * centred.square().sum(dim=2)).sum(dim=1)
    return (x[0].numel() - (alpha / sigma) ** 2 * variance) / sigma**2
