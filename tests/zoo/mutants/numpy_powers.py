"""Powers of alpha and sigma, and other factors."""

import numpy as np

from tests.zoo.building_blocks import (
    centred,
    covariance,
    covariance_product,
    mean,
    posterior,
    softmax,
    squared_distances,
    variance,
)
from tests.zoo.specimen import Fault, mutant


@mutant("fisher_trace", "numpy", "sigma^3 for sigma^4 before the posterior variance.", Fault.POWER_OF_SIGMA)
def sigma_cubed(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**3 * variance(p, data)


@mutant("fisher_trace", "numpy", "alpha for alpha^2 before the posterior variance.", Fault.POWER_OF_ALPHA)
def alpha_not_squared(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    return x.shape[1] / sigma**2 - alpha / sigma**4 * variance(p, data)


@mutant("fisher_trace", "numpy", "The trace of the identity is 1, not d.", Fault.ONE_OVER_D)
def dimension_forgotten(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return 1 / sigma**2 - alpha**2 / sigma**4 * variance(p, data)


@mutant("fisher_trace", "numpy", "The mean of the squared entries for their sum.", Fault.ONE_OVER_D)
def mean_over_dimensions(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    spread = (p * (centred(p, data) ** 2).mean(axis=2)).sum(axis=1)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * spread


@mutant("fisher_trace", "numpy", "The trace per dimension: divided by d.", Fault.ONE_OVER_D)
def divided_by_dimension(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    return 1 / sigma**2 - alpha**2 / sigma**4 * variance(p, data) / x.shape[1]


@mutant("fisher", "numpy", "sigma^2 for sigma^4 before the covariance.", Fault.POWER_OF_SIGMA)
def sigma_squared_twice(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return (np.eye(x.shape[1], dtype=x.dtype) - alpha**2 * covariance(p, data)) / sigma**2


@mutant("fisher", "numpy", "1/sigma before the identity.", Fault.POWER_OF_SIGMA)
def identity_over_sigma(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma - alpha**2 / sigma**4 * covariance(p, data)


@mutant(
    "fisher", "numpy", "No alpha before the covariance: right for variance-exploding data only.", Fault.POWER_OF_ALPHA
)
def alpha_forgotten(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - covariance(p, data) / sigma**4


@mutant("fisher_vector_product", "numpy", "alpha^4 for alpha^2 before the covariance.", Fault.POWER_OF_ALPHA)
def alpha_to_the_fourth(x, v, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return v / sigma**2 - (alpha / sigma) ** 4 * covariance_product(p, data, v)


@mutant("fisher_vector_product", "numpy", "Everything over sigma once more.", Fault.POWER_OF_SIGMA)
def divided_by_sigma_again(x, v, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    return (v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)) / sigma


@mutant("score", "numpy", "No alpha before the posterior mean.", Fault.POWER_OF_ALPHA)
def alpha_missing_before_mean(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return (mean(p, data) - x) / sigma**2


@mutant("score", "numpy", "Divided by sigma, not by its square.", Fault.POWER_OF_SIGMA)
def sigma_not_squared(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    return -np.einsum("bn,bnd->bd", p, x[:, None] - alpha * data) / sigma


@mutant("score", "numpy", "Minus epsilon is not the score: 1/sigma is missing.", Fault.POWER_OF_SIGMA)
def minus_epsilon(x, eps):
    return -eps


@mutant(
    "posterior_mean",
    "numpy",
    "x - sigma eps, as for variance-exploding data: not divided by alpha.",
    Fault.POWER_OF_ALPHA,
)
def not_divided_by_alpha(x, sigma, eps):
    return x - sigma * eps


@mutant("posterior_mean", "numpy", "sigma^2 for sigma before epsilon.", Fault.POWER_OF_SIGMA)
def sigma_squared_before_epsilon(x, alpha, sigma, eps):
    return (x - sigma**2 * eps) / alpha


@mutant("fisher_trace_matching", "numpy", "alpha for alpha^2 before the posterior variance.", Fault.POWER_OF_ALPHA)
def alpha_once(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / alpha
    d = x.shape[1]
    return d / sigma**2 - alpha / sigma**4 * (d * head - (y**2).sum(axis=1))


@mutant("fisher_trace_matching", "numpy", "|x - sigma eps|^2, not divided by alpha^2.", Fault.POWER_OF_ALPHA)
def mean_not_divided_by_alpha(x, alpha, sigma, eps, head):
    y = x - sigma * eps
    d = x.shape[1]
    return d / sigma**2 - alpha**2 / sigma**4 * (d * head - (y**2).sum(axis=1))


@mutant("fisher_trace_matching", "numpy", "sigma^2 for sigma^4 before the posterior variance.", Fault.POWER_OF_SIGMA)
def snr_for_its_square(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / alpha
    d = x.shape[1]
    return d / sigma**2 - (alpha / sigma) ** 2 * (d * head - (y**2).sum(axis=1))


@mutant(
    "fisher_vector_product_endpoint", "numpy", "sigma^3 for sigma^4 before the outer products.", Fault.POWER_OF_SIGMA
)
def endpoint_sigma_cubed(x, v, x0, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    outer = (x0 * v).sum(axis=1, keepdims=True) * x0 - (y * v).sum(axis=1, keepdims=True) * y
    return v / sigma**2 - alpha**2 / sigma**3 * outer


@mutant("fisher_vector_product_endpoint", "numpy", "alpha for alpha^2 before the outer products.", Fault.POWER_OF_ALPHA)
def endpoint_alpha_once(x, v, x0, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    outer = (x0 * v).sum(axis=1, keepdims=True) * x0 - (y * v).sum(axis=1, keepdims=True) * y
    return v / sigma**2 - alpha / sigma**4 * outer


@mutant("score", "numpy", "Twice the exponent: exp(-r^2 / sigma^2).", Fault.WEIGHTS_WRONG)
def half_forgotten_in_exponent(x, alpha, sigma, data):
    p = softmax(-squared_distances(x, alpha, data) / sigma**2)
    return (alpha * mean(p, data) - x) / sigma**2


@mutant("fisher_vector_product", "numpy", "Distances for their squares in the exponent.", Fault.WEIGHTS_WRONG)
def distances_not_squared(x, v, alpha, sigma, data):
    distances = np.sqrt(squared_distances(x, alpha, data))
    p = softmax(-distances / (2 * sigma**2))
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)


@mutant("fisher", "numpy", "sigma for sigma^2 in the exponent.", Fault.WEIGHTS_WRONG)
def sigma_once_in_exponent(x, alpha, sigma, data, weights):
    p = softmax(np.log(weights) - squared_distances(x, alpha, data) / (2 * sigma))
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance(p, data)


@mutant(
    "posterior_mean", "numpy", "Distances from x to the atoms themselves, not to alpha times them.", Fault.WEIGHTS_WRONG
)
def atoms_not_scaled(x, sigma, data):
    p = softmax(-((x[:, None] - data) ** 2).sum(axis=2) / (2 * sigma**2))
    return mean(p, data)
