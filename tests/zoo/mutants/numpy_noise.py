"""Noise levels, schedules, timesteps and types of prediction taken for one another."""

import numpy as np

from tests.zoo.building_blocks import covariance, covariance_product, mean, posterior, variance
from tests.zoo.specimen import Fault, mutant


@mutant("score", "numpy", "alphas_cumprod taken for alpha.", Fault.ALPHA_BAR)
def alpha_bar_for_alpha(x, alpha_bar, data):
    alpha, sigma = alpha_bar, np.sqrt(1 - alpha_bar)
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


@mutant("fisher_trace", "numpy", "alphas_cumprod taken for alpha before the variance.", Fault.ALPHA_BAR)
def alpha_bar_squared(x, alpha_bar, data):
    variance_of_noise = 1 - alpha_bar
    p = posterior(x, np.sqrt(alpha_bar), np.sqrt(variance_of_noise), data)
    return x.shape[1] / variance_of_noise - (alpha_bar / variance_of_noise) ** 2 * variance(p, data)


@mutant("fisher_vector_product", "numpy", "1 - alpha for sigma^2 = 1 - alpha^2.", Fault.ALPHA_BAR)
def one_minus_alpha(x, v, alpha_bar, data):
    alpha = np.sqrt(alpha_bar)
    variance_of_noise = 1 - alpha
    p = posterior(x, alpha, np.sqrt(variance_of_noise), data)
    return v / variance_of_noise - (alpha / variance_of_noise) ** 2 * covariance_product(p, data, v)


@mutant("fisher_vector_product_endpoint", "numpy", "alphas_cumprod squared for alpha^2.", Fault.ALPHA_BAR)
def endpoint_alpha_bar_squared(x, v, x0, eps, alpha_bar):
    variance_of_noise = 1 - alpha_bar
    y = (x - np.sqrt(variance_of_noise) * eps) / np.sqrt(alpha_bar)
    outer = (x0 * v).sum(axis=1, keepdims=True) * x0 - (y * v).sum(axis=1, keepdims=True) * y
    return v / variance_of_noise - alpha_bar**2 / variance_of_noise**2 * outer


