"""Right maps of the probability-flow ODE, Jacobians and criteria that look unusual."""

import itertools

import numpy as np
import torch

from afi_verify.implementations import numpy_gaussian_mixture
from tests.zoo.following import (
    definite,
    follow,
    fundamental,
    heun,
    levels,
    posterior,
    symmetric,
    velocity,
    velocity_jacobian,
)
from tests.zoo.innocent import innocent

MAP, JACOBIAN, OPTIMAL = "transport_map", "transport_jacobian", "transport_is_optimal"


def _ratios(schedule, t_start, t_end, num_steps):
    """``alpha / sigma`` at evenly spaced logarithms."""
    ends = [float(schedule.alpha(t)) / float(schedule.sigma(t)) for t in (t_start, t_end)]
    return np.geomspace(*ends, num_steps + 1)


@innocent("ddim-map", MAP, "DDIM: Euler in alpha / sigma, of order 1, and no derivative of the schedule")
def ddim_map(x, data, weights, schedule, t_start, t_end, num_steps):
    ratios = _ratios(schedule, t_start, t_end, num_steps)
    n = x.astype(np.float64) / float(schedule.sigma(t_start))
    for a, after in itertools.pairwise(ratios):
        n = n + (after - a) * posterior(n, a, 1.0, data, weights)[1]
    return (float(schedule.sigma(t_end)) * n).astype(x.dtype)


@innocent("heun-in-time-map", MAP, "Heun in the schedule's own time, in the precision of the arguments")
def heun_map(x, data, weights, schedule, t_start, t_end, num_steps):
    return follow(x, data, weights, schedule, t_start, t_end, num_steps)


@innocent(
    "noise-prediction-map", MAP, "nothing but the noise prediction, steps of Euler in sigma / alpha", backend="torch"
)
def map_of_noise_prediction(x, eps_fn, schedule, t_start, t_end, num_steps):
    times = np.linspace(t_start, t_end, num_steps + 1)
    alphas, sigmas = (np.array([float(part(t)) for t in times]) for part in (schedule.alpha, schedule.sigma))
    z = x / alphas[0]
    for k in range(num_steps):
        eps = eps_fn(alphas[k] * z, torch.full((len(x),), times[k], dtype=x.dtype))
        z = z + (sigmas[k + 1] / alphas[k + 1] - sigmas[k] / alphas[k]) * eps
    return alphas[-1] * z


@innocent("product-of-steps-jacobian", JACOBIAN, "a product of the Jacobians of DDIM's steps, newest on the left")
def product_of_steps(x, data, weights, schedule, t_start, t_end, num_steps):
    ratios = _ratios(schedule, t_start, t_end, num_steps)
    n = x.astype(np.float64) / float(schedule.sigma(t_start))
    J = np.broadcast_to(np.eye(x.shape[1]), (len(x), x.shape[1], x.shape[1]))
    for a, after in itertools.pairwise(ratios):
        _, mean, covariance = posterior(n, a, 1.0, data, weights)
        J = J + (after - a) * a * covariance @ J
        n = n + (after - a) * mean
    return (J * float(schedule.sigma(t_end)) / float(schedule.sigma(t_start))).astype(x.dtype)


@innocent(
    "backwards-jacobian", JACOBIAN, "A' = A B from the end back to the start, as the paper has it (sign corrected)"
)
def backwards(x, data, weights, schedule, t_start, t_end, num_steps):
    x64 = x.astype(np.float64)
    end = follow(x64, data, weights, schedule, t_start, t_end, num_steps)
    eye = np.broadcast_to(np.eye(x.shape[1]), (len(x), x.shape[1], x.shape[1]))

    def slope(t, state):
        point, A = state
        return velocity(point, t, data, weights, schedule), -A @ velocity_jacobian(point, t, data, weights, schedule)

    return heun((end, eye), t_end, t_start, num_steps, slope)[1].astype(x.dtype)


@innocent("differences-jacobian", JACOBIAN, "central differences of the map, in float64 inside")
def differences(x, data, weights, schedule, t_start, t_end, num_steps):
    x64, h = x.astype(np.float64), 1e-4 * float(schedule.sigma(t_start))
    columns = []
    for axis in np.eye(x.shape[1]):
        ends = [follow(x64 + s * h * axis, data, weights, schedule, t_start, t_end, num_steps) for s in (1, -1)]
        columns.append((ends[0] - ends[1]) / (2 * h))
    return np.stack(columns, axis=2).astype(x.dtype)


@innocent("cholesky-criterion", OPTIMAL, "symmetric to a thousandth, and a Cholesky factorisation that succeeds")
def by_cholesky(x, data, weights, schedule, t_start, t_end, num_steps):
    J = fundamental(x.astype(np.float64), data, weights, schedule, t_start, t_end, num_steps)

    def factors(matrix):
        try:
            np.linalg.cholesky((matrix + matrix.T) / 2)
        except np.linalg.LinAlgError:
            return False
        return True

    return symmetric(J) & np.array([factors(matrix) for matrix in J])


@innocent("inverse-map-criterion", OPTIMAL, "the criterion for the inverse map, which is optimal if the map is")
def by_the_inverse(x, data, weights, schedule, t_start, t_end, num_steps):
    J = fundamental(x.astype(np.float64), data, weights, schedule, t_start, t_end, num_steps)
    inverse = np.linalg.inv(J / np.linalg.norm(J, axis=(1, 2), keepdims=True))
    return symmetric(inverse) & definite(inverse)


@innocent("polar-criterion", OPTIMAL, "J is the positive root of J^T J: symmetric and positive at once")
def by_the_polar_part(x, data, weights, schedule, t_start, t_end, num_steps):
    J = fundamental(x.astype(np.float64), data, weights, schedule, t_start, t_end, num_steps)
    polar = J.swapaxes(1, 2) @ J
    values, axes = np.linalg.eigh(polar)
    root = (axes * np.sqrt(values)[:, None]) @ axes.swapaxes(1, 2)
    return np.linalg.norm(root - J, axis=(1, 2)) <= 1e-3 * np.linalg.norm(J, axis=(1, 2))


def _mixture(x, schedule, means, covariances, weights):
    """Velocity and its Jacobian of a Gaussian mixture, by the shipped score and Fisher information."""

    def slope(t, state):
        point, J = state
        alpha, sigma, f, g2 = levels(schedule, t)
        law = alpha, sigma, means, covariances, weights
        H = f * np.eye(x.shape[1]) + g2 / 2 * numpy_gaussian_mixture.fisher(point, *law)
        return f * point - g2 / 2 * numpy_gaussian_mixture.score(point, *law), H @ J

    return slope


def _mixture_ends(x, means, covariances, weights, schedule, t_start, t_end, num_steps):
    x64 = x.astype(np.float64)
    eye = np.broadcast_to(np.eye(x.shape[1]), (len(x), x.shape[1], x.shape[1]))
    return heun((x64, eye), t_start, t_end, num_steps, _mixture(x, schedule, means, covariances, weights))


@innocent("mixture-map", MAP, "a Gaussian mixture, Heun in the schedule's own time")
def mixture_map(x, means, covariances, weights, schedule, t_start, t_end, num_steps):
    return _mixture_ends(x, means, covariances, weights, schedule, t_start, t_end, num_steps)[0].astype(x.dtype)


@innocent("mixture-jacobian", JACOBIAN, "a Gaussian mixture, the variational equation by its Fisher information")
def mixture_jacobian(x, means, covariances, weights, schedule, t_start, t_end, num_steps):
    return _mixture_ends(x, means, covariances, weights, schedule, t_start, t_end, num_steps)[1].astype(x.dtype)
