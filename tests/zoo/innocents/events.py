"""Images, and a noise level per sample."""

import numpy as np
import torch

from tests.zoo.innocent import innocent

PER_SAMPLE = {"per_sample_noise": True}


@innocent("images-numpy", "score", "points of shape (3, 4, 4), never flattened", event_shape=(3, 4, 4))
def images_numpy(x, alpha, sigma, data, weights):
    residuals = x[:, None] - alpha * data  # (B, N, 3, 4, 4)
    logits = np.log(weights) - np.square(residuals).sum(axis=(2, 3, 4)) / (2 * sigma**2)
    posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    return -(posterior[:, :, None, None, None] * residuals).sum(axis=1) / sigma**2


@innocent(
    "images-with-noise-per-sample",
    "fisher_trace",
    "latents (4, 8, 8) and a noise level for each of them",
    backend="torch",
    event_shape=(4, 8, 8),
    **PER_SAMPLE,
)
def images_with_noise_per_sample(x, alpha, sigma, data, weights):
    points, atoms = x.flatten(1), data.flatten(1)
    distances = (points[:, None] - alpha[:, None, None] * atoms).square().sum(dim=2)
    posterior = (weights.log() - distances / (2 * sigma[:, None] ** 2)).softmax(dim=1)
    centred = atoms - (posterior @ atoms)[:, None]
    variance = (posterior * centred.square().sum(dim=2)).sum(dim=1)
    return (points.shape[1] - (alpha / sigma) ** 2 * variance) / sigma**2


@innocent(
    "vmap-over-samples",
    "posterior_mean",
    "one sample's code under torch.vmap, noise levels included",
    backend="torch",
    **PER_SAMPLE,
)
def vmap_over_samples(x, alpha, sigma, data, weights):
    def one(point, a, s):
        logits = weights.log() - (point - a * data).square().sum(dim=1) / (2 * s**2)
        return logits.softmax(dim=0) @ data

    return torch.vmap(one)(x, alpha, sigma)


@innocent("sorted-by-noise", "fisher_vector_product", "groups the batch by noise level and undoes it", **PER_SAMPLE)
def sorted_by_noise(x, v, alpha, sigma, data, weights):
    answer = np.empty_like(x)
    for level in np.unique(sigma):
        members = np.flatnonzero(sigma == level)
        for b in members:
            logits = np.log(weights) - ((x[b] - alpha[b] * data) ** 2).sum(axis=1) / (2 * level**2)
            posterior = np.exp(logits - logits.max())
            posterior /= posterior.sum()
            centred = data - posterior @ data
            product = (posterior * (centred @ v[b])) @ centred
            answer[b] = (v[b] - (alpha[b] / level) ** 2 * product) / level**2
    return answer


@innocent("noise-from-the-schedule", "score", "ignores alpha and sigma and asks the schedule at t")
def noise_from_the_schedule(x, schedule, t, data, weights):
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    rows = []
    for point in x:
        residuals = point - alpha * data
        logits = np.log(weights) - (residuals**2).sum(axis=1) / (2 * sigma**2)
        posterior = np.exp(logits - logits.max())
        rows.append(-(posterior @ residuals) / posterior.sum() / sigma**2)
    return np.stack(rows)


@innocent(
    "matrix-of-an-image",
    "fisher",
    "the Fisher matrix of images (1, 3, 4)",
    backend="torch",
    event_shape=(1, 3, 4),
    **PER_SAMPLE,
)
def matrix_of_an_image(x, alpha, sigma, data, weights):
    points, atoms = x.flatten(1), data.flatten(1)
    distances = (points[:, None] - alpha[:, None, None] * atoms).square().sum(dim=2)
    posterior = (weights.log() - distances / (2 * sigma[:, None] ** 2)).softmax(dim=1)
    centred = posterior.sqrt()[:, :, None] * (atoms - (posterior @ atoms)[:, None])
    covariance = torch.einsum("bni,bnj->bij", centred, centred)
    identity = torch.eye(points.shape[1], dtype=x.dtype)
    return (identity - (alpha / sigma)[:, None, None] ** 2 * covariance) / sigma[:, None, None] ** 2
