"""Likelihoods and adjoint states by other solvers, grids and formulas than usual."""

import itertools
import math

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch.func import jacrev, vmap

from tests.zoo.flows import (
    dirac_law,
    euler,
    fisher,
    heun,
    likelihood,
    mixture,
    noise,
    normal,
    runge_kutta,
    score,
    times,
    velocity,
)
from tests.zoo.innocent import innocent, loses_digits

LIKELIHOOD, ADJOINT = "log_likelihood", "adjoint"


@innocent("likelihood: Runge and Kutta's method", LIKELIHOOD, "a solver of order 4")
def by_runge_kutta(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights, solver=runge_kutta)


@innocent("likelihood: one step left out", LIKELIHOOD, "the first step left out, as in Appendix B.1")
def first_step_left_out(x, schedule, t_start, t_end, num_steps, data, weights):
    grid = times(t_start, t_end, num_steps)[1:]
    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights, grid=grid)


@innocent("likelihood: quadratic grid", LIKELIHOOD, "steps that grow with the square of their number")
def quadratic_grid(x, schedule, t_start, t_end, num_steps, data, weights):
    grid = [t_start + (t_end - t_start) * (k / num_steps) ** 2 for k in range(num_steps + 1)]
    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights, grid=grid)


@innocent("likelihood: the density at the start", LIKELIHOOD, "exact densities at both ends in place of the integral")
def from_densities(x, schedule, t_start, t_end, num_steps, data, weights):
    def density(x, t):
        alpha, sigma = noise(schedule, t)
        logits = np.log(weights) - ((x[:, None] - alpha * data) ** 2).sum(-1) / (2 * sigma**2)
        highest = logits.max(1)
        normaliser = x.shape[1] / 2 * math.log(2 * math.pi * sigma**2)
        return highest + np.log(np.exp(logits - highest[:, None]).sum(1)) - normaliser

    def rate(t, x):
        return [velocity(x, t, schedule, score(x, *noise(schedule, t), data, weights))]

    (end,) = heun(rate, [x], times(t_start, t_end, num_steps))
    return density(x, t_start) - density(end, t_end) + normal(end, noise(schedule, t_end)[1] ** 2)


@innocent("likelihood: scipy's adaptive steps", LIKELIHOOD, "steps that the solver chooses itself", dtypes=("float64",))
def by_scipy(x, schedule, t_start, t_end, means, covariances, weights):
    answers = []
    for point in x:

        def rate(t, state):
            the_score, matrix = mixture(state[None, :-1], *noise(schedule, t), means, covariances, weights)
            moving = velocity(state[:-1], t, schedule, the_score[0])
            return [*moving, float(schedule.f(t)) * len(moving) + float(schedule.g2(t)) / 2 * np.trace(matrix[0])]

        end = solve_ivp(rate, (t_start, t_end), [*point, 0.0], rtol=1e-6, atol=1e-8).y[:, -1]
        answers.append(normal(end[None, :-1], noise(schedule, t_end)[1] ** 2)[0] + end[-1])
    return np.array(answers)


@innocent(
    "likelihood: determinants of steps",
    LIKELIHOOD,
    "the log-determinants of Euler's steps",
    backend="torch",
    dtypes=("float64",),
)
def determinants_of_steps(x, eps_fn, schedule, t_start, t_end, num_steps):
    total, grid = 0 * x[:, 0], times(t_start, t_end, num_steps)
    for t, later in itertools.pairwise(grid):
        f, g2, sigma = float(schedule.f(t)), float(schedule.g2(t)), noise(schedule, t)[1]

        def step(y, t=t, f=f, g2=g2, sigma=sigma, h=later - t):
            return y + h * (f * y + g2 / (2 * sigma) * eps_fn(y[None], t)[0])

        total = total + torch.linalg.slogdet(vmap(jacrev(step))(x))[1]
        x = x + (later - t) * (f * x + g2 / (2 * sigma) * eps_fn(x, t))
    return normal(x, noise(schedule, t_end)[1] ** 2) + total


@innocent("adjoint: autograd through the solver", ADJOINT, "the solver itself is differentiated", backend="torch")
def through_the_solver(x, loss_grad, eps_fn, schedule, t_start, t_end, num_steps):
    point = x.clone().requires_grad_()

    def rate(t, y):
        f, g2, sigma = float(schedule.f(t)), float(schedule.g2(t)), noise(schedule, t)[1]
        return [f * y + g2 / (2 * sigma) * eps_fn(y, t)]

    (end,) = euler(rate, [point], times(t_start, t_end, num_steps))
    return torch.autograd.grad((end * loss_grad).sum(), point)[0]


@innocent("adjoint: product of step matrices", ADJOINT, "the transposed product of the steps' Jacobians")
def product_of_steps(x, loss_grad, schedule, t_start, t_end, num_steps, means, covariances, weights):
    grid, eye = times(t_start, t_end, num_steps), np.eye(x.shape[1], dtype=x.dtype)
    jacobian = np.broadcast_to(eye, (len(x), *eye.shape))
    for t, later in itertools.pairwise(grid):
        the_score, matrix = mixture(x, *noise(schedule, t), means, covariances, weights)
        step = eye * (1 + (later - t) * float(schedule.f(t))) + (later - t) * float(schedule.g2(t)) / 2 * matrix
        jacobian = step @ jacobian
        x = x + (later - t) * velocity(x, t, schedule, the_score)
    return np.einsum("bij,bi->bj", jacobian, loss_grad)


@innocent("adjoint: in data coordinates", ADJOINT, "z = x / alpha and r = sigma / alpha: no f anywhere")
def in_data_coordinates(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    (a, s), (b, u) = noise(schedule, t_start), noise(schedule, t_end)

    def forward(r, z):
        return [r * -score(z, 1.0, r, data, weights)]

    def backward(r, z, v):
        return forward(r, z)[0], -r * np.einsum("bij,bj->bi", fisher(z, 1.0, r, data, weights), v)

    grid = [(s / a) * ((u / b) / (s / a)) ** (k / num_steps) for k in range(num_steps + 1)]
    (end,) = heun(forward, [x / a], grid)
    return heun(backward, [end, b * loss_grad], grid[::-1])[1] / a


@innocent("adjoint: kept trajectory", ADJOINT, "the points of the way forward, used again on the way back")
def kept_trajectory(x, loss_grad, schedule, t_start, t_end, num_steps, data, weights):
    law, grid, points = dirac_law(schedule, data, weights), times(t_start, t_end, num_steps), [x]
    for t, later in itertools.pairwise(grid):
        points.append(heun(lambda t, y: [velocity(y, t, schedule, law(y, t)[0])], [points[-1]], [t, later])[0])
    v = loss_grad
    for k in reversed(range(num_steps)):
        t = grid[k + 1]
        product = np.einsum("bij,bj->bi", law(points[k + 1], t)[1], v)
        v = v + (grid[k + 1] - grid[k]) * (float(schedule.f(t)) * v + float(schedule.g2(t)) / 2 * product)
    return v


@loses_digits("likelihood: stops short of the end", LIKELIHOOD, "stops 1/sqrt(num_steps) of the way before the end")
def stops_short(x, schedule, t_start, t_end, num_steps, data, weights):
    last = t_start + (t_end - t_start) * (1 - 0.3 / math.sqrt(num_steps))
    grid = times(t_start, last, num_steps)
    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights, grid=grid)
