"""Wrong: the posterior weights are normalised over the batch, not over the atoms."""

from afi_verify import Adapter

double = Adapter("softmax-over-batch", backend="torch")
single = Adapter("softmax-over-batch", backend="torch", dtype="float32")


@double.provides("score")
@single.provides("score")
def score(x, alpha, sigma, data):
    differences = x[:, None] - alpha * data
    posterior = (-differences.square().sum(dim=2) / (2 * sigma**2)).softmax(dim=0)
    return -(posterior[:, :, None] * differences).sum(dim=1) / sigma**2
