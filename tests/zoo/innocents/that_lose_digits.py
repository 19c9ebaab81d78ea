"""Right formulas that lose digits they could have kept: ``inaccurate``, neither wrong nor a pass."""

import numpy as np
import torch

from tests.zoo.innocent import BOTH, loses_digits


def _posterior(x, alpha, sigma, data, weights):
    distances = np.stack([((point - alpha * data) ** 2).sum(axis=1) for point in x])
    logits = np.log(weights) - distances / (2 * sigma**2)
    posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
    return posterior / posterior.sum(axis=1, keepdims=True)


@loses_digits(
    "expanded-distances", "posterior_mean", "|x|^2 - 2<x, y> + |y|^2 on data far from zero", dtypes=("float32",)
)
def expanded_distances(x, alpha, sigma, data, weights):
    distances = (x**2).sum(axis=1)[:, None] + alpha**2 * (data**2).sum(axis=1) - 2 * alpha * (x @ data.T)
    logits = np.log(weights) - distances / (2 * sigma**2)
    posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
    return posterior @ data / posterior.sum(axis=1, keepdims=True)


@loses_digits(
    "torch-cdist",
    "posterior_mean",
    "torch.cdist, which multiplies matrices where there are more than 25 points",
    backend="torch",
    dtypes=("float32",),
)
def torch_cdist(x, alpha, sigma, data, weights):
    distances = torch.cdist(x, alpha * data, compute_mode="use_mm_for_euclid_dist").square()
    return (weights.log() - distances / (2 * sigma**2)).softmax(dim=1) @ data


@loses_digits("eq-16-as-written", "fisher_trace", "the variance as a difference of two second moments", dtypes=BOTH)
def eq_16_as_written(x, alpha, sigma, data, weights):
    posterior = _posterior(x, alpha, sigma, data, weights)
    variance = posterior @ (data**2).sum(axis=1) - ((posterior @ data) ** 2).sum(axis=1)
    return x.shape[1] / sigma**2 - alpha**2 / sigma**4 * variance


@loses_digits("eq-11-as-written", "fisher", "the covariance as a difference of two second moments", dtypes=BOTH)
def eq_11_as_written(x, alpha, sigma, data, weights):
    posterior = _posterior(x, alpha, sigma, data, weights)
    mean = posterior @ data
    second = np.einsum("bn,ni,nj->bij", posterior, data, data)
    covariance = second - mean[:, :, None] * mean[:, None, :]
    return np.eye(x.shape[1], dtype=x.dtype) / sigma**2 - alpha**2 / sigma**4 * covariance


@loses_digits(
    "hessian-of-squared-distances",
    "fisher",
    "torch.func.hessian of the log density as it is written",
    backend="torch",
    dtypes=("float32",),
)
def hessian_of_squared_distances(x, alpha, sigma, data, weights):
    def density(point):
        return (weights.log() - (point - alpha * data).square().sum(dim=1) / (2 * sigma**2)).logsumexp(dim=0)

    return -torch.vmap(torch.func.hessian(density))(x)


@loses_digits(
    "jvp-of-a-matmul-score",
    "fisher_vector_product",
    "torch.func.jvp of a score through matrix products",
    backend="torch",
    dtypes=("float32",),
)
def jvp_of_a_matmul_score(x, v, alpha, sigma, data, weights):
    def density(points):
        squares = points.square().sum(dim=1, keepdim=True) + alpha**2 * data.square().sum(dim=1)
        return (weights.log() - (squares - 2 * alpha * points @ data.T) / (2 * sigma**2)).logsumexp(dim=1).sum()

    return -torch.func.jvp(torch.func.grad(density), (x,), (v,))[1]


@loses_digits(
    "mean-from-the-score",
    "posterior_mean",
    "Tweedie, (x + sigma^2 score) / alpha: at low SNR the two terms share all their digits",
)
def mean_from_the_score(x, alpha, sigma, data, weights):
    answer = np.empty_like(x)
    for b, point in enumerate(x):
        gaps = alpha * data - point
        logits = np.log(weights) - (gaps**2).sum(axis=1) / (2 * sigma**2)
        posterior = np.exp(logits - logits.max())
        score = posterior @ gaps / posterior.sum() / sigma**2
        answer[b] = (point + sigma**2 * score) / alpha
    return answer


@loses_digits(
    "torch-distributions", "score", "autograd of torch.distributions.MixtureSameFamily", backend="torch", dtypes=BOTH
)
def torch_distributions(x, alpha, sigma, means, covariances, weights):
    # The gradient of logsumexp is exp(logits - result). Where logits are -800, far from all components, the weights
    # sum to 1 only up to 800 roundings, and so does the score: off by up to 150 times the attainable.
    diffused = alpha**2 * covariances + sigma**2 * torch.eye(x.shape[1], dtype=x.dtype)
    components = torch.distributions.MultivariateNormal(alpha * means, diffused, validate_args=False)
    choice = torch.distributions.Categorical(weights, validate_args=False)
    mixture = torch.distributions.MixtureSameFamily(choice, components, validate_args=False)
    points = x.clone().requires_grad_()
    return torch.autograd.grad(mixture.log_prob(points).sum(), points)[0]
