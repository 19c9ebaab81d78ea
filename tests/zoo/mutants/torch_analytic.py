"""Analytic formulas in torch: precision, images, differentiation of the log density, pitfalls of tensors."""

import torch

from tests.zoo.specimen import Fault, mutant


def _exponents(x, alpha, sigma, data):
    """Minus the squared distances over 2 sigma^2, (B, N)."""
    return -(x[:, None] - alpha * data).square().sum(dim=2) / (2 * sigma**2)


def _centred(posterior, data):
    """Atoms less the posterior mean, (B, N, d), by offsets from the likeliest atom."""
    offsets = data - data[posterior.argmax(dim=1)][:, None]
    return offsets - torch.einsum("bn,bnd->bd", posterior, offsets)[:, None]


def _score(x, alpha, sigma, data, posterior):
    return -torch.einsum("bn,bnd->bd", posterior, x[:, None] - alpha * data) / sigma**2


def _trace(x, alpha, sigma, data, posterior):
    variance = (posterior * _centred(posterior, data).square().sum(dim=2)).sum(dim=1)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance


def _product(v, alpha, sigma, data, posterior):
    centred = _centred(posterior, data)
    inner = posterior * torch.einsum("bni,bi->bn", centred, v)
    return v / sigma**2 - alpha**2 / sigma**4 * torch.einsum("bn,bni->bi", inner, centred)


def _matrix(x, alpha, sigma, data, posterior):
    centred = posterior.sqrt()[:, :, None] * _centred(posterior, data)
    return torch.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * centred.mT @ centred


@mutant("score", "torch", "softmax(dim=0): over the batch.", Fault.WRONG_AXIS)
def softmax_over_batch(x, alpha, sigma, data):
    return _score(x, alpha, sigma, data, _exponents(x, alpha, sigma, data).softmax(dim=0))


@mutant("posterior_mean", "torch", "alphas_cumprod for its root as the divisor.", Fault.ALPHA_BAR)
def divided_by_alpha_bar(x, alpha_bar, eps):
    return (x - (1 - alpha_bar).sqrt() * eps) / alpha_bar


@mutant("fisher", "torch", "alphas_cumprod^2 for alpha^2 before the covariance.", Fault.ALPHA_BAR)
def alpha_bar_squared(x, alpha_bar, data):
    alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    posterior = _exponents(x, alpha, sigma, data).softmax(dim=1)
    centred = posterior.sqrt()[:, :, None] * _centred(posterior, data)
    identity = torch.eye(x.shape[1], dtype=x.dtype)
    return identity / (1 - alpha_bar) - alpha_bar**2 / (1 - alpha_bar) ** 2 * centred.mT @ centred


@mutant("fisher", "torch", "The posterior weights are detached before log q is differentiated twice.", Fault.DETACHED)
def weights_detached(x, alpha, sigma, data):
    def score(point):
        exponents = _exponents(point[None], alpha, sigma, data)
        return _score(point[None], alpha, sigma, data, exponents.softmax(dim=1).detach())[0]

    return -torch.func.vmap(torch.func.jacrev(score))(x)


@mutant(
    "fisher_trace",
    "torch",
    "The Laplacian of each exponent, weighted: what is between them is left out.",
    Fault.TERM_DROPPED,
)
def laplacian_of_exponents(x, alpha, sigma, data):
    posterior = _exponents(x, alpha, sigma, data).softmax(dim=1)
    laplacians = torch.full_like(posterior, -x.shape[1] / sigma**2)
    return -(posterior * laplacians).sum(dim=1)


@mutant("fisher", "torch", "The prior weights replaced by ones.", Fault.WEIGHTS_IGNORED, only="dirac")
def prior_ones(x, alpha, sigma, data, weights):
    logits = torch.ones_like(weights).log() + _exponents(x, alpha, sigma, data)
    return _matrix(x, alpha, sigma, data, logits.softmax(dim=1))


@mutant("score", "torch", "0/0 of underflown weights made 0 by nan_to_num.", Fault.UNDERFLOW)
def nan_to_zero(x, alpha, sigma, data):
    weights = _exponents(x, alpha, sigma, data).exp()
    posterior = (weights / weights.sum(dim=1, keepdim=True)).nan_to_num()
    return (alpha * posterior @ data - x) / sigma**2


@mutant(
    "fisher_trace", "torch", "torch.topk(8) of the weights, not normalised again.", Fault.TRUNCATED, smallest=(9, 16)
)
def top_eight(x, alpha, sigma, data):
    posterior = _exponents(x, alpha, sigma, data).softmax(dim=1)
    top = posterior.topk(min(8, len(data)), dim=1)
    kept = torch.zeros_like(posterior).scatter(1, top.indices, top.values)
    return _trace(x, alpha, sigma, data, kept)


