"""Wrong implementations that the hypotheses of the diagnosis were not written for.

The zoo (``tests/zoo``) is what the diagnosis was developed on, so its rates there flatter it. These were written
before, and looked at only to measure: nothing in ``afi_properties.diagnosis`` may be changed for one of them alone.
"""

import numpy as np
import torch
from torch.func import jacrev, jvp, vmap

from afi_properties.diagnosis import Fault
from tests.diagnosis.registry import HeldOut, wrong
from tests.zoo.building_blocks import (
    centred,
    column,
    components,
    covariance,
    covariance_product,
    diffuse,
    mean,
    mixture_fisher,
    mixture_score,
    mixture_trace,
    posterior,
    softmax,
    squared_distances,
    variance,
)

__all__ = ["HeldOut", "wrong"]


def _fisher(x, alpha, sigma, covariances):
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariances


def _trace(x, alpha, sigma, variances):
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variances


@wrong("score", Fault.POWER_OF_ALPHA)
def alpha_squared_before_mean(x, alpha, sigma, data):
    return (alpha**2 * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


@wrong("score", Fault.WEIGHTS_WRONG)
def decimal_logarithm_of_weights(x, alpha, sigma, data, weights):
    p = softmax(np.log10(weights) - squared_distances(x, alpha, data) / (2 * sigma**2))
    return (alpha * mean(p, data) - x) / sigma**2


@wrong("score", Fault.TRUNCATED)
def three_nearest(x, alpha, sigma, data):
    distances = squared_distances(x, alpha, data)
    ranks = distances.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    p = softmax(np.where(ranks < 3, -distances / (2 * sigma**2), -np.inf))
    return (alpha * mean(p, data) - x) / sigma**2


@wrong("score", Fault.BATCH_NOISE, per_sample_noise=True)
def smallest_sigma_of_batch(x, alpha, sigma, data):
    sigma = sigma.min()
    return (column(alpha) * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


@wrong("score", Fault.LOW_PRECISION)
def weights_in_float16(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data).astype(np.float16).astype(x.dtype)
    return (alpha * (p @ data) / p.sum(axis=1, keepdims=True) - x) / sigma**2


@wrong("score", Fault.BATCH)
def sorted_by_norm(x, alpha, sigma, data):
    x = x[np.argsort((x**2).sum(axis=1))]
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


@wrong("posterior_mean", Fault.MINIBATCH)
def softmax_within_chunks_of_four(x, alpha, sigma, data):
    chunks = [data[i : i + 4] for i in range(0, len(data), 4)]
    return np.mean([posterior(x, alpha, sigma, chunk) @ chunk for chunk in chunks], axis=0)


@wrong("posterior_mean", Fault.CLIPPED)
def thresholded_at_three(x, alpha, sigma, data, weights):
    return np.clip(mean(posterior(x, alpha, sigma, data, weights), data), -3, 3)


@wrong("posterior_mean", Fault.POWER_OF_ALPHA)
def multiplied_by_alpha(x, alpha, sigma, eps):
    return (x - sigma * eps) * alpha


@wrong("posterior_mean", Fault.WEIGHTS_WRONG)
def component_prior_twice(x, alpha, sigma, means, covariances, weights):
    diffused = diffuse(covariances, alpha, sigma)
    c = components(x, alpha * means, diffused, weights**2 / (weights**2).sum())
    return (x + sigma**2 * mixture_score(c)) / alpha


@wrong("posterior_mean", Fault.SIGN)
def negative_mean(x, alpha, sigma, eps):
    return (sigma * eps - x) / alpha


@wrong("fisher", Fault.TERM_DROPPED)
def identity_left_out(x, alpha, sigma, data):
    return -(alpha**2) / sigma**4 * covariance(posterior(x, alpha, sigma, data), data)


@wrong("fisher", Fault.ONE_OVER_D)
def covariance_over_d(x, alpha, sigma, data):
    return _fisher(x, alpha, sigma, covariance(posterior(x, alpha, sigma, data), data) / x.shape[1])


@wrong("fisher", Fault.STRUCTURE)
def correlation_for_covariance(x, alpha, sigma, data):
    c = covariance(posterior(x, alpha, sigma, data), data)
    deviations = np.sqrt(np.maximum(np.diagonal(c, axis1=1, axis2=2), 1e-300))
    return _fisher(x, alpha, sigma, c / deviations[:, :, None] / deviations[:, None, :])


@wrong("fisher", Fault.STRUCTURE)
def lower_triangle_filled(x, alpha, sigma, data):
    return np.tril(_fisher(x, alpha, sigma, covariance(posterior(x, alpha, sigma, data), data)))


@wrong("fisher", Fault.UNDERFLOW)
def underflow_made_uniform(x, alpha, sigma, data):
    weights = np.exp(-squared_distances(x, alpha, data) / (2 * sigma**2))
    total = weights.sum(axis=1, keepdims=True)
    p = np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / len(data))
    return _fisher(x, alpha, sigma, covariance(p, data))


@wrong("fisher", Fault.WEIGHTS_UNNORMALISED)
def relative_to_the_largest(x, alpha, sigma, data, weights):
    p = posterior(x, alpha, sigma, data, weights)
    p = p / p.max(axis=1, keepdims=True)
    y = p @ data
    return _fisher(x, alpha, sigma, np.einsum("bn,ni,nj->bij", p, data, data) - y[:, :, None] * y[:, None, :])


@wrong("fisher", Fault.LOG_DETERMINANT)
def determinants_left_out(x, alpha, sigma, means, covariances, weights):
    return mixture_fisher(components(x, alpha * means, diffuse(covariances, alpha, sigma), weights, 0))


@wrong("fisher_vector_product", Fault.TIMESTEP)
def previous_timestep(x, v, schedule, t, data):
    t = max(t - 1e-3, t / 2)
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    p = posterior(x, alpha, sigma, data)
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)


