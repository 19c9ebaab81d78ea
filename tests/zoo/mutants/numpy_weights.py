"""Weights of the atoms: ignored, unnormalised, underflowing, truncated, merged wrongly."""

import numpy as np

from tests.zoo.building_blocks import (
    centred,
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


@mutant("score", "numpy", "All atoms count the same, however far away.", Fault.WEIGHTS_WRONG)
def uniform_posterior(x, alpha, sigma, data):
    return (alpha * data.mean(axis=0) - x) / sigma**2


@mutant("posterior_mean", "numpy", "The prior weights are not asked for.", Fault.WEIGHTS_IGNORED, only="dirac")
def prior_ignored(x, alpha, sigma, data, weights):
    return mean(posterior(x, alpha, sigma, data), data)


@mutant("fisher_trace", "numpy", "Uniform weights for the prior ones.", Fault.WEIGHTS_IGNORED, only="dirac")
def uniform_prior(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, np.full_like(weights, 1 / len(data)))
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data)


@mutant("fisher", "numpy", "The prior counted twice.", Fault.WEIGHTS_WRONG, only="dirac")
def prior_squared(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights) * weights
    p = p / p.sum(axis=1, keepdims=True)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance(p, data)


@mutant(
    "fisher_vector_product",
    "numpy",
    "Weights for their logarithms beside the exponents.",
    Fault.WEIGHTS_WRONG,
    only="dirac",
)
def weights_as_logits(x, v, alpha, sigma, data, weights):
    p = softmax(weights - squared_distances(x, alpha, data) / (2 * sigma**2))
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)


@mutant("score", "numpy", "The prior weights multiply the exponents.", Fault.WEIGHTS_WRONG, only="dirac")
def weights_times_distances(x, alpha, sigma, data, weights):
    p = softmax(-squared_distances(x, alpha, data) * weights * len(weights) / (2 * sigma**2))
    return (alpha * mean(p, data) - x) / sigma**2


@mutant(
    "fisher_trace",
    "numpy",
    "Exponentials of the exponents less their maximum, not divided by their sum.",
    Fault.WEIGHTS_UNNORMALISED,
)
def not_divided_by_sum(x, alpha, sigma, data):
    distances = squared_distances(x, alpha, data)
    p = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * sigma**2))
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data)


@mutant(
    "posterior_mean",
    "numpy",
    "Prior weights multiplied onto a softmax, and not normalised again.",
    Fault.WEIGHTS_UNNORMALISED,
    only="dirac",
)
def not_normalised_again(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data) * weights * len(weights)
    return p @ data


@mutant("fisher_vector_product", "numpy", "Divided by N, not by the sum of the weights.", Fault.WEIGHTS_UNNORMALISED)
def mean_of_weighted_atoms(x, v, alpha, sigma, data):
    distances = squared_distances(x, alpha, data)
    p = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * sigma**2)) / len(data)
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)


@mutant(
    "posterior_mean", "numpy", "Exponentials without their maximum subtracted: far from all atoms 0/0.", Fault.UNDERFLOW
)
def maximum_not_subtracted(x, alpha, sigma, data):
    weights = np.exp(-squared_distances(x, alpha, data) / (2 * sigma**2))
    return weights @ data / weights.sum(axis=1, keepdims=True)


@mutant("fisher_trace", "numpy", "Weights that underflow, and a guard that makes 0 of 0/0.", Fault.UNDERFLOW)
def underflow_guarded(x, alpha, sigma, data):
    weights = np.exp(-squared_distances(x, alpha, data) / (2 * sigma**2))
    p = weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(x.dtype).tiny)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data)


@mutant("fisher", "numpy", "Densities with their factor (2 pi sigma^2)^(-d/2), which overflows.", Fault.UNDERFLOW)
def densities_with_their_factor(x, alpha, sigma, data):
    distances = squared_distances(x, alpha, data)
    densities = (2 * np.pi * sigma**2) ** (-x.shape[1] / 2) * np.exp(-distances / (2 * sigma**2))
    p = (densities / densities.sum(axis=1, keepdims=True)).astype(x.dtype)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance(p, data)


@mutant(
    "score", "numpy", "Exponents measured from the first atom, not from the nearest.", Fault.UNDERFLOW, smallest=(3, 16)
)
def relative_to_first_atom(x, alpha, sigma, data):
    distances = squared_distances(x, alpha, data)
    weights = np.exp((distances[:, :1] - distances) / (2 * sigma**2))
    return (alpha * (weights @ data) / weights.sum(axis=1, keepdims=True) - x) / sigma**2


@mutant("fisher_vector_product", "numpy", "The weights normalised over the batch.", Fault.WRONG_AXIS)
def softmax_over_batch(x, v, alpha, sigma, data):
    distances = squared_distances(x, alpha, data)
    p = softmax(-distances.T / (2 * sigma**2)).T
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)


@mutant("posterior_mean", "numpy", "The nearest atom for the mean of all.", Fault.TRUNCATED)
def nearest_atom(x, alpha, sigma, data):
    return data[squared_distances(x, alpha, data).argmin(axis=1)]


@mutant("score", "numpy", "The two nearest atoms only.", Fault.TRUNCATED)
def two_nearest_atoms(x, alpha, sigma, data):
    p = _of_nearest(squared_distances(x, alpha, data) / (2 * sigma**2), 2)
    return (alpha * mean(p, data) - x) / sigma**2


@mutant("fisher_trace", "numpy", "The four nearest atoms only.", Fault.TRUNCATED, smallest=(5, 3))
def four_nearest_atoms(x, alpha, sigma, data):
    p = _of_nearest(squared_distances(x, alpha, data) / (2 * sigma**2), 4)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data)


