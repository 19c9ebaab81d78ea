"""Other variables: scaled points, log-SNR, alpha squared alone, an epsilon instead of data."""

import math

import numpy as np
import torch

from tests.zoo.innocent import innocent


@innocent("divided-by-alpha", "score", "works with x/alpha and the noise ratio sigma/alpha")
def divided_by_alpha(x, alpha, sigma, data, weights):
    ratio = sigma / alpha
    answer = np.empty_like(x)
    for b, point in enumerate(x / alpha):
        gaps = (data - point) / ratio
        logits = np.log(weights) - (gaps**2).sum(axis=1) / 2
        posterior = np.exp(logits - logits.max())
        answer[b] = posterior @ gaps / posterior.sum() / sigma
    return answer


@innocent("log-snr", "fisher_trace", "knows the noise only as a log-SNR and sigma")
def log_snr(x, alpha, sigma, data, weights):
    snr = math.exp(2 * math.log(alpha) - 2 * math.log(sigma))
    answer = np.empty(len(x), x.dtype)
    for b, point in enumerate(x):
        logits = np.log(weights) - snr / 2 * ((point / alpha - data) ** 2).sum(axis=1)
        posterior = np.exp(logits - logits.max())
        posterior /= posterior.sum()
        answer[b] = (x.shape[1] - snr * (posterior @ ((data - posterior @ data) ** 2).sum(axis=1))) / sigma**2
    return answer


@innocent("alpha-bar-only", "fisher_trace", "is given alphas_cumprod[t] and nothing else", backend="torch")
def alpha_bar_only(x, alpha_bar, data, weights):
    noise = 1 - alpha_bar
    distances = (x[:, None] - alpha_bar.sqrt() * data).square().sum(dim=2)
    posterior = (weights.log() - distances / (2 * noise)).softmax(dim=1)
    variance = torch.stack([p @ (data - p @ data).square().sum(dim=1) for p in posterior])
    return (x.shape[1] - alpha_bar / noise * variance) / noise


@innocent("score-of-a-ddpm", "score", "minus epsilon over sqrt(1 - alphas_cumprod[t])", backend="torch")
def score_of_a_ddpm(eps, alpha_bar):
    return -eps / (1 - alpha_bar).sqrt()


@innocent(
    "mean-from-epsilon",
    "posterior_mean",
    "never sees the data: (x - sigma eps) / alpha, fused by torch.addcmul",
    backend="torch",
)
def mean_from_epsilon(x, eps, alpha, sigma):
    return torch.add(x, eps, alpha=-sigma).div_(alpha)


@innocent("rotated", "fisher_trace", "turns data and points by a random orthogonal matrix first, up to d = 256")
def rotated(x, alpha, sigma, data, weights):
    d = x.shape[1]
    if d <= 256:
        turn = np.linalg.qr(np.random.default_rng(d).standard_normal((d, d)))[0].astype(x.dtype)
        origin = data[0]
        x, data = (x - alpha * origin) @ turn, (data - origin) @ turn
    answer = np.empty(len(x), x.dtype)
    for b, point in enumerate(x):
        logits = np.log(weights) - ((point - alpha * data) ** 2).sum(axis=1) / (2 * sigma**2)
        posterior = np.exp(logits - logits.max())
        posterior /= posterior.sum()
        variance = posterior @ ((data - posterior @ data) ** 2).sum(axis=1)
        answer[b] = (d - (alpha / sigma) ** 2 * variance) / sigma**2
    return answer


@innocent(
    "middles-of-pairs", "posterior_mean", "no distances: <y - y*, x - alpha (y + y*) / 2> from the nearest atom y*"
)
def middles_of_pairs(x, alpha, sigma, data, weights):
    answer = np.empty_like(x)
    for b, point in enumerate(x):
        nearest = data[((point - alpha * data) ** 2).sum(axis=1).argmin()]
        offsets = data - nearest
        exponents = (offsets * ((point - alpha * nearest) - alpha / 2 * offsets)).sum(axis=1)
        logits = np.log(weights) + alpha / sigma**2 * exponents
        posterior = np.exp(logits - logits.max())
        answer[b] = posterior @ data / posterior.sum()
    return answer
