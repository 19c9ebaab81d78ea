"""More wrong trajectories, written after their diagnosis, which was not changed for them.

By the same author, so with its hypotheses known; each has the mistake where it would be in code, not where a hypothesis
has it: in a loop, in another time, in a Jacobian by differences.
"""

import numpy as np

from afi_properties.diagnosis import Family, Fault
from tests.diagnosis.registry import wrong
from tests.zoo.flows import (
    adjoint,
    dirac_law,
    fisher,
    heun,
    likelihood,
    mixture,
    noise,
    normal,
    posterior,
    score,
    times,
    velocity,
)
from tests.zoo.following import follow, fundamental, velocity_jacobian

LIKELIHOOD, ADJOINT = "log_likelihood", "adjoint"
MAP, JACOBIAN, OPTIMAL = "transport_map", "transport_jacobian", "transport_is_optimal"


# g^2 = beta of a variance-preserving schedule, whichever it is.
@wrong(LIKELIHOOD, Fault.SCHEDULE, [Family.TERMS])
def g2_of_a_preserving_schedule(x, schedule, t_start, t_end, num_steps, data, weights):
    def rate(t, x, total):
        f, level = float(schedule.f(t)), noise(schedule, t)
        trace = np.trace(fisher(x, *level, data, weights), axis1=1, axis2=2)
        return f * x + f * score(x, *level, data, weights), f * x.shape[1] - f * trace + 0 * total

    end, total = heun(rate, [x, 0 * x[:, 0]], times(t_start, t_end, num_steps))
    return normal(end, noise(schedule, t_end)[1] ** 2) + total


# The determinant of the whole Jacobian, without its logarithm.
@wrong(LIKELIHOOD, Fault.LOG_DETERMINANT, [Family.TERMS])
def determinant_without_logarithm(x, schedule, t_start, t_end, num_steps, data, weights):
    J = fundamental(x, data, weights, schedule, t_start, t_end, num_steps)
    end = follow(x, data, weights, schedule, t_start, t_end, num_steps)
    return normal(end, noise(schedule, t_end)[1] ** 2) + np.linalg.det(J)


# The scores of the components averaged with their prior weights.
@wrong(LIKELIHOOD, Fault.WEIGHTS_WRONG)
def prior_for_posterior_weights(x, schedule, t_start, t_end, num_steps, data, weights):
    def rate(t, x, total):
        alpha, sigma = noise(schedule, t)
        f, g2 = float(schedule.f(t)), float(schedule.g2(t))
        mean = np.broadcast_to((weights @ data).astype(x.dtype), x.shape)
        trace = np.trace(fisher(x, alpha, sigma, data, weights), axis1=1, axis2=2)
        return f * x - g2 / 2 * (alpha * mean - x) / sigma**2, f * x.shape[1] + g2 / 2 * trace

    end, total = heun(rate, [x, 0 * x[:, 0]], times(t_start, t_end, num_steps))
    return normal(end, noise(schedule, t_end)[1] ** 2) + total


# The covariance of a sample, N - 1 below.
@wrong(LIKELIHOOD, Fault.CONSTANT)
def variance_of_a_sample(x, schedule, t_start, t_end, num_steps, data, weights):
    def integrand(x, t, trace, f, g2, d):
        sigma = noise(schedule, t)[1]
        part = d / sigma**2 - trace
        return f * d + g2 / 2 * (d / sigma**2 - part * len(data) / max(len(data) - 1, 1))

    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights, integrand=integrand)


# Half of the way there: the grid ends in the middle.
@wrong(LIKELIHOOD, Fault.ENDS)
def half_of_the_way(x, schedule, t_start, t_end, num_steps, data, weights):
    middle = (t_start + t_end) / 2
    return likelihood(x, schedule, t_start, middle, num_steps, data, weights)