@mutant("fisher", "numpy", "Atoms of less than a thousandth of the largest weight are left out.", Fault.TRUNCATED)
def light_atoms_left_out(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    p = np.where(p < 1e-3 * p.max(axis=1, keepdims=True), 0, p)
    p = p / p.sum(axis=1, keepdims=True)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance(p, data)


@mutant(
    "posterior_mean",
    "numpy",
    "A mean of the means of mini-batches of two: the last, partial one counts too much.",
    Fault.MINIBATCH,
)
def mean_of_minibatch_means(x, alpha, sigma, data):
    weights = posterior(x, alpha, sigma, data) * len(data)
    batches = [slice(start, start + 2) for start in range(0, len(data), 2)]
    means = [weights[:, batch] @ data[batch] / len(data[batch]) for batch in batches]
    return np.mean(means, axis=0)


@mutant(
    "fisher_vector_product",
    "numpy",
    "Mini-batches merged by their means: what lies between them is lost.",
    Fault.MINIBATCH,
)
def between_minibatches_lost(x, v, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    product = np.zeros_like(x)
    for start in range(0, len(data), 2):
        mass = np.maximum(p[:, start : start + 2].sum(axis=1, keepdims=True), np.finfo(x.dtype).tiny)
        product += mass * covariance_product(p[:, start : start + 2] / mass, data[start : start + 2], v)
    return v / sigma**2 - alpha**2 / sigma**4 * product


@mutant("score", "numpy", "A running softmax whose sums are not rescaled when the maximum grows.", Fault.ORDER)
def sums_not_rescaled(x, alpha, sigma, data):
    logits = -squared_distances(x, alpha, data) / (2 * sigma**2)
    largest, total, weighted = logits[:, 0], np.zeros(len(x), x.dtype), np.zeros_like(x)
    for logit, atom in zip(logits.T, data, strict=True):
        largest = np.maximum(largest, logit)
        weight = np.exp(logit - largest)
        total = total + weight
        weighted = weighted + weight[:, None] * atom
    return (alpha * weighted / total[:, None] - x) / sigma**2


@mutant("fisher_trace", "numpy", "A running variance about the mean so far.", Fault.ORDER)
def running_mean_once(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    total, running, spread = np.zeros(len(x), x.dtype), np.zeros_like(x), np.zeros(len(x), x.dtype)
    for weight, atom in zip(p.T, data, strict=True):
        total = total + weight
        # West's update multiplies the deviations before and after; both are taken after.
        running = running + (weight / np.maximum(total, np.finfo(x.dtype).tiny))[:, None] * (atom - running)
        spread = spread + weight * ((atom - running) ** 2).sum(axis=1)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * spread


@mutant("posterior_mean", "numpy", "Distances sorted, atoms not.", Fault.ORDER)
def sorted_distances(x, alpha, sigma, data):
    distances = np.sort(squared_distances(x, alpha, data), axis=1)
    return softmax(-distances / (2 * sigma**2)) @ data


@mutant("fisher", "numpy", "Atoms sorted by distance, their prior weights not.", Fault.ORDER, only="dirac")
def weights_not_sorted_along(x, alpha, sigma, data, weights):
    result = []
    for point in x:
        order = squared_distances(point[None], alpha, data)[0].argsort()
        p = posterior(point[None], alpha, sigma, data[order], weights)
        result.append(
            np.eye(len(point), dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance(p, data[order])[0]
        )
    return np.stack(result)


@mutant("posterior_mean", "numpy", "Equal atoms are taken once.", Fault.DUPLICATES, only="dirac")
def duplicates_removed(x, alpha, sigma, data):
    data = np.unique(data, axis=0)
    return mean(posterior(x, alpha, sigma, data), data)


@mutant("fisher_trace", "numpy", "Variance with a divisor less one (numpy.cov's default).", Fault.CONSTANT)
def sample_variance(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data) * len(data) / max(len(data) - 1, 1)


@mutant("fisher", "numpy", "numpy.cov with aweights, and its unbiased divisor.", Fault.WEIGHTS_UNNORMALISED)
def unbiased_covariance(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    divisors = 1 - (p**2).sum(axis=1)
    covariances = covariance(p, data) / np.where(divisors > 0, divisors, 1)[:, None, None]
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariances


@mutant("fisher_vector_product", "numpy", "The mean over the atoms for their weighted sum.", Fault.CONSTANT)
def mean_over_atoms(x, v, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v) / len(data)


@mutant("fisher_trace", "numpy", "Variances about each atom's weighted self: weights squared.", Fault.WEIGHTS_WRONG)
def weighted_atoms_centred(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    spread = ((p[:, :, None] * centred(p, data)) ** 2).sum(axis=(1, 2))
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * spread


@mutant(
    "fisher_vector_product",
    "numpy",
    "Weights at the wrong temperature: sqrt(d) in the exponent, as in attention.",
    Fault.WEIGHTS_WRONG,
)
def scaled_like_attention(x, v, alpha, sigma, data):
    logits = -squared_distances(x, alpha, data) / (2 * column(sigma) ** 2)
    p = softmax(logits / np.sqrt(x.shape[1]).astype(x.dtype))
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)


def _of_nearest(exponents, count):
    """Weights (B, N) of the ``count`` nearest atoms; the others' are zero."""
    ranks = exponents.argsort(axis=1).argsort(axis=1)
    return softmax(np.where(ranks < count, -exponents, -np.inf))
