"""Wrong implementations in plain NumPy, as somebody else would write them: loops, einsum, expanded squares.

Part of the second held-out set: see :mod:`tests.diagnosis.registry`. Nothing here comes from the zoo.
"""

import numpy as np
from scipy.special import logsumexp, softmax

from afi_properties.diagnosis import Family, Fault
from tests.diagnosis.registry import wrong


def _responsibilities(x, alpha, sigma, data, weights=None):
    squares = ((x[:, None, :] - alpha * data[None]) ** 2).sum(-1)
    logits = -0.5 * squares / sigma**2
    return softmax(logits if weights is None else logits + np.log(weights), axis=1)


@wrong("score", Fault.POWER_OF_SIGMA)
def divided_by_standard_deviation(x, alpha, sigma, data, weights):
    r = _responsibilities(x, alpha, sigma, data, weights)
    return np.einsum("bn,bnd->bd", r, alpha * data[None] - x[:, None]) / sigma


@wrong("score", Fault.WEIGHTS_UNNORMALISED)
def no_denominator(x, alpha, sigma, data):
    out = np.zeros_like(x)
    for b in range(len(x)):
        d2 = ((x[b] - alpha * data) ** 2).sum(1)
        w = np.exp(-(d2 - d2.min()) / (2 * sigma**2))
        for n in range(len(data)):
            out[b] += w[n] * (alpha * data[n] - x[b]) / sigma**2
    return out


@wrong("score", Fault.OFFSET, {Family.NOISE_LEVEL, Family.WEIGHTS, Family.TERMS})
def data_mean_taken_off_both(x, alpha, sigma, data):
    centre = data.mean(0)
    y = data - centre
    z = x - centre
    return (alpha * _responsibilities(z, alpha, sigma, y) @ y - z) / sigma**2


@wrong("score", Fault.CLIPPED)
def logits_not_below_minus_thirty(x, alpha, sigma, data):
    logits = -((x[:, None] - alpha * data) ** 2).sum(-1) / (2 * sigma * sigma)
    r = softmax(np.maximum(logits, -30.0), axis=1)
    return (alpha * r @ data - x) / sigma**2


