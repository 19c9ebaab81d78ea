"""Gaussian mixtures: determinants, covariances, transposes and weights of components."""

import numpy as np

from tests.zoo.building_blocks import (
    components,
    diffuse,
    mixture_fisher,
    mixture_product,
    mixture_score,
    mixture_trace,
    softmax,
)
from tests.zoo.specimen import Fault, mutant


@mutant("score", "numpy", "The components' determinants are left out of their weights.", Fault.LOG_DETERMINANT)
def log_determinant_omitted(x, alpha, sigma, means, covariances, weights):
    diffused = diffuse(covariances, alpha, sigma)
    return mixture_score(components(x, alpha * means, diffused, weights, log_determinant=0))


@mutant("posterior_mean", "numpy", "The sign of the log-determinant.", Fault.LOG_DETERMINANT)
def log_determinant_sign(x, alpha, sigma, means, covariances, weights):
    diffused = diffuse(covariances, alpha, sigma)
    c = components(x, alpha * means, diffused, weights, log_determinant=-1)
    return (x + sigma**2 * mixture_score(c)) / alpha


@mutant("fisher_trace", "numpy", "The log-determinant is not halved.", Fault.LOG_DETERMINANT)
def log_determinant_not_halved(x, alpha, sigma, means, covariances, weights):
    diffused = diffuse(covariances, alpha, sigma)
    return mixture_trace(components(x, alpha * means, diffused, weights, log_determinant=2))


@mutant(
    "fisher_vector_product", "numpy", "Determinants of the data's covariances, not the diffused.", Fault.LOG_DETERMINANT
)
def log_determinant_without_noise(x, v, alpha, sigma, means, covariances, weights):
    # A covariance of zero has no logarithm: the floor that was put in hides the mistake.
    halves = np.maximum(np.linalg.slogdet(covariances)[1], -100) / 2
    c = components(x, alpha * means, diffuse(covariances, alpha, sigma), weights, log_determinant=0)
    logits = np.log(np.maximum(c.posterior, np.finfo(x.dtype).tiny)) - halves
    return mixture_product(c._replace(posterior=softmax(logits)), v)


@mutant("fisher", "numpy", "The components' own covariances are left out: a mixture of Diracs.", Fault.COVARIANCES)
def covariances_ignored(x, alpha, sigma, means, covariances, weights):
    return mixture_fisher(components(x, alpha * means, diffuse(0 * covariances, alpha, sigma), weights))


@mutant("fisher", "numpy", "The mean of the components' precisions, without what is between them.", Fault.TERM_DROPPED)
def between_components_dropped(x, alpha, sigma, means, covariances, weights):
    c = components(x, alpha * means, diffuse(covariances, alpha, sigma), weights)
    return np.einsum("bk,kde->bde", c.posterior, c.precisions)


@mutant("fisher_trace", "numpy", "1/sigma^2 for the components' precisions.", Fault.COVARIANCES)
def precisions_of_noise(x, alpha, sigma, means, covariances, weights):
    c = components(x, alpha * means, diffuse(covariances, alpha, sigma), weights)
    noise = np.broadcast_to(np.eye(x.shape[1], dtype=x.dtype) / sigma**2, c.precisions.shape)
    return mixture_trace(c._replace(precisions=noise))


@mutant("fisher_trace", "numpy", "The second moment of the scores for their variance.", Fault.TERM_DROPPED)
def scores_not_centred(x, alpha, sigma, means, covariances, weights):
    c = components(x, alpha * means, diffuse(covariances, alpha, sigma), weights)
    second_moment = (c.posterior * (c.scores**2).sum(axis=2)).sum(axis=1)
    return c.posterior @ np.trace(c.precisions, axis1=1, axis2=2) - second_moment


@mutant("fisher_trace", "numpy", "d^2 over the trace for the trace of the inverse.", Fault.COVARIANCES)
def inverse_of_trace(x, alpha, sigma, means, covariances, weights):
    d = x.shape[1]
    diffused = diffuse(covariances, alpha, sigma)
    isotropic = np.eye(d, dtype=x.dtype) * (d / np.trace(diffused, axis1=1, axis2=2))[:, None, None]
    return mixture_trace(components(x, alpha * means, diffused, weights)._replace(precisions=isotropic))


@mutant("fisher_trace", "numpy", "sigma for sigma^2 in the diffused covariances.", Fault.POWER_OF_SIGMA)
def noise_not_squared(x, alpha, sigma, means, covariances, weights):
    diffused = alpha**2 * covariances + sigma * np.eye(x.shape[1], dtype=x.dtype)
    return mixture_trace(components(x, alpha * means, diffused, weights))


@mutant("fisher_vector_product", "numpy", "alpha for alpha^2 before the covariances.", Fault.POWER_OF_ALPHA)
def covariances_times_alpha(x, v, alpha, sigma, means, covariances, weights):
    diffused = alpha * covariances + sigma**2 * np.eye(x.shape[1], dtype=x.dtype)
    return mixture_product(components(x, alpha * means, diffused, weights), v)


