"""Right up to 64 atoms: what only a data set of some size can show."""

import numpy as np

from tests.zoo.building_blocks import centred, covariance_product, mean, posterior, softmax, squared_distances, variance
from tests.zoo.specimen import Fault, mutant


def _nearest(x, alpha, data, count):
    """Indices (B, k) of the nearest atoms."""
    return squared_distances(x, alpha, data).argsort(axis=1, kind="stable")[:, :count]


def _in_batches(p, data):
    """Weights and atoms in mini-batches of 512."""
    return [(p[:, i : i + 512], data[i : i + 512]) for i in range(0, len(data), 512)]


@mutant("score", "numpy", "The 100 nearest atoms only.", Fault.TRUNCATED, smallest=(128, 64), only="digits")
def hundred_nearest_atoms(x, alpha, sigma, data):
    kept = [np.sort(row) for row in _nearest(x, alpha, data, 100)]
    means = [mean(posterior(x[[b]], alpha, sigma, data[i]), data[i])[0] for b, i in enumerate(kept)]
    return (alpha * np.stack(means) - x) / sigma**2


@mutant(
    "posterior_mean",
    "numpy",
    "A mean of the means of mini-batches of 512: the last, partial one counts too much.",
    Fault.MINIBATCH,
    smallest=(1024, 64),
    only="digits",
)
def mean_of_means_of_512(x, alpha, sigma, data):
    batches = _in_batches(posterior(x, alpha, sigma, data), data)
    return np.sum([p @ atoms * (len(data) / len(batches) / len(atoms)) for p, atoms in batches], axis=0)


@mutant(
    "fisher",
    "numpy",
    "The covariance's 32 largest eigenvalues only.",
    Fault.STRUCTURE,
    smallest=(64, 64),
    only="digits",
)
def rank_32(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    residuals = np.sqrt(p)[:, :, None] * centred(p, data)
    if min(data.shape) > 32:
        _, _, vectors = np.linalg.svd(residuals, full_matrices=False)
        residuals = residuals @ vectors[:, :32].swapaxes(1, 2) @ vectors[:, :32]
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * residuals.swapaxes(1, 2) @ residuals


@mutant(
    "fisher_vector_product",
    "numpy",
    "Mini-batches of 512 merged without what lies between their means.",
    Fault.MINIBATCH,
    smallest=(1024, 64),
    only="digits",
)
def between_batches_of_512(x, v, alpha, sigma, data):
    product = np.zeros_like(x)
    for p, atoms in _in_batches(posterior(x, alpha, sigma, data), data):
        mass = p.sum(axis=1, keepdims=True)
        product += mass * covariance_product(p / np.maximum(mass, np.finfo(x.dtype).tiny), atoms, v)
    return v / sigma**2 - alpha**2 / sigma**4 * product


@mutant(
    "fisher_trace",
    "numpy",
    "A buffer for 1,024 atoms; what follows is left out.",
    Fault.TRUNCATED,
    smallest=(1797, 64),
    only="digits",
)
def buffer_of_1024(x, alpha, sigma, data):
    atoms = data[:1024]
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(posterior(x, alpha, sigma, atoms), atoms)


@mutant(
    "fisher_trace_matching",
    "numpy",
    "The head from the 256 nearest atoms.",
    Fault.TRUNCATED,
    smallest=(512, 64),
    only="digits",
)
def head_from_nearest(x, alpha, sigma, data):
    kept = [np.sort(row) for row in _nearest(x, alpha, data, 256)]
    variances = [variance(posterior(x[[b]], alpha, sigma, data[i]), data[i])[0] for b, i in enumerate(kept)]
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * np.stack(variances)


@mutant(
    "fisher_vector_product_endpoint",
    "numpy",
    "The posterior mean from a running softmax over chunks of 128, its sums not rescaled.",
    Fault.ORDER,
    smallest=(256, 64),
    only="digits",
)
def chunks_not_rescaled(x, v, x0, alpha, sigma, data):
    logits = -squared_distances(x, alpha, data) / (2 * sigma**2)
    largest, total, weighted = np.full(len(x), -np.inf, x.dtype), 0, np.zeros_like(x)
    for i in range(0, len(data), 128):
        largest = np.maximum(largest, logits[:, i : i + 128].max(axis=1))
        weights = np.exp(logits[:, i : i + 128] - largest[:, None])
        total = total + weights.sum(axis=1, keepdims=True)
        weighted = weighted + weights @ data[i : i + 128]
    y = weighted / total
    outer = (x0 * v).sum(axis=1, keepdims=True) * x0 - (y * v).sum(axis=1, keepdims=True) * y
    return v / sigma**2 - alpha**2 / sigma**4 * outer


@mutant(
    "fisher_vector_product",
    "numpy",
    "One atom in sixteen beyond the first 256: subsampled.",
    Fault.TRUNCATED,
    smallest=(512, 64),
    only="digits",
)
def subsampled(x, v, alpha, sigma, data):
    atoms = np.concatenate([data[:256], data[256::16]])
    logits = -squared_distances(x, alpha, atoms) / (2 * sigma**2)
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(softmax(logits), atoms, v)
