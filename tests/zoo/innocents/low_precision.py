"""Half precision, done with care or with none needed."""

import numpy as np
import torch

from tests.zoo.innocent import innocent

HALVES = ("float16", "bfloat16")


@innocent(
    "half-in-float-between",
    "posterior_mean",
    "half precision in and out, float32 in between",
    backend="torch",
    dtypes=HALVES,
)
def half_in_float_between(x, alpha, sigma, data, weights):
    wide, atoms = x.float(), data.float()
    logits = weights.float().log() - (wide[:, None] - alpha * atoms).square().sum(dim=2) / (2 * sigma**2)
    return (logits.softmax(dim=1) @ atoms).to(x.dtype)


@innocent("plain-bfloat16", "score", "bfloat16 throughout, without a thought", backend="torch", dtypes=("bfloat16",))
def plain_bfloat16(x, alpha, sigma, data, weights):
    residuals = x[:, None] - alpha * data
    posterior = (weights.log() - residuals.square().sum(dim=2) / (2 * sigma**2)).softmax(dim=1)
    return -(posterior[:, :, None] * residuals).sum(dim=1) / sigma**2


@innocent("half-trace", "fisher_trace", "half precision in and out, float64 in between", backend="torch", dtypes=HALVES)
def half_trace(x, alpha, sigma, data, weights):
    wide, atoms = x.double(), data.double()
    posterior = (weights.double().log() - (wide[:, None] - alpha * atoms).square().sum(2) / (2 * sigma**2)).softmax(1)
    variance = torch.stack([p @ (atoms - p @ atoms).square().sum(dim=1) for p in posterior])
    return ((x.shape[1] - (alpha / sigma) ** 2 * variance) / sigma**2).to(x.dtype)


@innocent(
    "half-in-numpy", "fisher_vector_product", "NumPy's float16 in and out, float32 in between", dtypes=("float16",)
)
def half_in_numpy(x, v, alpha, sigma, data, weights):
    points, directions, atoms = (a.astype(np.float32) for a in (x, v, data))
    rows = []
    for point, direction in zip(points, directions, strict=True):
        logits = np.log(weights.astype(np.float32)) - ((point - alpha * atoms) ** 2).sum(axis=1) / (2 * sigma**2)
        posterior = np.exp(logits - logits.max())
        posterior /= posterior.sum()
        centred = atoms - posterior @ atoms
        rows.append((direction - (alpha / sigma) ** 2 * ((posterior * (centred @ direction)) @ centred)) / sigma**2)
    return np.stack(rows).astype(x.dtype)


@innocent(
    "half-matrix",
    "fisher",
    "float32 in between; the product of bfloat16 roots accumulated in float32",
    backend="torch",
    dtypes=("bfloat16",),
)
def half_matrix(x, alpha, sigma, data, weights):
    wide, atoms = x.float(), data.float()
    posterior = (weights.float().log() - (wide[:, None] - alpha * atoms).square().sum(2) / (2 * sigma**2)).softmax(1)
    root = posterior.sqrt()[:, :, None] * (atoms - (posterior @ atoms)[:, None])
    covariance = root.mT @ root
    return ((torch.eye(x.shape[1]) - (alpha / sigma) ** 2 * covariance) / sigma**2).to(x.dtype)


@innocent(
    "half-matching",
    "fisher_trace_matching",
    "eq. 17 in half precision, float32 in between",
    backend="torch",
    dtypes=HALVES,
)
def half_matching(x, alpha, sigma, eps, head):
    mean = (x.float() - sigma * eps.float()) / alpha
    spread = x.shape[1] * head.float() - mean.square().sum(dim=1)
    return ((x.shape[1] - (alpha / sigma) ** 2 * spread) / sigma**2).to(x.dtype)


@innocent(
    "half-autodiff", "fisher_vector_product_vjp", "reverse mode in half precision", backend="torch", dtypes=HALVES
)
def half_autodiff(x, v, t, sigma, eps_fn):
    points = x.clone().requires_grad_()
    return (torch.autograd.grad(eps_fn(points, t), points, v)[0].float() / sigma).to(x.dtype)


@innocent(
    "half-epsilon",
    "posterior_mean",
    "(x - sigma eps) / alpha in half precision",
    backend="torch",
    dtypes=HALVES,
    event_shape=(4, 8, 8),
)
def half_epsilon(x, eps, alpha, sigma):
    return ((x.float() - sigma * eps.float()) / alpha).to(x.dtype)