@mutant("score", "numpy", "No alpha before the means.", Fault.POWER_OF_ALPHA)
def means_not_scaled(x, alpha, sigma, means, covariances, weights):
    return mixture_score(components(x, means, diffuse(covariances, alpha, sigma), weights))


@mutant("score", "numpy", "Rows for columns of the eigenvectors.", Fault.TRANSPOSED)
def eigenvectors_transposed(x, alpha, sigma, means, covariances, weights):
    variances, axes = np.linalg.eigh(covariances)
    variances = alpha**2 * variances + sigma**2
    differences = np.einsum("bkd,ked->bke", x[:, None] - alpha * means, axes)
    logits = np.log(weights) - (differences**2 / variances).sum(axis=2) / 2 - np.log(variances).sum(axis=1) / 2
    return -np.einsum("bk,bke,kde->bd", softmax(logits), differences / variances, axes)


@mutant("fisher_vector_product", "numpy", "L L^T for L^T L, L the inverse of the Cholesky factor.", Fault.TRANSPOSED)
def cholesky_transposed(x, v, alpha, sigma, means, covariances, weights):
    diffused = diffuse(covariances, alpha, sigma)
    inverses = np.linalg.inv(np.linalg.cholesky(diffused))
    c = components(x, alpha * means, diffused, weights)
    return mixture_product(c._replace(precisions=inverses @ inverses.swapaxes(1, 2)), v)


@mutant("posterior_mean", "numpy", "The mean of the components' means: x does not move them.", Fault.COVARIANCES)
def component_means(x, alpha, sigma, means, covariances, weights):
    return components(x, alpha * means, diffuse(covariances, alpha, sigma), weights).posterior @ means


@mutant("posterior_mean", "numpy", "Kalman's gain without alpha.", Fault.POWER_OF_ALPHA)
def gain_without_alpha(x, alpha, sigma, means, covariances, weights):
    c = components(x, alpha * means, diffuse(covariances, alpha, sigma), weights)
    moved = means + np.einsum("kde,bke->bkd", covariances, c.scores)
    return np.einsum("bk,bkd->bd", c.posterior, moved)


@mutant("fisher", "numpy", "Only the diagonals of the covariances.", Fault.STRUCTURE)
def diagonal_covariances(x, alpha, sigma, means, covariances, weights):
    diagonals = covariances * np.eye(x.shape[1], dtype=x.dtype)
    return mixture_fisher(components(x, alpha * means, diffuse(diagonals, alpha, sigma), weights))


@mutant("score", "numpy", "The covariances taken for their square roots.", Fault.COVARIANCES)
def covariances_squared(x, alpha, sigma, means, covariances, weights):
    diffused = diffuse(covariances @ covariances, alpha, sigma)
    return mixture_score(components(x, alpha * means, diffused, weights))


@mutant("score", "numpy", "One covariance for all components: their mean.", Fault.COVARIANCES)
def pooled_covariance(x, alpha, sigma, means, covariances, weights):
    pooled = np.broadcast_to(covariances.mean(axis=0), covariances.shape)
    return mixture_score(components(x, alpha * means, diffuse(pooled, alpha, sigma), weights))


@mutant(
    "fisher_vector_product", "numpy", "The prior weights of the components for the posterior ones.", Fault.WEIGHTS_WRONG
)
def prior_for_posterior(x, v, alpha, sigma, means, covariances, weights):
    c = components(x, alpha * means, diffuse(covariances, alpha, sigma), weights)
    return mixture_product(c._replace(posterior=np.broadcast_to(weights, c.posterior.shape)), v)


@mutant("fisher", "numpy", "Every component counts the same.", Fault.WEIGHTS_IGNORED)
def component_weights_ignored(x, alpha, sigma, means, covariances, weights):
    uniform = np.full_like(weights, 1 / len(weights))
    return mixture_fisher(components(x, alpha * means, diffuse(covariances, alpha, sigma), uniform))


@mutant("posterior_mean", "numpy", "Posterior weights normalised over the batch.", Fault.WRONG_AXIS)
def component_softmax_over_batch(x, alpha, sigma, means, covariances, weights):
    c = components(x, alpha * means, diffuse(covariances, alpha, sigma), weights)
    c = c._replace(posterior=softmax(np.log(c.posterior).T).T)
    return (x + sigma**2 * mixture_score(c)) / alpha


@mutant("fisher", "numpy", "1e-6 on the diagonal of every covariance, for the Cholesky factor's sake.", Fault.EPSILON)
def jitter_on_covariances(x, alpha, sigma, means, covariances, weights):
    jitter = 1e-6 * np.eye(x.shape[1], dtype=x.dtype)
    return mixture_fisher(components(x, alpha * means, diffuse(covariances + jitter, alpha, sigma), weights))


@mutant("posterior_mean", "numpy", "The likeliest component for all of them.", Fault.TRUNCATED)
def likeliest_component(x, alpha, sigma, means, covariances, weights):
    c = components(x, alpha * means, diffuse(covariances, alpha, sigma), weights)
    return (x + sigma**2 * c.scores[np.arange(len(x)), c.posterior.argmax(axis=1)]) / alpha
