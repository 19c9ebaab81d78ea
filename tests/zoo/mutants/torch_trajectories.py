"""Likelihoods and adjoint states from the noise prediction alone, by autodiff, that converge to the wrong number."""

import torch
from torch.func import jacrev, jvp, vjp, vmap

from tests.zoo.flows import heun, noise, normal, times
from tests.zoo.specimen import Fault, mutant

LIKELIHOOD, ADJOINT = "log_likelihood", "adjoint"


def likelihood(x, eps_fn, schedule, t_start, t_end, num_steps, trace):
    def rate(t, x, total):
        f, g2, sigma = float(schedule.f(t)), float(schedule.g2(t)), noise(schedule, t)[1]
        return f * x + g2 / (2 * sigma) * eps_fn(x, t), f * x.shape[1] + g2 / 2 * trace(x, t, sigma)

    end, total = heun(rate, [x, 0 * x[:, 0]], times(t_start, t_end, num_steps))
    return normal(end, noise(schedule, t_end)[1] ** 2) + total


def jacobians(eps_fn, x, t):
    return vmap(jacrev(lambda point: eps_fn(point[None], t)[0]))(x)


@mutant(LIKELIHOOD, "torch", "The Jacobian's trace is not divided by sigma.", Fault.POWER_OF_SIGMA)
def sigma_forgotten(x, eps_fn, schedule, t_start, t_end, num_steps):
    def trace(x, t, sigma):
        return jacobians(eps_fn, x, t).diagonal(dim1=1, dim2=2).sum(1)

    return likelihood(x, eps_fn, schedule, t_start, t_end, num_steps, trace)


@mutant(LIKELIHOOD, "torch", "The gradient of the sum of epsilon, summed: all entries of the Jacobian.", Fault.DIAGONAL)
def sum_of_all_entries(x, eps_fn, schedule, t_start, t_end, num_steps):
    def trace(x, t, sigma):
        return jacobians(eps_fn, x, t).sum((1, 2)) / sigma

    return likelihood(x, eps_fn, schedule, t_start, t_end, num_steps, trace)


@mutant(LIKELIHOOD, "torch", "AFI-TM with eq. 17 as printed.", Fault.ONE_OVER_D)
def eq17_as_printed(x, eps_fn, head_fn, schedule, t_start, t_end, num_steps):
    def trace(x, t, sigma):
        alpha, d = noise(schedule, t)[0], x.shape[1]
        mean = (x - sigma * eps_fn(x, t)) / alpha
        return d * (1 / sigma**2 - alpha**2 / sigma**4 * (head_fn(x, t) - mean.square().sum(1)))

    return likelihood(x, eps_fn, schedule, t_start, t_end, num_steps, trace)


@mutant(LIKELIHOOD, "torch", "The trace of the whole batch for each of its points.", Fault.BATCH, smallest=(3, 3))
def mean_of_the_batch(x, eps_fn, schedule, t_start, t_end, num_steps):
    def trace(x, t, sigma):
        own = jacobians(eps_fn, x, t).diagonal(dim1=1, dim2=2).sum(1) / sigma
        return own.mean().expand(len(x))

    return likelihood(x, eps_fn, schedule, t_start, t_end, num_steps, trace)


@mutant(ADJOINT, "torch", "The gradient through the one-step prediction of x_0, not through the flow.", Fault.DETACHED)
def through_the_prediction(x, loss_grad, eps_fn, schedule, t_start):
    alpha, sigma = noise(schedule, t_start)
    return vjp(lambda point: (point - sigma * eps_fn(point, t_start)) / alpha, x)[1](loss_grad)[0]


@mutant(ADJOINT, "torch", "Epsilon detached while differentiating through the solver.", Fault.DETACHED)
def epsilon_detached(x, loss_grad, eps_fn, schedule, t_start, t_end, num_steps):
    point = x.clone().requires_grad_()

    def rate(t, y):
        f, g2, sigma = float(schedule.f(t)), float(schedule.g2(t)), noise(schedule, t)[1]
        return [f * y + g2 / (2 * sigma) * eps_fn(y, t).detach()]

    (end,) = heun(rate, [point], times(t_start, t_end, num_steps))
    return torch.autograd.grad((end * loss_grad).sum(), point)[0]


@mutant(ADJOINT, "torch", "Sigma missing: J^T v for J^T v / sigma.", Fault.POWER_OF_SIGMA)
def vjp_not_divided_by_sigma(x, loss_grad, eps_fn, schedule, t_start, t_end, num_steps):
    def forward(t, y):
        f, g2, sigma = float(schedule.f(t)), float(schedule.g2(t)), noise(schedule, t)[1]
        return [f * y + g2 / (2 * sigma) * eps_fn(y, t)]

    def backward(t, y, v):
        product = vjp(lambda point: eps_fn(point, t), y)[1](v)[0]
        return forward(t, y)[0], -float(schedule.f(t)) * v - float(schedule.g2(t)) / 2 * product

    (end,) = heun(forward, [x], times(t_start, t_end, num_steps))
    return heun(backward, [end, loss_grad], times(t_end, t_start, num_steps))[1]


@mutant(ADJOINT, "torch", "J v for J^T v, as in eq. 9: a network's Jacobian is not symmetric.", Fault.TRANSPOSED)
def jvp_for_vjp(x, loss_grad, eps_fn, schedule, t_start, t_end, num_steps):
    def forward(t, y):
        f, g2, sigma = float(schedule.f(t)), float(schedule.g2(t)), noise(schedule, t)[1]
        return [f * y + g2 / (2 * sigma) * eps_fn(y, t)]

    def backward(t, y, v):
        product = jvp(lambda point: eps_fn(point, t), (y,), (v,))[1] / noise(schedule, t)[1]
        return forward(t, y)[0], -float(schedule.f(t)) * v - float(schedule.g2(t)) / 2 * product

    (end,) = heun(forward, [x], times(t_start, t_end, num_steps))
    return heun(backward, [end, loss_grad], times(t_end, t_start, num_steps))[1]
