"""Batches, shapes, strides, states: right for one call, or for one point, or for other sizes."""

import numpy as np

from tests.zoo.building_blocks import (
    column,
    covariance,
    covariance_product,
    mean,
    posterior,
    softmax,
    squared_distances,
    variance,
)
from tests.zoo.specimen import Fault, mutant


@mutant(
    "score",
    "numpy",
    "Normalised over the axis of length N, which is the batch's if B = N.",
    Fault.BROADCASTING,
    only="dirac",
)
def axis_found_by_length(x, alpha, sigma, data):
    logits = -squared_distances(x, alpha, data) / (2 * sigma**2)
    axis = logits.shape.index(len(data))
    p = np.moveaxis(softmax(np.moveaxis(logits, axis, -1)), -1, axis)
    return (alpha * mean(p, data) - x) / sigma**2


@mutant(
    "posterior_mean",
    "numpy",
    "Axes of length one squeezed away: breaks for N = 1 and for d = 1.",
    Fault.BROADCASTING,
    only="dirac",
)
def squeezed(x, alpha, sigma, data):
    differences = np.squeeze(x[:, None] - alpha * data)
    p = softmax(-(differences**2).sum(axis=-1) / (2 * sigma**2))
    return (p @ data).reshape(x.shape)


@mutant("fisher_trace", "numpy", "The answer squeezed: no array for B = 1.", Fault.BROADCASTING)
def answer_squeezed(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return np.squeeze(x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data))


@mutant(
    "posterior_mean",
    "numpy",
    "Noise levels (B,) taken for (d,) if B = d.",
    Fault.BROADCASTING,
    only="dirac",
    per_sample_noise=True,
)
def noise_along_dimensions(x, alpha, sigma, eps):
    def matched(noise):
        return noise if len(noise) == x.shape[1] else noise[:, None]

    return (x - matched(sigma) * eps) / matched(alpha)


@mutant(
    "fisher_trace", "numpy", "Even batches are halved, and the halves come back swapped.", Fault.BATCH, only="dirac"
)
def halves_swapped(x, alpha, sigma, data, weights):
    def trace(points):
        p = posterior(points, alpha, sigma, data, weights)
        return points.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data)

    if len(x) % 2:
        return trace(x)
    first, second = np.split(x, 2)
    return np.concatenate([trace(second), trace(first)])


@mutant("fisher", "numpy", "One posterior for all points of a batch: their mean.", Fault.BATCH, only="dirac")
def posterior_of_batch(x, alpha, sigma, data):
    p = np.broadcast_to(posterior(x, alpha, sigma, data).mean(axis=0), (len(x), len(data)))
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance(p, data)


@mutant("fisher_vector_product", "numpy", "The first direction for all points.", Fault.BATCH, only="dirac")
def first_direction_for_all(x, v, alpha, sigma, data):
    v = np.broadcast_to(v[0], v.shape)
    p = posterior(x, alpha, sigma, data)
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)


