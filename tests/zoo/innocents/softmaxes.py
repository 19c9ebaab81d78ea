"""Posterior weights by other ways than ``exp(l - max l) / sum``."""

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax

from tests.zoo.innocent import innocent


def _logits(x, alpha, sigma, data, weights):
    """Log posterior weights up to a constant, shape (B, N)."""
    distances = np.stack([((point - alpha * data) ** 2).sum(axis=1) for point in x])
    return np.log(weights) - distances / (2 * sigma**2)


@innocent("base-two-softmax", "posterior_mean", "the softmax in powers of two")
def base_two_softmax(x, alpha, sigma, data, weights):
    distances = np.stack([((point - alpha * data) ** 2).sum(axis=1) for point in x])
    binary = np.log2(weights) - distances * (0.5 * float(np.log2(np.e)) / sigma**2)
    posterior = np.exp2(binary - binary.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior @ data


@innocent("streaming-softmax", "score", "one pass over the atoms that rescales its sums when the maximum grows")
def streaming_softmax(x, alpha, sigma, data, weights):
    answer = np.empty_like(x)
    for b, point in enumerate(x):
        largest = np.array(-np.inf, x.dtype)
        normaliser = np.array(0, x.dtype)
        total = np.zeros(x.shape[1], x.dtype)
        for atom, weight in zip(data, weights, strict=True):
            residual = point - alpha * atom
            logit = np.log(weight) - (residual**2).sum() / (2 * sigma**2)
            grown = np.maximum(largest, logit)
            old, new = np.exp(largest - grown), np.exp(logit - grown)
            normaliser = normaliser * old + new
            total = total * old + new * residual
            largest = grown
        answer[b] = -total / normaliser / sigma**2
    return answer


@innocent("scipy-softmax", "fisher_trace", "scipy.special.softmax")
def scipy_softmax(x, alpha, sigma, data, weights):
    posterior = softmax(_logits(x, alpha, sigma, data, weights), axis=1)
    mean = posterior @ data
    variance = np.stack([p @ ((data - m) ** 2).sum(axis=1) for p, m in zip(posterior, mean, strict=True)])
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance


@innocent("scipy-logsumexp", "score", "weights as exp(l - logsumexp(l)), with scipy's logsumexp")
def scipy_logsumexp(x, alpha, sigma, data, weights):
    logits = _logits(x, alpha, sigma, data, weights)
    # Less the largest: the logarithm of the sum would otherwise round away what weights of 1 differ by.
    logits -= logits.max(axis=1, keepdims=True)
    posterior = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    return np.stack([-(p @ (point - alpha * data)) / sigma**2 for p, point in zip(posterior, x, strict=True)])


@innocent("scipy-log-softmax", "posterior_mean", "weights by scipy.special.log_softmax, kept as logarithms")
def scipy_log_softmax(x, alpha, sigma, data, weights):
    return np.exp(log_softmax(_logits(x, alpha, sigma, data, weights), axis=1)) @ data


@innocent("odds", "fisher_trace", "weights as 1 / sum_j exp(l_j - l_i): no maximum, no normaliser")
def odds(x, alpha, sigma, data, weights):
    answer = np.empty(len(x), x.dtype)
    for b, logits in enumerate(_logits(x, alpha, sigma, data, weights)):
        with np.errstate(over="ignore"):  # an infinite sum of odds is a weight of 0
            posterior = 1 / np.exp(logits[None, :] - logits[:, None]).sum(axis=1)
        mean = posterior @ data
        answer[b] = x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (posterior @ ((data - mean) ** 2).sum(axis=1))
    return answer


@innocent("weights-never-normalised", "posterior_mean", "sums of unnormalised weights, divided once at the end")
def weights_never_normalised(x, alpha, sigma, data, weights):
    logits = _logits(x, alpha, sigma, data, weights)
    unnormalised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return unnormalised @ data / unnormalised.sum(axis=1, keepdims=True)


@innocent("tournament", "posterior_mean", "atoms merged two by two, each pair by a logistic function")
def tournament(x, alpha, sigma, data, weights):
    # logits (B, M) and means (B, M, d) of M groups of atoms
    logits = _logits(x, alpha, sigma, data, weights)
    rows = []
    for evidence in logits:
        means = data
        while len(means) > 1:
            if len(means) % 2:
                evidence = np.append(evidence, evidence.dtype.type(-np.inf))
                means = np.concatenate([means, means[-1:]])
            first, second = evidence[::2], evidence[1::2]
            gap = second - first
            share = np.where(gap > 0, 1 / (1 + np.exp(-np.abs(gap))), 1 - 1 / (1 + np.exp(-np.abs(gap))))
            means = means[::2] + share[:, None].astype(x.dtype) * (means[1::2] - means[::2])
            evidence = np.logaddexp(first, second)
        rows.append(means[0])
    return np.stack(rows)
