"""Wrong implementations in torch, as somebody else would write them.

Part of the second held-out set: see :mod:`tests.diagnosis.registry`. Nothing here comes from the zoo.
"""

import torch
from torch.func import hessian, jacfwd, jacrev, jvp, vmap

from afi_properties.diagnosis import Family, Fault
from tests.diagnosis.registry import wrong


def _responsibilities(x, alpha, sigma, data, weights=None):
    logits = -(x.unsqueeze(1) - alpha * data).square().sum(-1) / (2 * sigma**2)
    return (logits if weights is None else logits + weights.log()).softmax(dim=-1)


def _trace(x, alpha, sigma, data, r):
    away = data - (r @ data).unsqueeze(1)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (r * away.square().sum(-1)).sum(-1)


@wrong("score", Fault.WRONG_AXIS, backend="torch")
def softmax_over_dim_zero(x, alpha, sigma, data):
    logits = -(x.unsqueeze(1) - alpha * data).square().sum(-1) / (2 * sigma**2)
    return (alpha * logits.softmax(dim=0) @ data - x) / sigma**2


@wrong("score", Fault.SIGN, backend="torch")
def gradient_of_the_loss(x, alpha, sigma, data):
    x = x.clone().requires_grad_()
    logits = -(x.unsqueeze(1) - alpha * data).square().sum(-1) / (2 * sigma**2)
    return torch.autograd.grad(-logits.logsumexp(-1).sum(), x)[0]


@wrong("score", Fault.WEIGHTS_WRONG, backend="torch")
def variance_without_two(x, alpha, sigma, data):
    logits = -(x.unsqueeze(1) - alpha * data).square().sum(-1) / sigma**2
    return (alpha * logits.softmax(-1) @ data - x) / sigma**2


@wrong("posterior_mean", Fault.LOW_PRECISION, backend="torch")
def distances_in_half(x, alpha, sigma, data):
    squares = (x.half().unsqueeze(1) - alpha * data.half()).square().sum(-1).to(x.dtype)
    return (-squares / (2 * sigma**2)).softmax(-1) @ data


@wrong("posterior_mean", Fault.LOW_PRECISION, backend="torch", dtypes=("float64",))
def float_inside(x, alpha, sigma, data):
    return (_responsibilities(x.float(), alpha, sigma, data.float()) @ data.float()).double()


@wrong("posterior_mean", Fault.EPSILON, backend="torch")
def small_number_in_normaliser(x, alpha, sigma, data):
    logits = -(x.unsqueeze(1) - alpha * data).square().sum(-1) / (2 * sigma**2)
    w = torch.exp(logits - logits.amax(1, keepdim=True))
    return w @ data / (w.sum(1, keepdim=True) + 1e-4)


@wrong("posterior_mean", Fault.SCHEDULE, backend="torch")
def sigma_from_alpha(x, alpha, eps):
    sigma = max(1 - alpha**2, 0.0) ** 0.5
    return (x - sigma * eps) / alpha


@wrong("posterior_mean", Fault.DUPLICATES, backend="torch")
def unique_rows(x, alpha, sigma, data):
    data = torch.unique(data, dim=0)
    return _responsibilities(x, alpha, sigma, data) @ data


@wrong("fisher", Fault.SIGN, backend="torch")
def hessian_of_log_density(x, alpha, sigma, data):
    def log_density(point):
        return (-(point - alpha * data).square().sum(-1) / (2 * sigma**2)).logsumexp(0)

    return vmap(hessian(log_density))(x)


@wrong("fisher", Fault.DETACHED, backend="torch")
def no_grad_around_softmax(x, alpha, sigma, data):
    def score(point):
        logits = -(point - alpha * data).square().sum(-1) / (2 * sigma**2)
        return (alpha * logits.softmax(0).detach() @ data - point) / sigma**2

    return -vmap(jacfwd(score))(x)


