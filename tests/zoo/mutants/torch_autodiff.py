"""Automatic differentiation of epsilon in torch: products with the Jacobian, and its trace."""

import torch
from torch.func import jacrev, jvp, vjp, vmap

from tests.zoo.specimen import Fault, mutant


@mutant("fisher_vector_product_vjp", "torch", "J v for J^T v.", Fault.TRANSPOSED, smallest=(3, 2), only="dirac")
def jvp_for_vjp(eps_fn, x, v, t, sigma):
    return jvp(lambda point: eps_fn(point, t), (x,), (v,))[1] / sigma


@mutant("fisher_vector_product_jvp", "torch", "J^T v for J v: eq. 9 taken at its word.", Fault.TRANSPOSED, only="dirac")
def vjp_for_jvp(eps_fn, x, v, t, sigma):
    x = x.clone().requires_grad_()
    return torch.autograd.grad((eps_fn(x, t) * v).sum(), x)[0] / sigma


@mutant("fisher_vector_product_vjp", "torch", "The mean of J v and J^T v.", Fault.TRANSPOSED, only="dirac")
def symmetrised(eps_fn, x, v, t, sigma):
    forward = jvp(lambda point: eps_fn(point, t), (x,), (v,))[1]
    backward = vjp(lambda point: eps_fn(point, t), x)[1](v)[0]
    return (forward + backward) / (2 * sigma)


@mutant("fisher_vector_product_vjp", "torch", "Not divided by sigma.", Fault.POWER_OF_SIGMA)
def vjp_without_sigma(eps_fn, x, v, t):
    return vjp(lambda point: eps_fn(point, t), x)[1](v)[0]


@mutant("fisher_vector_product_jvp", "torch", "Divided by sigma^2, as a score would be.", Fault.POWER_OF_SIGMA)
def jvp_over_variance(eps_fn, x, v, t, sigma):
    return jvp(lambda point: eps_fn(point, t), (x,), (v,))[1] / sigma**2


@mutant("fisher_trace_autodiff", "torch", "Not divided by sigma.", Fault.POWER_OF_SIGMA)
def trace_without_sigma(eps_fn, x, t):
    return _diagonals(eps_fn, x, t).sum(dim=1)


@mutant("fisher_vector_product_vjp", "torch", "Epsilon differentiated as the score, without minus.", Fault.SIGN)
def score_differentiated(eps_fn, x, v, t, sigma):
    return vjp(lambda point: -eps_fn(point, t) / sigma, x)[1](v)[0]


@mutant("fisher_vector_product_jvp", "torch", "Minus the product.", Fault.SIGN)
def jvp_sign(eps_fn, x, v, t, sigma):
    return -jvp(lambda point: eps_fn(point, t), (x,), (v,))[1] / sigma


@mutant("fisher_vector_product_vjp", "torch", "The posterior mean differentiated for epsilon.", Fault.PREDICTION_TYPE)
def mean_differentiated(eps_fn, x, v, t, alpha, sigma):
    return vjp(lambda point: (point - sigma * eps_fn(point, t)) / alpha, x)[1](v)[0] / sigma


@mutant(
    "fisher_vector_product_vjp", "torch", "The posterior mean detached inside epsilon: v / sigma^2.", Fault.DETACHED
)
def mean_detached(eps_fn, x, v, t, alpha, sigma):
    x = x.clone().requires_grad_()
    mean = ((x - sigma * eps_fn(x, t)) / alpha).detach()
    eps = (x - alpha * mean) / sigma
    return torch.autograd.grad((eps * v).sum(), x)[0] / sigma


@mutant(
    "fisher_trace_autodiff", "torch", "The gradient is not zeroed between dimensions: it accumulates.", Fault.DIAGONAL
)
def gradient_not_zeroed(eps_fn, x, t, sigma):
    x = x.clone().requires_grad_()
    eps = eps_fn(x, t)
    trace = torch.zeros(len(x), dtype=x.dtype)
    for k in range(x.shape[1]):
        eps[:, k].sum().backward(retain_graph=True)
        trace = trace + x.grad[:, k]
    return trace / sigma


@mutant(
    "fisher_vector_product_vjp",
    "torch",
    "The batch's gradients averaged: .mean() before .backward().",
    Fault.BATCH,
    only="dirac",
)
def mean_before_backward(eps_fn, x, v, t, sigma):
    x = x.clone().requires_grad_()
    (eps_fn(x, t) * v).sum(dim=1).mean().backward()
    return x.grad / sigma


