"""Terms dropped, doubled and added, and signs."""

import numpy as np

from tests.zoo.building_blocks import (
    centred,
    covariance,
    covariance_product,
    mean,
    posterior,
    variance,
)
from tests.zoo.specimen import Fault, mutant


@mutant("fisher", "numpy", "The covariance is added, not subtracted.", Fault.SIGN)
def covariance_added(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 + alpha**2 / sigma**4 * covariance(p, data)


@mutant("fisher", "numpy", "The Hessian of log q, not minus that.", Fault.SIGN)
def hessian_itself(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    return alpha**2 / sigma**4 * covariance(p, data) - np.eye(x.shape[1], dtype=x.dtype) / sigma**2


@mutant("fisher", "numpy", "The second moment of the atoms for their covariance.", Fault.TERM_DROPPED)
def mean_not_subtracted(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    second_moment = np.einsum("bn,ni,nj->bij", p, data, data)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * second_moment


@mutant("fisher", "numpy", "Covariance about the mean of all data, not about the posterior's.", Fault.TERM_DROPPED)
def centred_on_prior_mean(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    residuals = np.sqrt(p)[:, :, None] * (data - data.mean(axis=0))
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * residuals.swapaxes(1, 2) @ residuals


@mutant("fisher", "numpy", "The outer product of the score for minus the Hessian.", Fault.TERM_DROPPED)
def outer_product_of_score(x, alpha, sigma, data):
    # E[F] is the mean of this (Fisher's identity); pointwise it is something else.
    p = posterior(x, alpha, sigma, data)
    score = (alpha * mean(p, data) - x) / sigma**2
    return score[:, :, None] * score[:, None, :]


@mutant("fisher_vector_product", "numpy", "Both rank-one parts subtracted.", Fault.SIGN)
def rank_one_sign(x, v, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    y = mean(p, data)
    twice = 2 * (y * v).sum(axis=1, keepdims=True) * y
    return v / sigma**2 - alpha**2 / sigma**4 * (covariance_product(p, data, v) + twice)


@mutant("fisher_vector_product", "numpy", "v / sigma^2: the covariance is left out.", Fault.TERM_DROPPED)
def covariance_dropped(x, v, alpha, sigma, data):
    return v / sigma**2


@mutant("fisher_vector_product", "numpy", "The identity is left out.", Fault.TERM_DROPPED)
def identity_dropped(x, v, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    return -(alpha**2) / sigma**4 * covariance_product(p, data, v)


@mutant("fisher_vector_product", "numpy", "Divided by the norm of v, as if it were a direction.", Fault.CONSTANT)
def direction_normalised(x, v, alpha, sigma, data):
    v = v / np.linalg.norm(v, axis=1, keepdims=True)
    p = posterior(x, alpha, sigma, data)
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)


@mutant("fisher_trace", "numpy", "d / sigma^2: the variance is left out.", Fault.TERM_DROPPED)
def variance_dropped(x, sigma, data):
    return np.full(len(x), x.shape[1] / sigma**2, dtype=x.dtype)


@mutant("fisher_trace", "numpy", "The squared norm of the posterior mean is not subtracted.", Fault.TERM_DROPPED)
def squared_mean_dropped(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (p @ (data**2).sum(axis=1))


@mutant("fisher_trace", "numpy", "Twice the variance: E|y - y'|^2 of two independent draws.", Fault.TERM_DOUBLED)
def variance_of_pairs(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return x.shape[1] / sigma**2 - 2 * alpha**2 / sigma**4 * variance(p, data)


@mutant(
    "fisher_trace", "numpy", "The trace of the covariance of x_0, not of the Fisher information.", Fault.PREDICTION_TYPE
)
def denoising_error(x, alpha, sigma, data):
    return variance(posterior(x, alpha, sigma, data), data)


@mutant("fisher_trace", "numpy", "The squared score, whose expectation alone is the trace.", Fault.TERM_DROPPED)
def squared_score(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    return (((alpha * mean(p, data) - x) / sigma**2) ** 2).sum(axis=1)


@mutant("fisher_trace", "numpy", "The square of the summed residuals for the sum of their squares.", Fault.DIAGONAL)
def sum_squared(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    spread = (p * centred(p, data).sum(axis=2) ** 2).sum(axis=1)  # adds up the whole covariance
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * spread


@mutant("score", "numpy", "The sign: x - alpha y for alpha y - x.", Fault.SIGN)
def sign(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return (x - alpha * mean(p, data)) / sigma**2


@mutant("score", "numpy", "The posterior mean subtracted: -(x + alpha y).", Fault.SIGN)
def mean_subtracted(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    return -(x + alpha * mean(p, data)) / sigma**2


@mutant("score", "numpy", "The score of a standard normal prior counted, too.", Fault.TERM_ADDED)
def prior_score_added(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return (alpha * mean(p, data) - x) / sigma**2 - x


@mutant("posterior_mean", "numpy", "x / alpha: the noise is not removed.", Fault.TERM_DROPPED)
def noise_not_removed(x, alpha, sigma, eps):
    return x / alpha


@mutant("posterior_mean", "numpy", "Noise added, not removed.", Fault.SIGN)
def noise_added(x, alpha, sigma, eps):
    return (x + sigma * eps) / alpha


@mutant("posterior_mean", "numpy", "Tweedie's formula with x counted twice.", Fault.TERM_DOUBLED)
def correction_added_to_estimate(x, alpha, sigma, eps):
    # sigma^2 times the score is added to x / alpha twice: once as noise, once as score.
    return (x - 2 * sigma * eps) / alpha


@mutant(
    "fisher_vector_product_endpoint", "numpy", "The rank-one term of the posterior mean is subtracted, too.", Fault.SIGN
)
def endpoint_rank_one_sign(x, v, x0, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    outer = (x0 * v).sum(axis=1, keepdims=True) * x0 + (y * v).sum(axis=1, keepdims=True) * y
    return v / sigma**2 - alpha**2 / sigma**4 * outer


@mutant("fisher_vector_product_endpoint", "numpy", "x_0 and the posterior mean change places.", Fault.SIGN)
def endpoint_and_mean_swapped(x, v, x0, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    outer = (y * v).sum(axis=1, keepdims=True) * y - (x0 * v).sum(axis=1, keepdims=True) * x0
    return v / sigma**2 - alpha**2 / sigma**4 * outer


@mutant("fisher_vector_product_endpoint", "numpy", "The endpoint's term is left out.", Fault.TERM_DROPPED)
def endpoint_dropped(x, v, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    return v / sigma**2 + alpha**2 / sigma**4 * (y * v).sum(axis=1, keepdims=True) * y


@mutant("fisher_vector_product_endpoint", "numpy", "The posterior mean's term is left out.", Fault.TERM_DROPPED)
def endpoint_mean_dropped(x, v, x0, alpha, sigma):
    return v / sigma**2 - alpha**2 / sigma**4 * (x0 * v).sum(axis=1, keepdims=True) * x0


@mutant(
    "fisher_vector_product_endpoint",
    "numpy",
    "One outer product of x_0 - y for the difference of two.",
    Fault.TERM_ADDED,
)
def endpoint_residual(x, v, x0, eps, alpha, sigma):
    residual = x0 - (x - sigma * eps) / alpha
    return v / sigma**2 - alpha**2 / sigma**4 * (residual * v).sum(axis=1, keepdims=True) * residual


@mutant("fisher_trace_matching", "numpy", "Eq. 17 as printed: no 1/d before the squared mean.", Fault.ONE_OVER_D)
def as_printed(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / alpha
    return x.shape[1] * (1 / sigma**2 - alpha**2 / sigma**4 * (head - (y**2).sum(axis=1)))


@mutant("fisher_trace_matching", "numpy", "The head is not multiplied by d.", Fault.ONE_OVER_D)
def head_not_times_dimension(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / alpha
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (head - (y**2).sum(axis=1))


@mutant("fisher_trace_matching", "numpy", "The posterior variance is added.", Fault.SIGN)
def matching_sign(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / alpha
    d = x.shape[1]
    return d / sigma**2 + alpha**2 / sigma**4 * (d * head - (y**2).sum(axis=1))


@mutant("fisher_trace_matching", "numpy", "The norm of the posterior mean, not squared.", Fault.TERM_DROPPED)
def norm_not_squared(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / alpha
    d = x.shape[1]
    return d / sigma**2 - alpha**2 / sigma**4 * (d * head - np.linalg.norm(y, axis=1))


@mutant("fisher_trace_matching", "numpy", "The squared mean is left out.", Fault.TERM_DROPPED)
def matching_mean_dropped(x, alpha, sigma, head):
    return x.shape[1] * (1 / sigma**2 - alpha**2 / sigma**4 * head)
