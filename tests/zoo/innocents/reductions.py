"""Other groupings of the same sums: einsum, chunks of atoms, of the batch and of the dimension, compiled code."""

import functools

import numpy as np
import torch

from tests.zoo.innocent import innocent


@innocent("einsum-throughout", "fisher", "every contraction is an einsum", backend="torch")
def einsum_throughout(x, alpha, sigma, data, weights):
    residuals = x[:, None] - alpha * data
    logits = weights.log() - torch.einsum("bnd,bnd->bn", residuals, residuals) / (2 * sigma**2)
    posterior = logits.softmax(dim=1)
    deviations = residuals - torch.einsum("bn,bnd->bd", posterior, residuals)[:, None]
    covariance = torch.einsum("bn,bni,bnj->bij", posterior, deviations, deviations)
    return torch.eye(x.shape[1], dtype=x.dtype) / sigma**2 - covariance / sigma**4


@innocent(
    "chunks-of-atoms", "fisher_trace", "seven atoms at a time, chunks merged by their log-sum-exp", backend="torch"
)
def chunks_of_atoms(x, alpha, sigma, data, weights):
    parts = []
    for atoms, prior in zip(data.split(7), weights.split(7), strict=True):
        logits = prior.log() - (x[:, None] - alpha * atoms).square().sum(dim=2) / (2 * sigma**2)
        inside = logits.softmax(dim=1)
        mean = inside @ atoms
        scatter = (inside * (atoms - mean[:, None]).square().sum(dim=2)).sum(dim=1)
        parts.append((logits.logsumexp(dim=1), mean, scatter))
    evidence, means, scatters = (torch.stack(column, dim=1) for column in zip(*parts, strict=True))
    shares = evidence.softmax(dim=1)
    mean = (shares[:, :, None] * means).sum(dim=1, keepdim=True)
    variance = (shares * (scatters + (means - mean).square().sum(dim=2))).sum(dim=1)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance


@innocent("chunks-of-the-dimension", "score", "distances and sums over blocks of 100 coordinates")
def chunks_of_the_dimension(x, alpha, sigma, data, weights):
    blocks = [slice(start, start + 100) for start in range(0, x.shape[1], 100)]
    distances = sum(
        np.stack([((point[block] - alpha * data[:, block]) ** 2).sum(axis=1) for point in x]) for block in blocks
    )
    logits = np.log(weights) - distances / (2 * sigma**2)
    posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    answer = np.empty_like(x)
    for block in blocks:
        for b, point in enumerate(x):
            answer[b, block] = posterior[b] @ (alpha * data[:, block] - point[block]) / sigma**2
    return answer


@innocent("only-the-atoms-that-matter", "fisher_vector_product", "leaves out atoms below 2^-80 of the likeliest")
def only_the_atoms_that_matter(x, v, alpha, sigma, data, weights):
    answer = np.empty_like(x)
    for b, (point, direction) in enumerate(zip(x, v, strict=True)):
        logits = np.log(weights) - ((point - alpha * data) ** 2).sum(axis=1) / (2 * sigma**2)
        kept = logits > logits.max() - 80 * np.log(2)
        posterior, atoms = np.exp(logits[kept] - logits.max()), data[kept]
        posterior /= posterior.sum()
        centred = atoms - posterior @ atoms
        product = (posterior * (centred @ direction)) @ centred
        answer[b] = direction / sigma**2 - alpha**2 / sigma**4 * product
    return answer


@innocent(
    "compiled-by-torch",
    "fisher_trace",
    "torch.compile (traced, without a C++ compiler)",
    backend="torch",
    event_shape=(64,),
)
def compiled_by_torch(x, alpha, sigma, data, weights):
    noise = torch.tensor([alpha, sigma], dtype=x.dtype)  # tensors: numbers would be compiled in, one by one
    return _compiled(x.dtype)(x, noise, data, weights)


@functools.cache
def _compiled(dtype):
    def trace(x, noise, data, weights):
        alpha, sigma = noise
        distances = (x[:, None] - alpha * data).square().sum(dim=2)
        posterior = (weights.log() - distances / (2 * sigma**2)).softmax(dim=1)
        centred = data - (posterior @ data)[:, None]
        variance = (posterior * centred.square().sum(dim=2)).sum(dim=1)
        return (x.shape[1] - (alpha / sigma) ** 2 * variance) / sigma**2

    return torch.compile(trace, backend="aot_eager", dynamic=True)


@innocent(
    "one-class-per-quantity",
    "fisher_vector_product",
    "a torch Module with buffers; distances as squares of norms",
    backend="torch",
)
def one_class_per_quantity(x, v, alpha, sigma, data, weights):
    return _Operator(data, weights)(x, v, alpha, sigma)


class _Operator(torch.nn.Module):
    def __init__(self, data, weights):
        super().__init__()
        self.register_buffer("data", data)
        self.register_buffer("log_weights", weights.log())

    def forward(self, x, v, alpha, sigma):
        residuals = torch.sub(x[:, None], self.data, alpha=alpha)
        posterior = torch.softmax(self.log_weights - torch.linalg.vector_norm(residuals / sigma, dim=2) ** 2 / 2, dim=1)
        centred = self.data - torch.matmul(posterior, self.data)[:, None]
        along = posterior * torch.bmm(centred, v[:, :, None])[:, :, 0]
        product = torch.bmm(along[:, None], centred)[:, 0]
        return (v - (alpha / sigma) ** 2 * product) / sigma**2
