"""Wrong trajectories that the hypotheses of the diagnosis were not written for.

They were written, with the faults that a diagnosis should name, before the diagnosis of trajectories was: nothing in
``afi_properties.diagnosis`` may be changed for one of them alone.
"""

import math

import numpy as np

from afi_properties.diagnosis import Fault
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
    runge_kutta,
    score,
    times,
    velocity,
)
from tests.zoo.following import definite, follow, fundamental, symmetric, velocity_jacobian

LIKELIHOOD, ADJOINT = "log_likelihood", "adjoint"
MAP, JACOBIAN, OPTIMAL = "transport_map", "transport_jacobian", "transport_is_optimal"


def _rates(schedule, t):
    return float(schedule.f(t)), float(schedule.g2(t))


def _likelihood(x, schedule, t_start, t_end, num_steps, data, weights, move, change, solver=heun):
    """``move(x, t, score)`` is the velocity, ``change(x, t, matrix)`` the rate of the log density."""

    def rate(t, x, total):
        level = noise(schedule, t)
        matrix = fisher(x, *level, data, weights)
        return move(x, t, score(x, *level, data, weights)), change(x, t, matrix) + 0 * total

    end, total = solver(rate, [x, 0 * x[:, 0]], times(t_start, t_end, num_steps))
    return normal(end, noise(schedule, t_end)[1] ** 2) + total


# The flow of the reverse SDE's drift under the right integrand.
@wrong(LIKELIHOOD, Fault.CONSTANT)
def flow_of_the_reverse_drift(x, schedule, t_start, t_end, num_steps, data, weights):
    def move(x, t, s):
        f, g2 = _rates(schedule, t)
        return f * x - g2 * s

    def change(x, t, matrix):
        f, g2 = _rates(schedule, t)
        return f * x.shape[1] + g2 / 2 * np.trace(matrix, axis1=1, axis2=2)

    return _likelihood(x, schedule, t_start, t_end, num_steps, data, weights, move, change)


# alphas_cumprod for its root, in score and trace.
@wrong(LIKELIHOOD, Fault.ALPHA_BAR)
def alphas_cumprod(x, schedule, t_start, t_end, num_steps, data, weights):
    def rate(t, x, total):
        alpha, sigma = noise(schedule, t)
        f, g2 = _rates(schedule, t)
        trace = np.trace(fisher(x, alpha**2, sigma, data, weights), axis1=1, axis2=2)
        return velocity(x, t, schedule, score(x, alpha**2, sigma, data, weights)), f * x.shape[1] + g2 / 2 * trace

    end, total = heun(rate, [x, 0 * x[:, 0]], times(t_start, t_end, num_steps))
    return normal(end, noise(schedule, t_end)[1] ** 2) + total


# E|x0|^2 for the variance.
@wrong(LIKELIHOOD, Fault.TERM_DROPPED)
def moment_for_variance(x, schedule, t_start, t_end, num_steps, data, weights):
    def change(x, t, matrix):
        alpha, sigma = noise(schedule, t)
        f, g2 = _rates(schedule, t)
        mean = posterior(x, alpha, sigma, data, weights)[1]
        trace = np.trace(matrix, axis1=1, axis2=2) - alpha**2 / sigma**4 * (mean**2).sum(1)
        return f * x.shape[1] + g2 / 2 * trace

    return _likelihood(
        x, schedule, t_start, t_end, num_steps, data, weights, lambda x, t, s: velocity(x, t, schedule, s), change
    )


# The noise of the start in the prior.
@wrong(LIKELIHOOD, Fault.PRIOR)
def prior_with_the_noise_of_the_start(x, schedule, t_start, t_end, num_steps, data, weights):
    sigma = noise(schedule, t_start)[1]
    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights, prior=lambda end, _: normal(end, sigma**2))