# Every step multiplies by 1 - h H for 1 + h H.
@wrong(ADJOINT, Fault.INVERSE, [Family.TERMS])
def steps_of_the_other_sign(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    grid, eye = times(t_start, t_end, num_steps), np.eye(x.shape[1], dtype=x.dtype)
    steps = []
    for k in range(num_steps):
        h = grid[k + 1] - grid[k]
        steps.append(eye - (h * velocity_jacobian(x, grid[k], data, weights, schedule)).astype(x.dtype))
        x = x + (h * velocity(x, grid[k], schedule, score(x, *noise(schedule, grid[k]), data, weights))).astype(x.dtype)
    for step in reversed(steps):
        loss_grad = np.einsum("bij,bi->bj", step, loss_grad)
    return loss_grad


# alpha^2 for alpha everywhere, as alphas_cumprod.
@wrong(ADJOINT, Fault.ALPHA_BAR)
def cumulative_products(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    def law(x, t):
        alpha, sigma = noise(schedule, t)
        return score(x, alpha**2, sigma, data, weights), fisher(x, alpha**2, sigma, data, weights)

    return adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, law)


# loss_grad is multiplied by the Jacobian of the prediction at every step, as in guidance without the flow.
@wrong(ADJOINT, Fault.TERM_DROPPED, [Family.TERMS])
def score_left_out_of_the_way(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)

    def backward(t, x, v):
        product = np.einsum("bij,bj->bi", law(x, t)[1], v)
        f, g2 = float(schedule.f(t)), float(schedule.g2(t))
        return f * x, -(f * v + g2 / 2 * product)

    (end,) = heun(lambda t, y: [float(schedule.f(t)) * y], [x], times(t_start, t_end, num_steps))
    return heun(backward, [end, loss_grad], times(t_end, t_start, num_steps))[1]


# Data are shifted to mean zero, and not back.
@wrong(MAP, Fault.TERM_DROPPED)
def centred_and_not_back(x, schedule, t_start, t_end, num_steps, data, weights):
    centre = (weights @ data).astype(x.dtype)
    alpha = noise(schedule, t_start)[0]
    return follow((x - alpha * centre).astype(x.dtype), data - centre, weights, schedule, t_start, t_end, num_steps)


# In units of the noise, and left there.
@wrong(MAP, Fault.POWER_OF_SIGMA)
def left_in_units_of_the_noise(x, schedule, t_start, t_end, num_steps, data, weights):
    (a, s), (b, u) = noise(schedule, t_start), noise(schedule, t_end)
    ratios = [a / s * ((b / u) / (a / s)) ** (k / num_steps) for k in range(num_steps + 1)]
    return heun(lambda r, n: [posterior(n, r, 1.0, data, weights)[1]], [x / s], ratios)[0].astype(x.dtype)


# Components are drawn with the square roots of their covariances.
@wrong(MAP, Fault.COVARIANCES)
def standard_deviations_for_covariances(x, schedule, t_start, t_end, num_steps, means, covariances, weights):
    values, axes = np.linalg.eigh(covariances)
    roots = ((axes * np.sqrt(np.maximum(values, 0))[:, None]) @ axes.swapaxes(1, 2)).astype(x.dtype)

    def rate(t, x):
        return [velocity(x, t, schedule, mixture(x, *noise(schedule, t), means, roots, weights)[0])]

    return heun(rate, [x], times(t_start, t_end, num_steps))[0]


# Differences of the map by rows, put into columns.
@wrong(JACOBIAN, Fault.TRANSPOSED)
def differences_in_rows(x, schedule, t_start, t_end, num_steps, data, weights):
    h, rows = 1e-2, []
    for unit in np.eye(x.shape[1], dtype=x.dtype):
        ends = [follow(x + sign * h * unit, data, weights, schedule, t_start, t_end, num_steps) for sign in (1, -1)]
        rows.append((ends[0] - ends[1]) / (2 * h))
    return np.stack(rows, axis=1).astype(x.dtype)


# Differences on both sides, divided by one of them.
@wrong(JACOBIAN, Fault.CONSTANT)
def difference_not_halved(x, schedule, t_start, t_end, num_steps, data, weights):
    h, columns = 1e-2, []
    for unit in np.eye(x.shape[1], dtype=x.dtype):
        ends = [follow(x + sign * h * unit, data, weights, schedule, t_start, t_end, num_steps) for sign in (1, -1)]
        columns.append((ends[0] - ends[1]) / h)
    return np.stack(columns, axis=2).astype(x.dtype)


# The covariance without its mean.
@wrong(JACOBIAN, Fault.TERM_DROPPED)
def moment_in_the_operator(x, schedule, t_start, t_end, num_steps, data, weights):
    def generator(x, t, data, weights, schedule):
        alpha, sigma = noise(schedule, t)
        share = posterior(x, alpha, sigma, data, weights)[0]
        moment = np.einsum("bn,ni,nj->bij", share, data, data)
        eye, g2 = np.eye(x.shape[1], dtype=x.dtype), float(schedule.g2(t))
        return (float(schedule.f(t)) + g2 / 2 / sigma**2) * eye - g2 / 2 * alpha**2 / sigma**4 * moment

    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps, generator)


# Whether the map's Jacobian is near the identity.
@wrong(OPTIMAL, Fault.CRITERION)
def diagonally_dominant(x, schedule, t_start, t_end, num_steps, data, weights):
    J = fundamental(x.astype(np.float64), data, weights, schedule, t_start, t_end, num_steps)
    diagonal = np.abs(np.diagonal(J, axis1=1, axis2=2))
    return (2 * diagonal >= np.abs(J).sum(axis=2)).all(axis=1)