@wrong("score", Fault.NOISE, {Family.NUMERICS, Family.ATOMS})
def nearest_atom_below_a_tenth(x, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    if sigma < 0.1:
        r = np.eye(len(data), dtype=x.dtype)[r.argmax(1)]
    return np.einsum("bn,bnd->bd", r, alpha * data - x[:, None]) / sigma**2


@wrong("score", Fault.PREDICTION_TYPE, {Family.NOISE_LEVEL, Family.TERMS})
def epsilon_returned(x, sigma, eps):
    return -eps


@wrong("score", Fault.WEIGHTS_IGNORED)
def mixture_of_equals(x, alpha, sigma, means, covariances, weights):
    gradients, logs = [], []
    for m, c in zip(means, covariances, strict=True):
        wide = alpha**2 * c + sigma**2 * np.eye(x.shape[1], dtype=x.dtype)
        away = x - alpha * m
        solved = np.linalg.solve(wide, away.T).T
        gradients.append(-solved)
        logs.append(-0.5 * (away * solved).sum(1) - 0.5 * np.linalg.slogdet(wide)[1])
    r = softmax(np.stack(logs), axis=0)
    return (r[:, :, None] * np.stack(gradients)).sum(0)


@wrong("score", Fault.LOG_DETERMINANT)
def mahalanobis_alone(x, alpha, sigma, means, covariances, weights):
    wide = alpha**2 * covariances + sigma**2 * np.eye(x.shape[1], dtype=x.dtype)
    away = x[:, None] - alpha * means
    solved = np.linalg.solve(wide[None], away[..., None])[..., 0]
    r = softmax(np.log(weights) - 0.5 * (away * solved).sum(-1), axis=1)
    return -(r[..., None] * solved).sum(1)


@wrong("posterior_mean", Fault.TRUNCATED)
def top_five(x, alpha, sigma, data):
    k = min(5, len(data))
    d2 = ((x[:, None] - alpha * data) ** 2).sum(-1)
    best = np.argsort(d2, axis=1)[:, :k]
    r = softmax(-np.take_along_axis(d2, best, 1) / (2 * sigma**2), axis=1)
    return np.einsum("bk,bkd->bd", r, data[best])


@wrong("posterior_mean", Fault.MINIBATCH)
def last_partial_batch_counts_as_much(x, alpha, sigma, data):
    d2 = ((x[:, None] - alpha * data) ** 2).sum(-1)
    w = np.exp(-(d2 - d2.min(1, keepdims=True)) / (2 * sigma**2))
    tops, bottoms = [], []
    for start in range(0, len(data), 3):
        part = slice(start, start + 3)
        tops.append((w[:, part, None] * data[part]).mean(1))
        bottoms.append(w[:, part].mean(1))
    return np.mean(tops, 0) / np.mean(bottoms, 0)[:, None]


@wrong("posterior_mean", Fault.SIGN)
def plus_variance_times_minus_score(x, alpha, sigma, data):
    s = (alpha * _responsibilities(x, alpha, sigma, data) @ data - x) / sigma**2
    return (x - sigma**2 * s) / alpha


@wrong("posterior_mean", Fault.ORDER)
def weights_sorted_atoms_not(x, alpha, sigma, data, weights):
    r = _responsibilities(x, alpha, sigma, data, weights)
    return np.sort(r, axis=1)[:, ::-1] @ data


@wrong("posterior_mean", Fault.WEIGHTS_WRONG)
def one_over_n(x, alpha, sigma, data):
    return np.tile(data.mean(axis=0), (len(x), 1)).astype(x.dtype)


@wrong("posterior_mean", Fault.POWER_OF_ALPHA)
def gain_of_mixture_without_alpha_squared(x, alpha, sigma, means, covariances, weights):
    eye = np.eye(x.shape[1], dtype=x.dtype)
    answers, logs = [], []
    for m, c in zip(means, covariances, strict=True):
        wide = alpha**2 * c + sigma**2 * eye
        solved = np.linalg.solve(wide, (x - alpha * m).T)
        answers.append(m + (c @ solved).T)
        logs.append(-0.5 * ((x - alpha * m) * solved.T).sum(1) - 0.5 * np.linalg.slogdet(wide)[1])
    r = softmax(np.log(weights)[:, None] + np.stack(logs), axis=0)
    return np.einsum("kb,kbd->bd", r, np.stack(answers))


@wrong("fisher", Fault.TERM_DROPPED)
def uncentred_second_moment(x, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    out = np.empty((len(x), x.shape[1], x.shape[1]), x.dtype)
    for b in range(len(x)):
        second = sum(w * np.outer(y, y) for w, y in zip(r[b], data, strict=True))
        out[b] = np.eye(x.shape[1]) / sigma**2 - (alpha / sigma**2) ** 2 * second
    return out


@wrong("fisher", Fault.SIGN)
def covariance_with_a_plus(x, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    y = r @ data
    cov = np.einsum("bn,ni,nj->bij", r, data, data) - np.einsum("bi,bj->bij", y, y)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 + alpha**2 / sigma**4 * cov


@wrong("fisher", Fault.POWER_OF_ALPHA)
def one_alpha_in_front(x, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    y = r @ data
    away = data[None] - y[:, None]
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha / sigma**4 * np.einsum("bn,bni,bnj->bij", r, away, away)


@wrong("fisher", Fault.TERM_DROPPED)
def precisions_alone(x, alpha, sigma, means, covariances, weights):
    wide = alpha**2 * covariances + sigma**2 * np.eye(x.shape[1], dtype=x.dtype)
    inverse = np.linalg.inv(wide)
    away = x[:, None] - alpha * means
    logits = np.log(weights) - 0.5 * np.einsum("bki,kij,bkj->bk", away, inverse, away)
    r = softmax(logits - 0.5 * np.linalg.slogdet(wide)[1], axis=1)
    return np.einsum("bk,kij->bij", r, inverse)


@wrong("fisher", Fault.DIMENSION, {Family.MATRIX})
def two_by_two_block(x, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    away = data[None] - (r @ data)[:, None]
    out = np.zeros((len(x), x.shape[1], x.shape[1]), x.dtype)
    for i in range(x.shape[1]):
        out[:, i, i] = 1 / sigma**2
    for i in range(min(2, x.shape[1])):
        for j in range(min(2, x.shape[1])):
            out[:, i, j] -= alpha**2 / sigma**4 * (r * away[:, :, i] * away[:, :, j]).sum(1)
    return out


@wrong("fisher", Fault.EPSILON)
def ridge(x, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    away = data[None] - (r @ data)[:, None]
    cov = np.einsum("bn,bni,bnj->bij", r, away, away) + 1e-3 * np.eye(x.shape[1], dtype=x.dtype)
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * cov


@wrong("fisher_vector_product", Fault.POWER_OF_SIGMA)
def third_power(x, v, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    y = r @ data
    out = v / sigma**2
    for n in range(len(data)):
        out = out - alpha**2 / sigma**3 * r[:, n : n + 1] * ((data[n] - y) * v).sum(1, keepdims=True) * (data[n] - y)
    return out


@wrong("fisher_vector_product", Fault.STRUCTURE)
def elementwise_variance(x, v, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    variances = (r[:, :, None] * (data[None] - (r @ data)[:, None]) ** 2).sum(1)
    return (1 / sigma**2 - alpha**2 / sigma**4 * variances) * v


@wrong("fisher_vector_product", Fault.BATCH)
def directions_reversed(x, v, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    away = data[None] - (r @ data)[:, None]
    inner = np.einsum("bnd,bd->bn", away, v[::-1])
    return v / sigma**2 - alpha**2 / sigma**4 * np.einsum("bn,bn,bnd->bd", r, inner, away)


@wrong("fisher_vector_product", Fault.ARGUMENT_CHANGED)
def identity_term_in_place(x, v, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    away = data[None] - (r @ data)[:, None]
    inner = np.einsum("bnd,bd->bn", away, v)
    v /= sigma**2
    return v - alpha**2 / sigma**4 * np.einsum("bn,bn,bnd->bd", r, inner, away)


@wrong("fisher_trace", Fault.ONE_OVER_D)
def identity_of_trace_one(x, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    away = data[None] - (r @ data)[:, None]
    return 1 / sigma**2 - alpha**2 / sigma**4 * (r * (away**2).sum(-1)).sum(1)


@wrong("fisher_trace", Fault.TERM_DOUBLED)
def mean_taken_off_twice(x, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    mean_norm = ((r @ data) ** 2).sum(1)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (r @ (data**2).sum(1) - 2 * mean_norm)


@wrong("fisher_trace", Fault.BATCH_NOISE, per_sample_noise=True)
def average_noise_in_front(x, alpha, sigma, data):
    squares = ((x[:, None, :] - alpha[:, None, None] * data) ** 2).sum(-1)
    r = softmax(-0.5 * squares / sigma[:, None] ** 2, axis=1)
    away = data[None] - (r @ data)[:, None]
    a, s = alpha.mean(), sigma.mean()
    return x.shape[1] / s**2 - a**2 / s**4 * (r * (away**2).sum(-1)).sum(1)


@wrong("fisher_trace", Fault.BROADCASTING)
def pairs_where_sizes_agree(x, alpha, sigma, data):
    difference = x - alpha * data if len(x) == len(data) else x[:, None] - alpha * data
    squares = (difference**2).sum(-1)
    r = softmax(np.atleast_2d(-squares / (2 * sigma**2)), axis=1)
    away = data[None] - (r @ data)[:, None]
    return np.broadcast_to(x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (r * (away**2).sum(-1)).sum(1), len(x)).copy()


@wrong("fisher_trace", Fault.STATE)
class Memoised:
    """Remembers answers by the first coordinate of the first point, rounded."""

    def __init__(self):
        self.known = {}

    def __call__(self, x, alpha, sigma, data):
        key = (x.shape, round(float(x[0, 0])))
        if key not in self.known:
            r = _responsibilities(x, alpha, sigma, data)
            away = data[None] - (r @ data)[:, None]
            self.known[key] = x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (r * (away**2).sum(-1)).sum(1)
        return self.known[key]


@wrong("fisher_trace", Fault.ALPHA_BAR)
def alphas_cumprod_for_alpha(x, alpha_bar, sigma, data):
    r = _responsibilities(x, alpha_bar, sigma, data)
    away = data[None] - (r @ data)[:, None]
    return x.shape[1] / sigma**2 - alpha_bar**2 / sigma**4 * (r * (away**2).sum(-1)).sum(1)


@wrong("fisher_trace", Fault.COVARIANCES)
def precision_of_mean_covariance(x, alpha, sigma, means, covariances, weights):
    eye = np.eye(x.shape[1], dtype=x.dtype)
    wide = alpha**2 * covariances + sigma**2 * eye
    away = x[:, None] - alpha * means
    scores = -np.linalg.solve(wide[None], away[..., None])[..., 0]
    logits = np.log(weights) - 0.5 * np.linalg.slogdet(wide)[1] + 0.5 * (scores * away).sum(-1)
    r = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    off = scores - np.einsum("bk,bki->bi", r, scores)[:, None]
    within = np.trace(np.linalg.inv(np.einsum("bk,kij->bij", r, wide)), axis1=1, axis2=2)
    return within - (r * (off**2).sum(-1)).sum(1)


@wrong("fisher_trace_matching", Fault.PREDICTION_TYPE)
def velocity_formula(x, alpha, sigma, eps, head):
    y = alpha * x - sigma * eps
    d = x.shape[1]
    return d / sigma**2 - alpha**2 / sigma**4 * (d * head - np.square(y).sum(1))


@wrong("fisher_trace_matching", Fault.POWER_OF_ALPHA)
def alpha_to_the_first(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / alpha
    d = x.shape[1]
    return d * (1 / sigma**2 - alpha / sigma**4 * (head - np.square(y).mean(1)))


@wrong("fisher_vector_product_endpoint", Fault.ONE_OVER_D)
def outer_products_averaged(x, v, x0, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    outer = np.mean(x0 * v, 1)[:, None] * x0 - np.mean(y * v, 1)[:, None] * y
    return v / sigma**2 - alpha**2 / sigma**4 * outer


@wrong("fisher_vector_product_endpoint", Fault.TERM_DROPPED)
def no_identity(x, v, x0, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    outer = np.einsum("bi,bj,bj->bi", x0, x0, v) - np.einsum("bi,bj,bj->bi", y, y, v)
    return -(alpha**2) / sigma**4 * outer


@wrong("fisher_vector_product_jvp", Fault.CONSTANT)
def two_forgotten_in_central_difference(eps_fn, x, v, t, sigma):
    h = 1e-5 if x.dtype == np.float64 else 1e-2
    return (eps_fn(x + h * v, t) - eps_fn(x - h * v, t)) / h / sigma