# The end is divided by sigma, without the logarithm of that.
@wrong(LIKELIHOOD, Fault.PRIOR)
def standardised_without_its_jacobian(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(
        x, schedule, t_start, t_end, num_steps, data, weights, prior=lambda end, sigma: normal(end / sigma, 1.0)
    )


# A prior as wide as the data of the end, alpha^2 + sigma^2.
@wrong(LIKELIHOOD, Fault.PRIOR)
def prior_of_total_variance(x, schedule, t_start, t_end, num_steps, data, weights):
    alpha = noise(schedule, t_end)[0]
    return likelihood(
        x, schedule, t_start, t_end, num_steps, data, weights, prior=lambda end, s: normal(end, alpha**2 + s**2)
    )


@wrong(LIKELIHOOD, Fault.PRIOR)
def density_of_the_end(x, schedule, t_start, t_end, num_steps, data, weights):
    def at_the_end(end, sigma):
        alpha = noise(schedule, t_end)[0]
        logs = np.log(weights) - ((end[:, None] - alpha * data) ** 2).sum(-1) / (2 * sigma**2)
        top = logs.max(1)
        total = top + np.log(np.exp(logs - top[:, None]).sum(1))
        return total - end.shape[1] / 2 * math.log(2 * math.pi * sigma**2)

    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights, prior=at_the_end)


@wrong(LIKELIHOOD, Fault.SIGN)
def negative(x, schedule, t_start, t_end, num_steps, data, weights):
    return -likelihood(x, schedule, t_start, t_end, num_steps, data, weights)


@wrong(LIKELIHOOD, Fault.UNIT)
def nats_per_dimension(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights) / x.shape[1]