@mutant("fisher_vector_product_vjp", "torch", "<eps, v> squared by a loss.", Fault.TERM_ADDED)
def loss_differentiated(eps_fn, x, v, t, sigma):
    x = x.clone().requires_grad_()
    inner = (eps_fn(x, t) * v).sum(dim=1)
    return torch.autograd.grad((inner**2 / 2).sum(), x)[0] / sigma


@mutant("fisher_vector_product_jvp", "torch", "The direction normalised, and its length forgotten.", Fault.CONSTANT)
def jvp_of_unit_direction(eps_fn, x, v, t, sigma):
    direction = v / v.norm(dim=1, keepdim=True)
    return jvp(lambda point: eps_fn(point, t), (x,), (direction,))[1] / sigma


@mutant("fisher_vector_product_jvp", "torch", "Forward differences with the fixed step 1e-3.", Fault.STEP)
def forward_difference(eps_fn, x, v, t, sigma):
    return (eps_fn(x + 1e-3 * v, t) - eps_fn(x, t)) / 1e-3 / sigma


@mutant("fisher_vector_product_jvp", "torch", "Central differences, the step in units of x.", Fault.STEP)
def central_difference(eps_fn, x, v, t, sigma):
    step = torch.finfo(x.dtype).eps ** (1 / 3) * x.abs().amax(dim=1, keepdim=True).clamp(min=1)
    return (eps_fn(x + step * v, t) - eps_fn(x - step * v, t)) / (2 * step) / sigma


@mutant("fisher_vector_product_jvp", "torch", "The total derivative along (v, 1), time moving, too.", Fault.TERM_ADDED)
def time_moves_too(eps_fn, x, v, t, sigma):
    time = torch.tensor(t, dtype=x.dtype)
    return jvp(eps_fn, (x, time), (v, torch.ones_like(time)))[1] / sigma


@mutant("fisher_vector_product_jvp", "torch", "The previous of 1,000 timesteps.", Fault.TIMESTEP)
def jvp_at_previous_timestep(eps_fn, x, v, t, sigma):
    earlier = max(t - 1e-3, t / 2)
    return jvp(lambda point: eps_fn(point, earlier), (x,), (v,))[1] / sigma


@mutant("fisher_trace_autodiff", "torch", "The next of 1,000 timesteps.", Fault.TIMESTEP)
def trace_at_next_timestep(eps_fn, x, t, sigma):
    return _diagonals(eps_fn, x, t + 1e-3).sum(dim=1) / sigma


@mutant(
    "fisher_trace_autodiff",
    "torch",
    "One backward pass from the sum of all outputs: all entries added up.",
    Fault.DIAGONAL,
)
def row_sum_for_diagonal(eps_fn, x, t, sigma):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(eps_fn(x, t).sum(), x)[0].sum(dim=1) / sigma


@mutant("fisher_trace_autodiff", "torch", "The Frobenius norm for the trace.", Fault.DIAGONAL)
def frobenius_norm(eps_fn, x, t, sigma):
    jacobians = vmap(jacrev(lambda point: eps_fn(point, t)))(x)
    return jacobians.flatten(1).norm(dim=1) / sigma


@mutant(
    "fisher_trace_autodiff",
    "torch",
    "The traces of all points added up: a Jacobian (B d, B d).",
    Fault.BATCH,
    only="dirac",
)
def trace_of_batch(eps_fn, x, t, sigma):
    def flat(points):
        return eps_fn(points.reshape(x.shape), t).flatten()

    return jacrev(flat)(x.flatten()).trace().expand(len(x)) / sigma


@mutant("fisher_trace_autodiff", "torch", "The mean of the diagonal for its sum.", Fault.ONE_OVER_D)
def mean_of_diagonal(eps_fn, x, t, sigma):
    return _diagonals(eps_fn, x, t).mean(dim=1) / sigma


@mutant("fisher_trace_autodiff", "torch", "<z, J^T z> for one random z of signs.", Fault.ESTIMATE)
def one_probe(eps_fn, x, t, sigma):
    generator = torch.Generator().manual_seed(0)
    signs = 2 * torch.randint(0, 2, x.shape, generator=generator).to(x) - 1
    return (signs * vjp(lambda point: eps_fn(point, t), x)[1](signs)[0]).sum(dim=1) / sigma


@mutant("fisher_trace_autodiff", "torch", "Probes in {0, sqrt 2}: a second moment of 1, and a mean.", Fault.ESTIMATE)
def probes_with_a_mean(eps_fn, x, t, sigma):
    generator = torch.Generator().manual_seed(1)
    _, pull = vjp(lambda point: eps_fn(point, t), x)
    total = torch.zeros(len(x), dtype=x.dtype)
    for _ in range(64):
        probe = 2**0.5 * torch.randint(0, 2, x.shape, generator=generator).to(x)
        total = total + (probe * pull(probe)[0]).sum(dim=1)
    return total / 64 / sigma