@mutant("fisher_vector_product_endpoint", "numpy", "One inner product for the whole batch.", Fault.BATCH, only="dirac")
def endpoint_inner_product_of_batch(x, v, x0, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    return v / sigma**2 - alpha**2 / sigma**4 * ((x0 * v).sum() * x0 - (y * v).sum() * y)


@mutant("fisher_trace_matching", "numpy", "The mean head of the batch for each point's.", Fault.BATCH, only="dirac")
def head_of_batch(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / alpha
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (x.shape[1] * head.mean() - (y**2).sum(axis=1))


@mutant(
    "score", "numpy", "The batch's mean sigma for each point's.", Fault.BATCH_NOISE, only="dirac", per_sample_noise=True
)
def mean_sigma_of_batch(x, alpha, sigma, data):
    sigma = sigma.mean()
    return (column(alpha) * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


@mutant(
    "fisher_trace",
    "numpy",
    "The first point's noise for the whole batch.",
    Fault.BATCH_NOISE,
    only="dirac",
    per_sample_noise=True,
)
def noise_of_first_point(x, alpha, sigma, data):
    alpha, sigma = alpha[0], sigma[0]
    p = posterior(x, alpha, sigma, data)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data)


@mutant(
    "fisher_vector_product",
    "numpy",
    "Each point's sigma, but one sigma in the exponents.",
    Fault.BATCH_NOISE,
    only="dirac",
    per_sample_noise=True,
)
def one_sigma_in_exponents(x, v, alpha, sigma, data):
    p = softmax(-squared_distances(x, alpha, data) / (2 * sigma.max() ** 2))
    return v / column(sigma) ** 2 - column(alpha**2 / sigma**4) * covariance_product(p, data, v)


@mutant("score", "numpy", "x read through its pointer, as if it were contiguous.", Fault.STRIDES, only="dirac")
def pointer_to_strided(x, alpha, sigma, data):
    strides = (x.shape[1] * x.itemsize, x.itemsize)
    x = np.lib.stride_tricks.as_strided(x, x.shape, strides)
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


@mutant("fisher", "numpy", "No information in a single atom: zero for N = 1.", Fault.SIZE, only="dirac")
def zero_for_one_atom(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    identity = np.eye(x.shape[1], dtype=x.dtype) * (len(data) > 1)
    return identity / sigma**2 - alpha**2 / sigma**4 * covariance(p, data)


@mutant("score", "numpy", "The atoms are scaled in place.", Fault.ARGUMENT_CHANGED)
def atoms_scaled_in_place(x, alpha, sigma, data):
    data *= alpha
    return (mean(posterior(x, 1.0, sigma, data), data) - x) / sigma**2


@mutant("fisher_vector_product", "numpy", "The direction is normalised in place.", Fault.ARGUMENT_CHANGED)
def direction_normalised_in_place(x, v, alpha, sigma, data):
    length = np.linalg.norm(v, axis=1, keepdims=True)
    v /= length
    p = posterior(x, alpha, sigma, data)
    return length * (v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v))


@mutant("fisher_vector_product_endpoint", "numpy", "The posterior mean is written over x.", Fault.ARGUMENT_CHANGED)
def mean_written_over_x(x, v, x0, eps, alpha, sigma):
    x -= sigma * eps
    x /= alpha
    outer = (x0 * v).sum(axis=1, keepdims=True) * x0 - (x * v).sum(axis=1, keepdims=True) * x
    return v / sigma**2 - alpha**2 / sigma**4 * outer


@mutant("posterior_mean", "numpy", "Posterior weights kept for the next call of the same shapes.", Fault.STATE)
class WeightsKept:
    def __init__(self):
        self.kept = {}

    def __call__(self, x, alpha, sigma, data):
        key = (x.shape, data.shape)
        if key not in self.kept:
            self.kept[key] = posterior(x, alpha, sigma, data)
        return mean(self.kept[key], data)


@mutant("fisher_trace", "numpy", "The squared norms of the first call's atoms are kept.", Fault.STATE)
class NormsKept:
    def __init__(self):
        self.norms = {}

    def __call__(self, x, alpha, sigma, data):
        centre = mean(posterior(x, alpha, sigma, data), data).mean(axis=0)
        norms = self.norms.setdefault(data.shape, ((data - centre) ** 2).sum(axis=1))
        p = posterior(x, alpha, sigma, data)
        offset = ((mean(p, data) - centre) ** 2).sum(axis=1)
        return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (p @ norms - offset)


@mutant("fisher", "numpy", "Added up in a workspace that is not cleared.", Fault.STATE)
class Workspace:
    def __init__(self):
        self.workspace = {}

    def __call__(self, x, alpha, sigma, data):
        p = posterior(x, alpha, sigma, data)
        total = self.workspace.setdefault((x.shape, x.dtype), np.zeros((len(x), x.shape[1], x.shape[1]), x.dtype))
        total += np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance(p, data)
        return total.copy()
