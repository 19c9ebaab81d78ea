"""Eq. 17 and eq. 20 in other groupings."""

import torch

from tests.zoo.innocent import innocent


@innocent("per-dimension-average", "fisher_trace_matching", "d times an average, with a mean of squares")
def per_dimension_average(x, alpha, sigma, eps, head):
    mean = (x - sigma * eps) / alpha
    return x.shape[1] * (1 / sigma**2 - alpha**2 / sigma**4 * (head - (mean**2).mean(axis=1)))


@innocent("networks-as-functions", "fisher_trace_matching", "calls eps_fn and head_fn itself", backend="torch")
def networks_as_functions(x, alpha, sigma, t, eps_fn, head_fn):
    with torch.no_grad():
        mean = (x - sigma * eps_fn(x, t)) / alpha
        return (x.shape[1] - (alpha / sigma) ** 2 * (x.shape[1] * head_fn(x, t) - mean.square().sum(dim=1))) / sigma**2


@innocent(
    "matching-in-images",
    "fisher_trace_matching",
    "images, a noise level each, numel instead of d",
    backend="torch",
    event_shape=(3, 5, 5),
    per_sample_noise=True,
)
def matching_in_images(x, alpha, sigma, eps, head):
    shape = (-1, 1, 1, 1)
    mean = (x - sigma.view(shape) * eps) / alpha.view(shape)
    numel = x[0].numel()
    spread = numel * head - mean.flatten(1).square().sum(dim=1)
    return numel / sigma**2 - (alpha / sigma**2) ** 2 * spread


@innocent("alpha-bar-matching", "fisher_trace_matching", "everything from alphas_cumprod[t]", backend="torch")
def alpha_bar_matching(x, alpha_bar, eps, head):
    beta_bar = 1 - alpha_bar
    scaled_mean = (x - beta_bar.sqrt() * eps) / beta_bar.sqrt()  # alpha/sigma times the mean
    spread = alpha_bar / beta_bar * (x.shape[1] * head) - scaled_mean.square().sum(dim=1)
    return (x.shape[1] - spread) / beta_bar


@innocent(
    "signed-gram",
    "fisher_vector_product_endpoint",
    "eq. 20 as U diag(1, -1) U^T v with U = [x0, mean]",
    backend="torch",
)
def signed_gram(x, v, x0, alpha, sigma, eps):
    mean = (x - sigma * eps) / alpha
    factor = torch.stack([x0, mean], dim=2)  # (B, d, 2)
    along = torch.einsum("bdk,bd->bk", factor, v) * torch.tensor([1, -1], dtype=x.dtype)
    return v / sigma**2 - alpha**2 / sigma**4 * torch.einsum("bdk,bk->bd", factor, along)


@innocent(
    "difference-of-squares",
    "fisher_vector_product_endpoint",
    "x0 x0^T - m m^T as half of (x0+m)(x0-m)^T plus its transpose",
)
def difference_of_squares(x, v, x0, alpha, sigma, eps):
    mean = (x - sigma * eps) / alpha
    plus, minus = x0 + mean, x0 - mean
    product = (plus * (minus * v).sum(axis=1, keepdims=True) + minus * (plus * v).sum(axis=1, keepdims=True)) / 2
    return v / sigma**2 - alpha**2 / sigma**4 * product
