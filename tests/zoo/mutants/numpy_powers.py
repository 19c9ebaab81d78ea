"""Powers of alpha and sigma, and factors."""

from tests.zoo.building_blocks import centred, posterior, variance
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