@wrong("fisher", Fault.TRUNCATED, backend="torch")
def topk_of_four(x, alpha, sigma, data):
    logits = -(x.unsqueeze(1) - alpha * data).square().sum(-1) / (2 * sigma**2)
    best = logits.topk(min(4, len(data)), dim=1)
    r = best.values.softmax(-1)
    chosen = data[best.indices]
    away = chosen - torch.einsum("bk,bkd->bd", r, chosen).unsqueeze(1)
    cov = torch.einsum("bk,bki,bkj->bij", r, away, away)
    return torch.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * cov


@wrong("fisher", Fault.COVARIANCES, {Family.MATRIX, Family.NOISE_LEVEL}, backend="torch")
def noise_added_once(x, alpha, sigma, means, covariances, weights):
    eye = torch.eye(x.shape[1], dtype=x.dtype)
    law = torch.distributions.MultivariateNormal(alpha * means, alpha**2 * covariances + sigma * eye)

    def log_density(point):
        return (law.log_prob(point) + weights.log()).logsumexp(0)

    return -vmap(hessian(log_density))(x)


@wrong("fisher_vector_product", Fault.TERM_DROPPED, backend="torch")
def rank_one_only(x, v, alpha, sigma, data, weights):
    r = _responsibilities(x, alpha, sigma, data, weights)
    y = r @ data
    return v / sigma**2 + alpha**2 / sigma**4 * (y * v).sum(1, keepdim=True) * y


@wrong("fisher_vector_product", Fault.TIMESTEP, backend="torch")
def step_of_a_thousand_too_late(x, v, schedule, t, data):
    t = t + 1e-3
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    r = _responsibilities(x, alpha, sigma, data)
    away = data - (r @ data).unsqueeze(1)
    inner = torch.einsum("bnd,bd->bn", away, v)
    return v / sigma**2 - alpha**2 / sigma**4 * torch.einsum("bn,bnd->bd", r * inner, away)


@wrong("fisher_vector_product", Fault.CANCELLATION, {Family.NUMERICS, Family.REGIME}, backend="torch")
def expanded_squares(x, v, alpha, sigma, data):
    squares = x.square().sum(1, keepdim=True) - 2 * alpha * x @ data.T + alpha**2 * data.square().sum(1)
    r = (-squares / (2 * sigma**2)).softmax(-1)
    y = r @ data
    product = torch.einsum("bn,nd->bd", r * (v @ data.T), data) - (y * v).sum(1, keepdim=True) * y
    return v / sigma**2 - alpha**2 / sigma**4 * product


@wrong("fisher_vector_product", Fault.MINIBATCH, backend="torch")
def covariances_of_batches_averaged(x, v, alpha, sigma, data):
    answers = []
    for part in data.split(4):
        r = _responsibilities(x, alpha, sigma, part)
        away = part - (r @ part).unsqueeze(1)
        answers.append(torch.einsum("bn,bnd->bd", r * torch.einsum("bnd,bd->bn", away, v), away))
    return v / sigma**2 - alpha**2 / sigma**4 * torch.stack(answers).mean(0)


@wrong("fisher_trace", Fault.CLIPPED, backend="torch")
def trace_clamped_to_be_positive(x, alpha, sigma, data):
    return _trace(x, alpha, sigma, data, _responsibilities(x, alpha, sigma, data)).clamp(min=1e-6)


@wrong("fisher_trace", Fault.WEIGHTS_IGNORED, backend="torch")
def prior_left_out(x, alpha, sigma, data, weights):
    return _trace(x, alpha, sigma, data, _responsibilities(x, alpha, sigma, data))


@wrong("fisher_trace", Fault.UNDERFLOW, backend="torch")
def plain_exponentials(x, alpha, sigma, data):
    w = torch.exp(-(x.unsqueeze(1) - alpha * data).square().sum(-1) / (2 * sigma**2))
    return _trace(x, alpha, sigma, data, w / w.sum(1, keepdim=True))


