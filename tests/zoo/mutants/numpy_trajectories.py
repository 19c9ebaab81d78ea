"""Likelihoods and adjoint states along the flow that converge to the wrong number, or to none."""

import math

import numpy as np

from tests.zoo.flows import (
    adjoint,
    dirac_law,
    euler,
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
from tests.zoo.specimen import Fault, mutant

LIKELIHOOD, ADJOINT = "log_likelihood", "adjoint"


@mutant(LIKELIHOOD, "numpy", "The integral is subtracted from the prior.", Fault.SIGN)
def integral_subtracted(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(
        x, schedule, t_start, t_end, num_steps, data, weights, integrand=lambda x, t, r, f, g2, d: -f * d - g2 / 2 * r
    )


@mutant(LIKELIHOOD, "numpy", "g^2 tr F without its factor 1/2.", Fault.CONSTANT)
def half_forgotten(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(
        x, schedule, t_start, t_end, num_steps, data, weights, integrand=lambda x, t, r, f, g2, d: f * d + g2 * r
    )


@mutant(LIKELIHOOD, "numpy", "The term f d dropped, as if the schedule were VE.", Fault.TERM_DROPPED)
def drift_dropped(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(
        x, schedule, t_start, t_end, num_steps, data, weights, integrand=lambda x, t, r, f, g2, d: g2 / 2 * r
    )


@mutant(LIKELIHOOD, "numpy", "f for f d.", Fault.ONE_OVER_D)
def drift_counted_once(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(
        x, schedule, t_start, t_end, num_steps, data, weights, integrand=lambda x, t, r, f, g2, d: f + g2 / 2 * r
    )


@mutant(LIKELIHOOD, "numpy", "The trace with the wrong sign.", Fault.SIGN)
def trace_subtracted(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(
        x, schedule, t_start, t_end, num_steps, data, weights, integrand=lambda x, t, r, f, g2, d: f * d - g2 / 2 * r
    )


@mutant(LIKELIHOOD, "numpy", "The mean of F's diagonal for its sum.", Fault.ONE_OVER_D)
def mean_of_the_diagonal(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(
        x,
        schedule,
        t_start,
        t_end,
        num_steps,
        data,
        weights,
        integrand=lambda x, t, r, f, g2, d: f * d + g2 / 2 * r / d,
    )


@mutant(LIKELIHOOD, "numpy", "No prior: the log-determinant alone.", Fault.PRIOR)
def prior_dropped(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights, prior=lambda end, sigma: 0)


@mutant(LIKELIHOOD, "numpy", "A prior of variance 1, whatever the schedule ends with.", Fault.PRIOR)
def prior_of_unit_variance(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights, prior=lambda end, sigma: normal(end, 1.0))


@mutant(LIKELIHOOD, "numpy", "sigma for the prior's variance.", Fault.PRIOR)
def prior_of_variance_sigma(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(
        x, schedule, t_start, t_end, num_steps, data, weights, prior=lambda end, sigma: normal(end, sigma)
    )


@mutant(LIKELIHOOD, "numpy", "The prior without its normaliser.", Fault.PRIOR)
def prior_without_normaliser(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(
        x,
        schedule,
        t_start,
        t_end,
        num_steps,
        data,
        weights,
        prior=lambda end, s: -(end**2).sum(1) / (2 * s**2),
    )


@mutant(LIKELIHOOD, "numpy", "Eq. 14 as printed, a partial derivative: the trace where the point stays.", Fault.FROZEN)
def point_fixed(x, schedule, t_start, t_end, num_steps, data, weights):
    def rate(t, total):
        trace = np.trace(fisher(x, *noise(schedule, t), data, weights), axis1=1, axis2=2)
        return [float(schedule.f(t)) * x.shape[1] + float(schedule.g2(t)) / 2 * trace]

    (total,) = heun(rate, [0 * x[:, 0]], times(t_start, t_end, num_steps))
    return normal(x, noise(schedule, t_end)[1] ** 2) + total


@mutant(LIKELIHOOD, "numpy", "tr F = d / sigma^2: the covariance ignored.", Fault.TERM_DROPPED)
def trivial_trace(x, schedule, t_start, t_end, num_steps, data, weights):
    def integrand(x, t, trace, f, g2, d):
        return f * d + g2 / 2 * d / noise(schedule, t)[1] ** 2

    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights, integrand=integrand)


@mutant(LIKELIHOOD, "numpy", "In bits.", Fault.UNIT)
def in_bits(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights) / math.log(2)


@mutant(LIKELIHOOD, "numpy", "Bits per dimension, the unit of eq. 57.", Fault.UNIT)
def bits_per_dimension(x, schedule, t_start, t_end, num_steps, data, weights):
    nats = likelihood(x, schedule, t_start, t_end, num_steps, data, weights)
    return -nats / (x.shape[1] * math.log(2))


@mutant(LIKELIHOOD, "numpy", "Ten steps of Euler's method, however many are asked for.", Fault.STEPS)
def ten_steps(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(x, schedule, t_start, t_end, 10, data, weights, solver=euler)


@mutant(LIKELIHOOD, "numpy", "Steps of 1 / num_steps, as if time ran from 0 to 1.", Fault.STEPS)
def steps_of_the_unit_interval(x, schedule, t_start, t_end, num_steps, data, weights):
    def rate(t, x, total):
        level = noise(schedule, t)
        trace = np.trace(fisher(x, *level, data, weights), axis1=1, axis2=2)
        change = float(schedule.f(t)) * x.shape[1] + float(schedule.g2(t)) / 2 * trace
        return velocity(x, t, schedule, score(x, *level, data, weights)), change

    grid, state = times(t_start, t_end, num_steps), [x, 0 * x[:, 0]]
    for t in grid[:-1]:
        state = [y + slope / num_steps for y, slope in zip(state, rate(t, *state), strict=True)]
    return normal(state[0], noise(schedule, t_end)[1] ** 2) + state[1]


@mutant(LIKELIHOOD, "numpy", "The weights of a mixture's components ignored.", Fault.WEIGHTS_IGNORED)
def weights_of_components_ignored(x, schedule, t_start, t_end, num_steps, means, covariances, weights):
    uniform = np.full_like(weights, 1 / len(weights))

    def rate(t, x, total):
        the_score, matrix = mixture(x, *noise(schedule, t), means, covariances, uniform)
        trace = np.trace(matrix, axis1=1, axis2=2)
        change = float(schedule.f(t)) * x.shape[1] + float(schedule.g2(t)) / 2 * trace
        return velocity(x, t, schedule, the_score), change

    end, total = heun(rate, [x, 0 * x[:, 0]], times(t_start, t_end, num_steps))
    return normal(end, noise(schedule, t_end)[1] ** 2) + total


@mutant(ADJOINT, "numpy", "Plus for minus in eq. 18: the inverse of the Jacobian.", Fault.INVERSE)
def sign_of_the_equation(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)
    return adjoint(
        x, loss_grad, schedule, t_start, t_end, num_steps, law, change=lambda v, f, g2, p: f * v + g2 / 2 * p
    )


@mutant(ADJOINT, "numpy", "f with the wrong sign.", Fault.SIGN)
def sign_of_the_drift(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)
    return adjoint(
        x, loss_grad, schedule, t_start, t_end, num_steps, law, change=lambda v, f, g2, p: f * v - g2 / 2 * p
    )


@mutant(ADJOINT, "numpy", "The term f dropped.", Fault.TERM_DROPPED)
def drift_of_the_adjoint_dropped(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)
    return adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, law, change=lambda v, f, g2, p: -g2 / 2 * p)


@mutant(ADJOINT, "numpy", "g^2 F without its factor 1/2.", Fault.CONSTANT)
def half_of_the_adjoint_forgotten(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)
    return adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, law, change=lambda v, f, g2, p: -f * v - g2 * p)


@mutant(ADJOINT, "numpy", "The Fisher term dropped.", Fault.TERM_DROPPED)
def fisher_dropped(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)
    return adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, law, change=lambda v, f, g2, p: -f * v)


@mutant(ADJOINT, "numpy", "The tangent for the adjoint: J for J^T.", Fault.TRANSPOSED)
def tangent_for_adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)

    def rate(t, x, v):
        the_score, matrix = law(x, t)
        product = np.einsum("bij,bj->bi", matrix, v)
        return velocity(x, t, schedule, the_score), float(schedule.f(t)) * v + float(schedule.g2(t)) / 2 * product

    return heun(rate, [x, loss_grad], times(t_start, t_end, num_steps))[1]


@mutant(ADJOINT, "numpy", "On the way back F is taken at the endpoint, which stays where it is.", Fault.FROZEN)
def point_not_taken_back(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)
    (end,) = heun(lambda t, x: [velocity(x, t, schedule, law(x, t)[0])], [x], times(t_start, t_end, num_steps))

    def rate(t, v):
        product = np.einsum("bij,bj->bi", law(end, t)[1], v)
        return [-float(schedule.f(t)) * v - float(schedule.g2(t)) / 2 * product]

    return heun(rate, [loss_grad], times(t_end, t_start, num_steps))[0]


@mutant(ADJOINT, "numpy", "Scaled to unit length, as for guidance.", Fault.CONSTANT)
def gradient_normalised(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    gradient = adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, dirac_law(schedule, data, weights))
    return gradient / np.linalg.norm(gradient, axis=1, keepdims=True)


@mutant(
    ADJOINT,
    "numpy",
    "The endpoint's outer product for the second moment: eq. 20.",
    Fault.PREDICTION_TYPE,
)
def endpoint_for_second_moment(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law = dirac_law(schedule, data, weights)
    (end,) = heun(lambda t, x: [velocity(x, t, schedule, law(x, t)[0])], [x], times(t_start, t_end, num_steps))

    def endpoint_law(y, t):
        alpha, sigma = noise(schedule, t)
        mean = posterior(y, alpha, sigma, data, weights)[1]
        outer = end[:, :, None] * end[:, None] - mean[:, :, None] * mean[:, None]
        return law(y, t)[0], np.eye(y.shape[1], dtype=y.dtype) / sigma**2 - alpha**2 / sigma**4 * outer

    return adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, endpoint_law)


@mutant(ADJOINT, "numpy", "The diagonal of F for F.", Fault.STRUCTURE, smallest=(3, 3))
def diagonal_of_fisher(x, loss_grad, schedule, t_start, t_end, num_steps, means, covariances, weights):
    def law(x, t):
        the_score, matrix = mixture(x, *noise(schedule, t), means, covariances, weights)
        return the_score, matrix * np.eye(x.shape[1], dtype=x.dtype)

    return adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, law)