@wrong("fisher_vector_product", Fault.SCHEDULE)
def sigma_taken_as_rectified_flow(x, v, alpha, data):
    sigma = max(1 - alpha, 1e-4)
    p = posterior(x, alpha, sigma, data)
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)


@wrong("fisher_vector_product", Fault.TERM_DROPPED)
def about_the_mean_of_the_data(x, v, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    residuals = data - data.mean(axis=0)
    return v / sigma**2 - alpha**2 / sigma**4 * ((p * (v @ residuals.T)) @ residuals)


@wrong("fisher_vector_product", Fault.EPSILON)
def sigma_plus_1e_4(x, v, alpha, sigma, data):
    sigma = sigma + 1e-4
    p = posterior(x, alpha, sigma, data)
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(p, data, v)


@wrong("fisher_vector_product", Fault.BATCH)
def mean_direction(x, v, alpha, sigma, data):
    v = np.broadcast_to(v.mean(axis=0), v.shape)
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(posterior(x, alpha, sigma, data), data, v)


@wrong("fisher_vector_product", Fault.TRUNCATED)
def last_atom_missed(x, v, alpha, sigma, data):
    data = data[: max(1, len(data) - 1)]
    return v / sigma**2 - alpha**2 / sigma**4 * covariance_product(posterior(x, alpha, sigma, data), data, v)


@wrong("fisher_trace", Fault.POWER_OF_SIGMA)
def sigma_to_the_sixth(x, alpha, sigma, data):
    return x.shape[1] / sigma**2 - alpha**2 / sigma**6 * variance(posterior(x, alpha, sigma, data), data)


@wrong("fisher_trace", Fault.LOW_PRECISION)
def weights_in_float32(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data).astype(np.float32).astype(x.dtype)
    return _trace(x, alpha, sigma, variance(p / p.sum(axis=1, keepdims=True), data))


@wrong("fisher_trace", Fault.BROADCASTING)
def norms_along_the_wrong_axis(x, alpha, sigma, data):
    norms = (x**2).sum(axis=1)
    norms = norms if len(norms) == len(data) else norms[:, None]
    logits = -(norms - 2 * alpha * x @ data.T + alpha**2 * (data**2).sum(axis=1)) / (2 * sigma**2)
    return _trace(x, alpha, sigma, variance(softmax(logits), data))


@wrong("fisher_trace", Fault.STATE)
class NoiseKept:
    """Keeps the first noise level of each shape."""

    def __init__(self):
        self.kept = {}

    def __call__(self, x, alpha, sigma, data):
        alpha, sigma = self.kept.setdefault((x.shape, data.shape), (alpha, sigma))
        return _trace(x, alpha, sigma, variance(posterior(x, alpha, sigma, data), data))


@wrong("fisher_trace", Fault.CLIPPED)
def absolute_value(x, alpha, sigma, data):
    return np.abs(_trace(x, alpha, sigma, variance(posterior(x, alpha, sigma, data), data)))


@wrong("fisher_trace", Fault.STRUCTURE)
def variances_of_components_alone(x, alpha, sigma, means, covariances, weights):
    diagonals = covariances * np.eye(x.shape[1], dtype=x.dtype)
    return mixture_trace(components(x, alpha * means, diffuse(diagonals, alpha, sigma), weights))


@wrong("fisher_trace", Fault.PREDICTION_TYPE)
def spread_about_x(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return _trace(x, alpha, sigma, (p * squared_distances(x / alpha, 1.0, data)).sum(axis=1))


@wrong("fisher_trace", Fault.WEIGHTS_UNNORMALISED)
def weights_over_n(x, alpha, sigma, data):
    p = np.exp(-squared_distances(x, alpha, data) / (2 * sigma**2)) / len(data)
    y = p @ data
    return _trace(x, alpha, sigma, p @ (data**2).sum(axis=1) - (y**2).sum(axis=1))


@wrong("fisher_trace_matching", Fault.SIGN)
def noise_added(x, alpha, sigma, eps, head):
    y = (x + sigma * eps) / alpha
    return _trace(x, alpha, sigma, x.shape[1] * head - (y**2).sum(axis=1))


@wrong("fisher_trace_matching", Fault.POWER_OF_ALPHA)
def alpha_to_the_fourth(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / alpha
    d = x.shape[1]
    return d / sigma**2 - (alpha / sigma) ** 4 * (d * head - (y**2).sum(axis=1))


@wrong("fisher_vector_product_endpoint", Fault.POWER_OF_SIGMA)
def isotropic_term_over_sigma(x, v, x0, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    outer = (x0 * v).sum(axis=1, keepdims=True) * x0 - (y * v).sum(axis=1, keepdims=True) * y
    return v / sigma - alpha**2 / sigma**4 * outer


@wrong("fisher_vector_product_endpoint", Fault.BATCH)
def endpoints_centred_on_batch(x, v, x0, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    x0 = x0 - x0.mean(axis=0)
    outer = (x0 * v).sum(axis=1, keepdims=True) * x0 - (y * v).sum(axis=1, keepdims=True) * y
    return v / sigma**2 - alpha**2 / sigma**4 * outer


@wrong("fisher_vector_product_endpoint", Fault.POWER_OF_SIGMA)
def variance_before_epsilon(x, v, x0, eps, alpha, sigma):
    y = (x - sigma**2 * eps) / alpha
    outer = (x0 * v).sum(axis=1, keepdims=True) * x0 - (y * v).sum(axis=1, keepdims=True) * y
    return v / sigma**2 - alpha**2 / sigma**4 * outer


@wrong("fisher_vector_product_jvp", Fault.STEP)
def wide_central_difference(eps_fn, x, v, t, sigma):
    step = 3e-3
    return (eps_fn(x + step * v, t) - eps_fn(x - step * v, t)) / (2 * step) / sigma


@wrong("fisher_vector_product_vjp", Fault.TRANSPOSED, backend="torch", event_shape=(3,))  # whole Jacobians
def indices_of_jacobian_swapped(eps_fn, x, v, t, sigma):
    jacobians = vmap(jacrev(lambda point: eps_fn(point, t)))(x)
    return torch.einsum("bij,bj->bi", jacobians, v) / sigma


@wrong("fisher_vector_product_vjp", Fault.TERM_DOUBLED, backend="torch")
def gradient_accumulated_twice(eps_fn, x, v, t, sigma):
    x = x.clone().requires_grad_()
    for _ in range(2):
        (eps_fn(x, t) * v).sum().backward()
    return x.grad / sigma


@wrong("fisher_vector_product_jvp", Fault.TIMESTEP, backend="torch")
def two_timesteps_later(eps_fn, x, v, t, sigma):
    return jvp(lambda point: eps_fn(point, t + 2e-3), (x,), (v,))[1] / sigma


@wrong("fisher_trace_autodiff", Fault.DIAGONAL, backend="torch")
def absolute_diagonal(eps_fn, x, t, sigma):
    jacobians = vmap(jacrev(lambda point: eps_fn(point, t)))(x)
    return jacobians.diagonal(dim1=1, dim2=2).abs().sum(dim=1) / sigma


@wrong("fisher_trace_autodiff", Fault.ESTIMATE, backend="torch")
def sixteen_probes(eps_fn, x, t, sigma):
    generator = torch.Generator().manual_seed(5)
    jacobians = vmap(jacrev(lambda point: eps_fn(point, t)))(x)
    probes = torch.randn(16, *x.shape, generator=generator, dtype=x.dtype)
    return torch.einsum("kbi,bij,kbj->b", probes, jacobians, probes) / 16 / sigma


@wrong("fisher_trace_autodiff", Fault.DIAGONAL, backend="torch")
def sum_of_first_row(eps_fn, x, t, sigma):
    jacobians = vmap(jacrev(lambda point: eps_fn(point, t)))(x)
    return x.shape[1] * jacobians[:, 0].sum(dim=1) / sigma


@wrong("fisher_trace_autodiff", Fault.BATCH_NOISE, backend="torch", per_sample_noise=True)
def sigma_of_last_point(eps_fn, x, t, sigma):
    jacobians = vmap(jacrev(lambda point, time: eps_fn(point, time)))(x, t)
    return jacobians.diagonal(dim1=1, dim2=2).sum(dim=1) / sigma[-1]


@wrong("posterior_mean", Fault.ORDER)
def atoms_sorted_weights_not(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data)
    return p @ data[np.argsort(data[:, 0])]


@wrong("fisher_trace", Fault.WRONG_AXIS)
def softmax_over_points(x, alpha, sigma, data):
    logits = -squared_distances(x, alpha, data) / (2 * sigma**2)
    p = softmax(logits.T).T
    return _trace(x, alpha, sigma, (p * (centred(p, data) ** 2).sum(axis=2)).sum(axis=1))


@wrong("fisher", Fault.DIMENSION)
def two_coordinates_covary(x, alpha, sigma, data):
    c = covariance(posterior(x, alpha, sigma, data), data)
    c[:, 2:], c[:, :, 2:] = 0, 0
    return _fisher(x, alpha, sigma, c)