@mutant(
    "fisher_trace_autodiff",
    "torch",
    "At most 100 dimensions, taken for all.",
    Fault.DIMENSION,
    smallest=(3, 256),
    only="dirac",
)
def hundred_dimensions(eps_fn, x, t, sigma):
    return _diagonals(eps_fn, x, t)[:, :100].sum(dim=1) / sigma


@mutant(
    "fisher_trace_autodiff",
    "torch",
    "Identity minus covariance, the covariance's trace by one vector.",
    Fault.STRUCTURE,
)
def power_iteration(eps_fn, x, t, alpha, sigma):
    # The largest eigenvalue is found, and taken for all that differs from 1 / sigma^2.
    _, pull = vjp(lambda point: point - sigma * eps_fn(point, t), x)
    vector = torch.ones_like(x)
    for _ in range(20):
        vector = vector / vector.norm(dim=1, keepdim=True).clamp(min=1e-30)
        vector = pull(vector)[0]
    return (x.shape[1] - vector.norm(dim=1)) / sigma**2


@mutant(
    "fisher_vector_product_vjp",
    "torch",
    "The first point's sigma for the whole batch.",
    Fault.BATCH_NOISE,
    only="dirac",
    per_sample_noise=True,
)
def vjp_first_sigma(eps_fn, x, v, t, sigma):
    return vjp(lambda point: eps_fn(point, t), x)[1](v)[0] / sigma[0]


@mutant(
    "fisher_vector_product_jvp",
    "torch",
    "The batch's mean time for each point's.",
    Fault.BATCH_NOISE,
    only="dirac",
    per_sample_noise=True,
)
def jvp_mean_time(eps_fn, x, v, t, sigma):
    mean_time = t.mean().expand_as(t)
    return jvp(lambda point: eps_fn(point, mean_time), (x,), (v,))[1] / sigma[:, None]


@mutant("fisher_vector_product_jvp", "torch", "Clipped to a norm of 10, as gradients are.", Fault.CLIPPED)
def gradient_clipped(eps_fn, x, v, t, sigma):
    product = jvp(lambda point: eps_fn(point, t), (x,), (v,))[1] / sigma
    norm = product.norm(dim=1, keepdim=True)
    return product * (10 / norm.clamp(min=10))


def _recentred(data, x, alpha):
    """x moved to centred data and back, with two means that ought to be one."""
    running = torch.stack([batch.mean(dim=0) for batch in data.split(512)]).mean(dim=0)
    return (x - alpha * data.mean(dim=0)) + alpha * running


@mutant(
    "fisher_vector_product_vjp",
    "torch",
    "Recentred on a mean of mini-batch means, whose last, partial batch of 512 counts too much.",
    Fault.MINIBATCH,
    smallest=(1024, 64),
    only="digits",
)
def vjp_recentred_on_batches(eps_fn, x, v, t, alpha, sigma, data):
    return vjp(lambda point: eps_fn(point, t), _recentred(data, x, alpha))[1](v)[0] / sigma


@mutant(
    "fisher_vector_product_jvp",
    "torch",
    "Recentred on a mean of mini-batch means, whose last, partial batch of 512 counts too much.",
    Fault.MINIBATCH,
    smallest=(1024, 64),
    only="digits",
)
def jvp_recentred_on_batches(eps_fn, x, v, t, alpha, sigma, data):
    return jvp(lambda point: eps_fn(point, t), (_recentred(data, x, alpha),), (v,))[1] / sigma


@mutant(
    "fisher_trace_autodiff",
    "torch",
    "Recentred on a mean of mini-batch means, whose last, partial batch of 512 counts too much.",
    Fault.MINIBATCH,
    smallest=(1024, 64),
    only="digits",
)
def trace_recentred_on_batches(eps_fn, x, t, alpha, sigma, data):
    return _diagonals(eps_fn, _recentred(data, x, alpha), t).sum(dim=1) / sigma


def _diagonals(eps_fn, x, t):
    """Diagonal of each point's Jacobian, (B, d), 128 rows at a time."""
    _, pull = vjp(lambda point: eps_fn(point, t), x)
    diagonals = []
    for units in torch.eye(x.shape[1], dtype=x.dtype).split(128):
        (rows,) = vmap(pull)(units[:, None].expand(-1, len(x), -1))
        diagonals.append(torch.einsum("nbd,nd->bn", rows, units))
    return torch.cat(diagonals, dim=1)