@mutant(
    "fisher_vector_product",
    "torch",
    "bfloat16 for the product with the covariance, as autocast has it.",
    Fault.LOW_PRECISION,
)
def autocast_to_bfloat16(x, v, alpha, sigma, data):
    posterior = _exponents(x, alpha, sigma, data).softmax(dim=1)
    centred = (posterior.sqrt()[:, :, None] * _centred(posterior, data)).bfloat16()
    product = torch.einsum("bni,bn->bi", centred, torch.einsum("bni,bi->bn", centred, v.bfloat16()))
    return v / sigma**2 - alpha**2 / sigma**4 * product.to(x.dtype)


@mutant(
    "fisher",
    "torch",
    "torch.tensor(sigma): float32, the default, in float64 code.",
    Fault.LOW_PRECISION,
    dtypes=("float64",),
)
def sigma_in_default_dtype(x, alpha, sigma, data):
    alpha, sigma = torch.tensor(alpha), torch.tensor(sigma)
    posterior = _exponents(x, alpha, sigma, data).softmax(dim=1)
    return _matrix(x, alpha, sigma, data, posterior)


@mutant("score", "torch", "The softmax in float32, the rest in float64.", Fault.LOW_PRECISION, dtypes=("float64",))
def softmax_in_single(x, alpha, sigma, data):
    posterior = _exponents(x, alpha, sigma, data).float().softmax(dim=1).to(x.dtype)
    return _score(x, alpha, sigma, data, posterior)


@mutant("posterior_mean", "torch", "Strides of a contiguous tensor assumed.", Fault.STRIDES, only="dirac")
def atoms_taken_for_contiguous(x, alpha, sigma, data):
    data = torch.as_strided(data, data.shape, (data.shape[1], 1))
    return _exponents(x, alpha, sigma, data).softmax(dim=1) @ data


@mutant("fisher_trace", "torch", "x.sub_(...): the noise is removed in place.", Fault.ARGUMENT_CHANGED)
def centred_in_place(x, alpha, sigma, data):
    centre = data.mean(dim=0)
    x.sub_(alpha * centre)
    atoms = data - centre
    return _trace(x, alpha, sigma, atoms, _exponents(x, alpha, sigma, atoms).softmax(dim=1))


@mutant(
    "fisher_vector_product",
    "torch",
    "A covariance about a running mean of earlier calls, as batch norm has.",
    Fault.STATE,
)
class RunningMean:
    def __init__(self):
        self.kept = {}

    def __call__(self, x, v, alpha, sigma, data):
        posterior = _exponents(x, alpha, sigma, data).softmax(dim=1)
        mean = posterior @ data
        key = (x.shape, x.dtype)
        self.kept[key] = running = 0.9 * self.kept.get(key, mean) + 0.1 * mean
        residuals = data - running[:, None]
        inner = posterior * torch.einsum("bni,bi->bn", residuals, v)
        return v / sigma**2 - alpha**2 / sigma**4 * torch.einsum("bn,bni->bi", inner, residuals)


@mutant(
    "score", "torch", "Images: one posterior per channel.", Fault.WRONG_AXIS, smallest=(3, 64), event_shape=(4, 4, 4)
)
def posterior_per_channel(x, alpha, sigma, data):
    differences = x[:, None] - alpha * data  # (B, N, C, H, W)
    exponents = -differences.square().sum(dim=(3, 4)) / (2 * sigma**2)
    posterior = exponents.softmax(dim=1)
    return -(posterior[..., None, None] * differences).sum(dim=1) / sigma**2


@mutant(
    "fisher_trace",
    "torch",
    "Images: the variance of one channel.",
    Fault.WRONG_AXIS,
    smallest=(3, 64),
    event_shape=(4, 4, 4),
)
def variance_of_one_channel(x, alpha, sigma, data):
    flat, atoms = x.flatten(1), data.flatten(1)
    posterior = _exponents(flat, alpha, sigma, atoms).softmax(dim=1)
    residuals = _centred(posterior, atoms).reshape(len(x), len(data), *x.shape[1:])
    variance = (posterior * residuals.square().sum(dim=(3, 4)).mean(dim=2)).sum(dim=1)
    return flat.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance


@mutant(
    "fisher_vector_product",
    "torch",
    "Images: v flattened channels last, x and the atoms channels first.",
    Fault.TRANSPOSED,
    smallest=(3, 64),
    event_shape=(4, 4, 4),
)
def channels_last(x, v, alpha, sigma, data):
    flat, atoms = x.flatten(1), data.flatten(1)
    posterior = _exponents(flat, alpha, sigma, atoms).softmax(dim=1)
    product = _product(v.permute(0, 2, 3, 1).flatten(1), alpha, sigma, atoms, posterior)
    return product.reshape(len(v), *v.shape[2:], v.shape[1]).permute(0, 3, 1, 2)