@wrong("fisher_trace", Fault.LOW_PRECISION, backend="torch")
def bfloat16_matmul(x, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    y = (r.bfloat16() @ data.bfloat16()).to(x.dtype)
    away = data - y.unsqueeze(1)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (r * away.square().sum(-1)).sum(-1)


@wrong("fisher_trace", Fault.CONSTANT, {Family.TERMS, Family.WEIGHTS, Family.ATOMS}, backend="torch")
def bessel(x, alpha, sigma, data):
    r = _responsibilities(x, alpha, sigma, data)
    n = len(data)
    away = data - (r @ data).unsqueeze(1)
    spread = (r * away.square().sum(-1)).sum(-1) * n / max(n - 1, 1)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * spread


@wrong("fisher_trace", Fault.BATCH, backend="torch")
def same_trace_for_all(x, alpha, sigma, data):
    return _trace(x, alpha, sigma, data, _responsibilities(x, alpha, sigma, data)).mean().expand(len(x)).clone()


@wrong("fisher_trace_autodiff", Fault.DIAGONAL, backend="torch")
def gradient_of_sum(eps_fn, x, t, sigma):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(eps_fn(x, t).sum(), x)[0].sum(1) / sigma


@wrong("fisher_trace_autodiff", Fault.SIGN, backend="torch")
def divergence_of_score(eps_fn, x, t, sigma):
    jacobians = vmap(jacrev(lambda point: -eps_fn(point, t) / sigma))(x)
    return jacobians.diagonal(dim1=-2, dim2=-1).sum(-1)


@wrong("fisher_trace_autodiff", Fault.ESTIMATE, backend="torch")
def hutchinson_of_eight(eps_fn, x, t, sigma):
    torch.manual_seed(0)
    total = torch.zeros(len(x), dtype=x.dtype)
    for _ in range(8):
        z = torch.randint(0, 2, x.shape).to(x.dtype) * 2 - 1
        total = total + (z * jvp(lambda point: eps_fn(point, t), (x,), (z,))[1]).sum(1)
    return total / 8 / sigma


@wrong("fisher_trace_autodiff", Fault.DIAGONAL, backend="torch")
def first_entry_times_dimension(eps_fn, x, t, sigma):
    e = torch.zeros_like(x)
    e[:, 0] = 1
    return x.shape[1] * jvp(lambda point: eps_fn(point, t), (x,), (e,))[1][:, 0] / sigma


@wrong("fisher_vector_product_vjp", Fault.TRANSPOSED, backend="torch")
def forward_mode(eps_fn, x, v, t, sigma):
    return torch.func.jvp(lambda point: eps_fn(point, t) / sigma, (x,), (v,))[1]


@wrong("fisher_vector_product_vjp", Fault.POWER_OF_SIGMA, backend="torch")
def score_over_sigma_again(eps_fn, x, v, t, sigma):
    x = x.detach().requires_grad_()
    score = -eps_fn(x, t) / sigma
    return -torch.autograd.grad(score, x, v)[0] / sigma


@wrong("fisher_trace_matching", Fault.ONE_OVER_D, backend="torch")
def sum_of_squares_beside_head(x, alpha, sigma, eps, head):
    y = (x - sigma * eps) / alpha
    return x.shape[-1] * (1 / sigma**2 - (alpha / sigma**2) ** 2 * (head - torch.linalg.vector_norm(y, dim=-1) ** 2))


@wrong("fisher_vector_product_endpoint", Fault.SIGN, backend="torch")
def outer_products_added(x, v, x0, eps, alpha, sigma):
    y = (x - sigma * eps) / alpha
    outer = torch.einsum("bi,bj,bj->bi", x0, x0, v) + torch.einsum("bi,bj,bj->bi", y, y, v)
    return v / sigma**2 - alpha**2 / sigma**4 * outer
