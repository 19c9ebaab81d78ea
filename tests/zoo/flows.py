"""The probability-flow ODE by hand: what wrong and unusual trajectories of the zoo are built of.

Every function of t gets a Python float, so that arrays keep their dtype.
"""

import itertools
import math

import numpy as np


def noise(schedule, t):
    return float(schedule.alpha(t)), float(schedule.sigma(t))


def posterior(x, alpha, sigma, data, weights):
    """Weights (B, N), mean (B, d) and covariance (B, d, d) of the atom behind x."""
    logits = np.log(weights) - ((x[:, None] - alpha * data) ** 2).sum(-1) / (2 * sigma**2)
    share = np.exp(logits - logits.max(1, keepdims=True))
    share = share / share.sum(1, keepdims=True)
    mean = share @ data
    away = data - mean[:, None]
    return share, mean, np.einsum("bn,bni,bnj->bij", share, away, away)


def score(x, alpha, sigma, data, weights):
    return (alpha * posterior(x, alpha, sigma, data, weights)[1] - x) / sigma**2


def fisher(x, alpha, sigma, data, weights):
    covariance = posterior(x, alpha, sigma, data, weights)[2]
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance


def mixture(x, alpha, sigma, means, covariances, weights):
    """Score (B, d) and Fisher matrix (B, d, d) of a Gaussian mixture."""
    eye = np.eye(x.shape[1], dtype=x.dtype)
    wide = alpha**2 * covariances + sigma**2 * eye
    precisions = np.linalg.inv(wide)
    away = x[:, None] - alpha * means
    scores = -np.einsum("kij,bkj->bki", precisions, away)
    logits = np.log(weights) - np.linalg.slogdet(wide)[1] / 2 + (scores * away).sum(-1) / 2
    share = np.exp(logits - logits.max(1, keepdims=True))
    share = share / share.sum(1, keepdims=True)
    mean = np.einsum("bk,bki->bi", share, scores)
    outer = np.einsum("bk,bki,bkj->bij", share, scores, scores) - mean[:, :, None] * mean[:, None]
    return mean, np.einsum("bk,kij->bij", share, precisions) - outer


def velocity(x, t, schedule, the_score):
    return float(schedule.f(t)) * x - float(schedule.g2(t)) / 2 * the_score


def times(t_start, t_end, num_steps):
    return [t_start + (t_end - t_start) * k / num_steps for k in range(num_steps + 1)]


def euler(rate, state, grid):
    for t, later in itertools.pairwise(grid):
        state = [y + (later - t) * slope for y, slope in zip(state, rate(t, *state), strict=True)]
    return state


def heun(rate, state, grid):
    for t, later in itertools.pairwise(grid):
        first = rate(t, *state)
        guess = [y + (later - t) * slope for y, slope in zip(state, first, strict=True)]
        second = rate(later, *guess)
        state = [y + (later - t) / 2 * (a + b) for y, a, b in zip(state, first, second, strict=True)]
    return state


def runge_kutta(rate, state, grid):
    def moved(step, slopes):
        return [y + step * slope for y, slope in zip(state, slopes, strict=True)]

    for t, later in itertools.pairwise(grid):
        h = later - t
        a = rate(t, *state)
        b = rate(t + h / 2, *moved(h / 2, a))
        c = rate(t + h / 2, *moved(h / 2, b))
        d = rate(later, *moved(h, c))
        state = [y + h / 6 * (p + 2 * q + 2 * r + s) for y, p, q, r, s in zip(state, a, b, c, d, strict=True)]
    return state


def normal(x, variance):
    """Log density of N(0, variance I), for arrays of any library."""
    return -(x * x).sum(-1) / (2 * variance) - x.shape[1] / 2 * math.log(2 * math.pi * variance)


def likelihood(
    x, schedule, t_start, t_end, num_steps, data, weights, *, integrand=None, prior=None, solver=heun, grid=None
):
    """Log-likelihood for Diracs; ``integrand(x, t, trace, f, g2, d)`` and ``prior(x, sigma)`` can be replaced."""
    integrand = integrand or (lambda x, t, trace, f, g2, d: f * d + g2 / 2 * trace)

    def rate(t, x, total):
        level = noise(schedule, t)
        trace = np.trace(fisher(x, *level, data, weights), axis1=1, axis2=2)
        change = integrand(x, t, trace, float(schedule.f(t)), float(schedule.g2(t)), x.shape[1])
        return velocity(x, t, schedule, score(x, *level, data, weights)), change + 0 * total

    end, total = solver(rate, [x, 0 * x[:, 0]], grid or times(t_start, t_end, num_steps))
    sigma = noise(schedule, t_end)[1]
    return (prior(end, sigma) if prior else normal(end, sigma**2)) + total


def adjoint(x, loss_grad, schedule, t_start, t_end, num_steps, law, *, change=None, solver=heun):
    """Adjoint state; ``law(x, t)`` gives score and F, ``change(v, f, g2, F v)`` its rate of change."""
    change = change or (lambda v, f, g2, product: -(f * v + g2 / 2 * product))

    def forward(t, x):
        return [velocity(x, t, schedule, law(x, t)[0])]

    def backward(t, x, v):
        the_score, matrix = law(x, t)
        product = np.einsum("bij,bj->bi", matrix, v)
        return velocity(x, t, schedule, the_score), change(v, float(schedule.f(t)), float(schedule.g2(t)), product)

    (end,) = solver(forward, [x], times(t_start, t_end, num_steps))
    return solver(backward, [end, loss_grad], times(t_end, t_start, num_steps))[1]


def dirac_law(schedule, data, weights):
    def law(x, t):
        level = noise(schedule, t)
        return score(x, *level, data, weights), fisher(x, *level, data, weights)

    return law