@mutant("fisher_trace_matching", "torch", "The squared mean summed over the batch.", Fault.BATCH, only="dirac")
def norm_of_batch(x, alpha, sigma, eps, head):
    d = x.shape[1]
    mean = (x - sigma * eps) / alpha
    return d * (1 / sigma**2 - alpha**2 / sigma**4 * (head - mean.square().sum() / d))


@mutant("fisher_trace_matching", "torch", "The head's value at x_0's estimate, not at x_t.", Fault.PREDICTION_TYPE)
def head_at_mean(x, alpha, sigma, t, eps_fn, head_fn):
    d = x.shape[1]
    mean = (x - sigma * eps_fn(x, t)) / alpha
    return d / sigma**2 - alpha**2 / sigma**4 * (d * head_fn(mean, t) - mean.square().sum(dim=1))


@mutant("fisher_trace_matching", "torch", "The head at the next of 1,000 timesteps.", Fault.TIMESTEP)
def head_at_next_timestep(x, alpha, sigma, t, eps, head_fn):
    d = x.shape[1]
    mean = (x - sigma * eps) / alpha
    return d / sigma**2 - alpha**2 / sigma**4 * (d * head_fn(x, t + 1e-3) - mean.square().sum(dim=1))


@mutant(
    "fisher_trace_matching",
    "torch",
    "The batch's mean alpha for each point's.",
    Fault.BATCH_NOISE,
    only="dirac",
    per_sample_noise=True,
)
def mean_alpha_of_batch(x, alpha, sigma, eps, head):
    d = x.shape[1]
    mean = (x - sigma[:, None] * eps) / alpha.mean()
    return d / sigma**2 - alpha**2 / sigma**4 * (d * head - mean.square().sum(dim=1))


@mutant(
    "fisher_vector_product_endpoint",
    "torch",
    "The first point's alpha for the whole batch.",
    Fault.BATCH_NOISE,
    only="dirac",
    per_sample_noise=True,
)
def endpoint_first_alpha(x, v, x0, eps, alpha, sigma):
    s = sigma[:, None]
    mean = (x - s * eps) / alpha[0]
    outer = (x0 * v).sum(dim=1, keepdim=True) * x0 - (mean * v).sum(dim=1, keepdim=True) * mean
    return v / s**2 - alpha[:, None] ** 2 / s**4 * outer


@mutant(
    "posterior_mean",
    "torch",
    "The largest sigma of the batch in every exponent.",
    Fault.BATCH_NOISE,
    only="dirac",
    per_sample_noise=True,
)
def largest_sigma_of_batch(x, alpha, sigma, data):
    differences = x[:, None] - alpha[:, None, None] * data
    return (-differences.square().sum(dim=2) / (2 * sigma.max() ** 2)).softmax(dim=1) @ data


@mutant(
    "fisher_vector_product_endpoint", "torch", "The outer products' factors transposed: <x0, y> v.", Fault.TRANSPOSED
)
def endpoint_crossed(x, v, x0, eps, alpha, sigma):
    mean = (x - sigma * eps) / alpha
    outer = (x0 * v).sum(dim=1, keepdim=True) * mean - (mean * v).sum(dim=1, keepdim=True) * x0
    return v / sigma**2 - alpha**2 / sigma**4 * outer


@mutant("fisher", "torch", "The eigenvectors of a mixture's covariances applied from the wrong side.", Fault.TRANSPOSED)
def eigenvectors_from_wrong_side(x, alpha, sigma, means, covariances, weights):
    variances, axes = torch.linalg.eigh(covariances)
    variances = alpha**2 * variances + sigma**2
    differences = torch.einsum("bkd,kde->bke", x[:, None] - alpha * means, axes)
    logits = weights.log() - (differences.square() / variances + variances.log()).sum(dim=2) / 2
    posterior = logits.softmax(dim=1)
    scores = -torch.einsum("bke,kde->bkd", differences / variances, axes)
    spread = posterior.sqrt()[:, :, None] * (scores - torch.einsum("bk,bkd->bd", posterior, scores)[:, None])
    precisions = axes.mT @ (axes / variances[:, :, None])
    return torch.einsum("bk,kde->bde", posterior, precisions) - spread.mT @ spread


@mutant("score", "torch", "A mixture's log weights left out.", Fault.WEIGHTS_IGNORED)
def mixture_weights_ignored(x, alpha, sigma, means, covariances, weights):
    identity = torch.eye(x.shape[1], dtype=x.dtype)
    law = torch.distributions.MultivariateNormal(alpha * means, alpha**2 * covariances + sigma**2 * identity)
    x = x.clone().requires_grad_()
    return torch.autograd.grad(law.log_prob(x[:, None]).logsumexp(dim=1).sum(), x)[0]