@mutant("fisher_trace_matching", "numpy", "The root of alpha, as if alpha were alphas_cumprod.", Fault.ALPHA_BAR)
def root_of_alpha(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / alpha**0.5
    d = x.shape[1]
    return d / sigma**2 - alpha / sigma**4 * (d * head - (y**2).sum(axis=1))


@mutant("fisher", "numpy", "log(alpha / sigma), half of log-SNR, taken for log-SNR.", Fault.ALPHA_BAR)
def half_log_snr(x, alpha, sigma, data):
    half = np.log(alpha / sigma)
    alpha, sigma = float(1 / np.sqrt(1 + np.exp(-half))), float(1 / np.sqrt(1 + np.exp(half)))
    p = posterior(x, alpha, sigma, data)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance(p, data)


@mutant("fisher_trace", "numpy", "sigma from alpha as if the schedule preserved variance.", Fault.SCHEDULE)
def variance_preservation_assumed(x, alpha, data):
    sigma = (1 - alpha**2) ** 0.5 if alpha < 1 else 1e-3
    p = posterior(x, alpha, sigma, data)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance(p, data)


@mutant("score", "numpy", "alpha = 1 - sigma, as for rectified flow, whatever the schedule.", Fault.SCHEDULE)
def rectified_flow_assumed(x, sigma, data):
    alpha = 1 - sigma
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


@mutant(
    "fisher_trace_matching",
    "numpy",
    "alpha from sigma as if the schedule preserved variance.",
    Fault.SCHEDULE,
    only="dirac",
)
def matching_variance_preservation_assumed(x, sigma, eps, head):
    alpha = max(1 - sigma**2, 1e-12) ** 0.5
    y = (x - sigma * eps) / alpha
    d = x.shape[1]
    return d / sigma**2 - alpha**2 / sigma**4 * (d * head - (y**2).sum(axis=1))


@mutant(
    "posterior_mean", "numpy", "sigma / alpha for sigma, with x as it is: scale_model_input forgotten.", Fault.SCHEDULE
)
def input_not_rescaled(x, alpha, sigma, data):
    p = posterior(x, 1.0, sigma / alpha, data)
    return mean(p, data)


@mutant(
    "fisher_vector_product",
    "numpy",
    "The operator in the variance-exploding frame x / alpha, not brought back.",
    Fault.POWER_OF_ALPHA,
)
def frame_not_brought_back(x, v, alpha, sigma, data):
    ratio = sigma / alpha
    p = posterior(x / alpha, 1.0, ratio, data)
    return v / ratio**2 - covariance_product(p, data, v) / ratio**4


@mutant("score", "numpy", "The next of 1,000 timesteps.", Fault.TIMESTEP)
def next_timestep(x, schedule, t, data):
    alpha, sigma = float(schedule.alpha(t + 1e-3)), float(schedule.sigma(t + 1e-3))
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


@mutant("fisher", "numpy", "The time rounded down to one of 1,000 timesteps.", Fault.TIMESTEP)
def time_rounded_down(x, schedule, t, data):
    t = max(np.floor(1000 * t), 1) / 1000
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    p = posterior(x, alpha, sigma, data)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance(p, data)


@mutant("posterior_mean", "numpy", "Epsilon put into the formula for a v-prediction.", Fault.PREDICTION_TYPE)
def epsilon_as_velocity(x, alpha, sigma, eps):
    return alpha * x - sigma * eps


@mutant("posterior_mean", "numpy", "Epsilon returned for the posterior mean.", Fault.PREDICTION_TYPE)
def epsilon_as_mean(x, eps):
    return eps.copy()


@mutant("posterior_mean", "numpy", "Rectified flow's x - t u, with epsilon for the velocity.", Fault.PREDICTION_TYPE)
def epsilon_as_flow(x, sigma, eps, t):
    return x - t * eps


@mutant("score", "numpy", "The posterior mean put where epsilon belongs.", Fault.PREDICTION_TYPE)
def mean_as_epsilon(x, alpha, sigma, data):
    return -mean(posterior(x, alpha, sigma, data), data) / sigma


@mutant("score", "numpy", "Epsilon over sigma, without its sign.", Fault.SIGN)
def epsilon_over_sigma(x, sigma, eps):
    return eps / sigma


@mutant("score", "numpy", "Epsilon over sigma^2: epsilon taken for the noise sigma epsilon.", Fault.POWER_OF_SIGMA)
def epsilon_over_variance(x, sigma, eps):
    return -eps / sigma**2


@mutant("fisher_trace_matching", "numpy", "Epsilon's norm for the posterior mean's.", Fault.PREDICTION_TYPE)
def matching_epsilon_for_mean(x, alpha, sigma, eps, head):
    d = x.shape[1]
    return d / sigma**2 - alpha**2 / sigma**4 * (d * head - (eps**2).sum(axis=1))


@mutant("fisher_trace_matching", "numpy", "The noisy x's norm for the posterior mean's.", Fault.PREDICTION_TYPE)
def matching_noisy_for_mean(x, alpha, sigma, head):
    d = x.shape[1]
    return d / sigma**2 - alpha**2 / sigma**4 * (d * head - ((x / alpha) ** 2).sum(axis=1))


@mutant("fisher_vector_product_endpoint", "numpy", "x_t for x_0.", Fault.PREDICTION_TYPE)
def endpoint_noisy(x, v, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    outer = (x * v).sum(axis=1, keepdims=True) * x - (y * v).sum(axis=1, keepdims=True) * y
    return v / sigma**2 - alpha**2 / sigma**4 * outer


@mutant("fisher_vector_product_endpoint", "numpy", "Epsilon for the posterior mean.", Fault.PREDICTION_TYPE)
def endpoint_epsilon_for_mean(x, v, x0, eps, alpha, sigma):
    outer = (x0 * v).sum(axis=1, keepdims=True) * x0 - (eps * v).sum(axis=1, keepdims=True) * eps
    return v / sigma**2 - alpha**2 / sigma**4 * outer