@wrong(LIKELIHOOD, Fault.POWER_OF_G)
def trace_times_g(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(
        x,
        schedule,
        t_start,
        t_end,
        num_steps,
        data,
        weights,
        integrand=lambda x, t, trace, f, g2, d: f * d + math.sqrt(g2) / 2 * trace,
    )


@wrong(LIKELIHOOD, Fault.TERM_DOUBLED)
def drift_counted_twice(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(
        x,
        schedule,
        t_start,
        t_end,
        num_steps,
        data,
        weights,
        integrand=lambda x, t, trace, f, g2, d: 2 * f * d + g2 / 2 * trace,
    )


# The weights enter the flow and not the trace.
@wrong(LIKELIHOOD, Fault.WEIGHTS_IGNORED)
def trace_with_uniform_weights(x, schedule, t_start, t_end, num_steps, data, weights):
    def change(x, t, matrix):
        f, g2 = _rates(schedule, t)
        other = fisher(x, *noise(schedule, t), data, np.full_like(weights, 1 / len(weights)))
        return f * x.shape[1] + g2 / 2 * np.trace(other, axis1=1, axis2=2)

    return _likelihood(
        x, schedule, t_start, t_end, num_steps, data, weights, lambda x, t, s: velocity(x, t, schedule, s), change
    )


# <1, F 1>: a single probe of ones.
@wrong(LIKELIHOOD, Fault.DIAGONAL)
def probe_of_ones(x, schedule, t_start, t_end, num_steps, data, weights):
    def change(x, t, matrix):
        f, g2 = _rates(schedule, t)
        return f * x.shape[1] + g2 / 2 * matrix.sum(axis=(1, 2))

    return _likelihood(
        x, schedule, t_start, t_end, num_steps, data, weights, lambda x, t, s: velocity(x, t, schedule, s), change
    )


# From the end to the start, with the prior where the data are.
@wrong(LIKELIHOOD, Fault.ENDS)
def from_the_end(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(x, schedule, t_end, t_start, num_steps, data, weights)


@wrong(ADJOINT, Fault.SIGN)
def fisher_with_the_sign_of_the_hessian(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)
    return adjoint(
        x, loss_grad, schedule, t_start, t_end, num_steps, law, change=lambda v, f, g2, p: -f * v + g2 / 2 * p
    )


# tr F / d for F.
@wrong(ADJOINT, Fault.STRUCTURE)
def isotropic(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)

    def rounded(x, t):
        s, matrix = law(x, t)
        mean = np.trace(matrix, axis1=1, axis2=2) / x.shape[1]
        return s, mean[:, None, None] * np.eye(x.shape[1], dtype=x.dtype)

    return adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, rounded)


@wrong(ADJOINT, Fault.WEIGHTS_IGNORED)
def uniform_components(x, loss_grad, schedule, t_start, t_end, num_steps, means, covariances, weights):
    uniform = np.full_like(weights, 1 / len(weights))

    def law(x, t):
        return mixture(x, *noise(schedule, t), means, covariances, uniform)

    return adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, law)


# The equation is solved from t_start on, where loss_grad does not belong.
@wrong(ADJOINT, Fault.ENDS)
def forward_in_time(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)

    def rate(t, x, v):
        s, matrix = law(x, t)
        f, g2 = _rates(schedule, t)
        return velocity(x, t, schedule, s), -(f * v + g2 / 2 * np.einsum("bij,bj->bi", matrix, v))

    return heun(rate, [x, loss_grad], times(t_start, t_end, num_steps))[1]


@wrong(ADJOINT, Fault.POWER_OF_SIGMA)
def sigma_squared_below_the_covariance(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    def law(x, t):
        alpha, sigma = noise(schedule, t)
        covariance = posterior(x, alpha, sigma, data, weights)[2]
        eye = np.eye(x.shape[1], dtype=x.dtype)
        return score(x, alpha, sigma, data, weights), eye / sigma**2 - alpha**2 / sigma**2 * covariance

    return adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, law)


@wrong(ADJOINT, Fault.BATCH)
def gradient_of_the_mean_loss(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    return adjoint(x, loss_grad / len(x), schedule, t_start, t_end, num_steps, dirac_law(schedule, data, weights))


@wrong(ADJOINT, Fault.TERM_DROPPED)
def second_moment_for_covariance(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    def law(x, t):
        alpha, sigma = noise(schedule, t)
        mean = posterior(x, alpha, sigma, data, weights)[1]
        wrong = fisher(x, alpha, sigma, data, weights) - alpha**2 / sigma**4 * mean[:, :, None] * mean[:, None]
        return score(x, alpha, sigma, data, weights), wrong

    return adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, law, solver=runge_kutta)


# epsilon is not divided by sigma.
@wrong(MAP, Fault.POWER_OF_SIGMA)
def epsilon_not_divided(x, schedule, t_start, t_end, num_steps, data, weights):
    def rate(t, x):
        f, g2 = _rates(schedule, t)
        alpha, sigma = noise(schedule, t)
        return [f * x - g2 / 2 * sigma * score(x, alpha, sigma, data, weights)]

    return heun(rate, [x], times(t_start, t_end, num_steps))[0]


# The straight line's schedule, whichever is asked for.
@wrong(MAP, Fault.SCHEDULE)
def rectified_flow_assumed(x, schedule, t_start, t_end, num_steps, data, weights):
    start, end = (s / (a + s) for a, s in (noise(schedule, t) for t in (t_start, t_end)))

    def rate(t, x):
        mean = posterior(x, 1 - t, t, data, weights)[1]
        return [(x - mean) / t]

    return heun(rate, [x], times(start, end, num_steps))[0]


# Divided by alpha at the end, as if it were a prediction of the data.
@wrong(MAP, Fault.POWER_OF_ALPHA)
def divided_by_alpha(x, schedule, t_start, t_end, num_steps, data, weights):
    end = follow(x, data, weights, schedule, t_start, t_end, num_steps)
    return (end / noise(schedule, t_end)[0]).astype(x.dtype)


@wrong(MAP, Fault.PREDICTION_TYPE)
def posterior_mean_of_the_end(x, schedule, t_start, t_end, num_steps, data, weights):
    end = follow(x, data, weights, schedule, t_start, t_end, num_steps)
    return posterior(end, *noise(schedule, t_end), data, weights)[1].astype(x.dtype)


@wrong(MAP, Fault.COVARIANCES)
def diagonals_of_the_components(x, schedule, t_start, t_end, num_steps, means, covariances, weights):
    diagonal = covariances * np.eye(x.shape[1], dtype=x.dtype)

    def rate(t, x):
        return [velocity(x, t, schedule, mixture(x, *noise(schedule, t), means, diagonal, weights)[0])]

    return heun(rate, [x], times(t_start, t_end, num_steps))[0]


@wrong(MAP, Fault.WRONG_AXIS)
def softmax_over_points(x, schedule, t_start, t_end, num_steps, data, weights):
    def rate(t, x):
        alpha, sigma = noise(schedule, t)
        logits = np.log(weights) - ((x[:, None] - alpha * data) ** 2).sum(-1) / (2 * sigma**2)
        share = np.exp(logits - logits.max(0))
        share = share / share.sum(0)
        return [velocity(x, t, schedule, (alpha * share @ data - x) / sigma**2)]

    return heun(rate, [x], times(t_start, t_end, num_steps))[0]


@wrong(MAP, Fault.SIGN)
def other_way_round(x, schedule, t_start, t_end, num_steps, data, weights):
    def rate(t, x):
        return [-velocity(x, t, schedule, score(x, *noise(schedule, t), data, weights))]

    return heun(rate, [x], times(t_start, t_end, num_steps))[0]


# Eight steps of Euler's method.
@wrong(JACOBIAN, Fault.STEPS)
def eight_steps(x, schedule, t_start, t_end, num_steps, data, weights):
    J = np.broadcast_to(np.eye(x.shape[1], dtype=x.dtype), (len(x), x.shape[1], x.shape[1]))
    h = (t_end - t_start) / 8
    for k in range(8):
        t = t_start + k * h
        J = J + (h * velocity_jacobian(x, t, data, weights, schedule) @ J).astype(x.dtype)
        x = x + h * velocity(x, t, schedule, score(x, *noise(schedule, t), data, weights)).astype(x.dtype)
    return J


@wrong(JACOBIAN, Fault.TERM_DROPPED)
def in_units_of_the_signal(x, schedule, t_start, t_end, num_steps, data, weights):
    J = fundamental(x, data, weights, schedule, t_start, t_end, num_steps)
    return (J * (noise(schedule, t_start)[0] / noise(schedule, t_end)[0])).astype(x.dtype)


@wrong(JACOBIAN, Fault.SIGN)
def covariance_added(x, schedule, t_start, t_end, num_steps, data, weights):
    def wrong(x, t, data, weights, schedule):
        alpha, sigma = noise(schedule, t)
        covariance = posterior(x, alpha, sigma, data, weights)[2]
        H = velocity_jacobian(x, t, data, weights, schedule)
        return H + alpha**2 * float(schedule.g2(t)) / sigma**4 * covariance

    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


# The metric that the map pulls back.
@wrong(JACOBIAN, Fault.TRANSPOSED)
def gram_matrix(x, schedule, t_start, t_end, num_steps, data, weights):
    J = fundamental(x, data, weights, schedule, t_start, t_end, num_steps)
    return J.swapaxes(1, 2) @ J


@wrong(JACOBIAN, Fault.WEIGHTS_IGNORED)
def covariance_with_uniform_weights(x, schedule, t_start, t_end, num_steps, data, weights):
    def wrong(x, t, data, weights, schedule):
        return velocity_jacobian(x, t, data, np.full_like(weights, 1 / len(weights)), schedule)

    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@wrong(OPTIMAL, Fault.CRITERION)
def definite_gram_matrix(x, schedule, t_start, t_end, num_steps, data, weights):
    J = fundamental(x.astype(np.float64), data, weights, schedule, t_start, t_end, num_steps)
    return definite(J.swapaxes(1, 2) @ J)


@wrong(OPTIMAL, Fault.CRITERION)
def symmetric_within_a_tenth(x, schedule, t_start, t_end, num_steps, data, weights):
    J = fundamental(x.astype(np.float64), data, weights, schedule, t_start, t_end, num_steps)
    return symmetric(J, 0.2) & definite(J)
