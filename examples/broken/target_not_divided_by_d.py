"""Wrong: the head is fitted to ‖x₀‖², not to ‖x₀‖²/d."""

import numpy as np

from afi_verify import Adapter

double = Adapter("target-not-divided-by-d")
single = Adapter("target-not-divided-by-d", dtype="float32")


@double.provides("train_trace_head")
@single.provides("train_trace_head")
def train_trace_head(data, weights, schedule, seed):
    """Least squares on radial features of noised atoms, at 16 noise levels."""
    rng = np.random.default_rng(seed)
    times = schedule.t_min + (schedule.t_max - schedule.t_min) * (np.arange(16) + 0.5) / 16
    heads = [fit(data.astype(float), weights, schedule, float(t), rng) for t in times]

    def head(x, t):
        place = np.clip((t - times[0]) / (times[1] - times[0]), 0, 14.999)
        low, share = int(place), place - int(place)
        return ((1 - share) * heads[low](x) + share * heads[low + 1](x)).astype(x.dtype)

    return head


def fit(data, weights, schedule, t, rng):
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    x0 = data[rng.choice(len(data), 1500, p=weights / weights.sum())]
    x = alpha * x0 + sigma * rng.standard_normal(x0.shape)
    centres, width = x[:80], max(float(sigma), 0.3 * float(x.std()))

    def features(points):
        distances = ((points[:, None] - centres) ** 2).sum(axis=2)
        return np.column_stack([np.exp(-distances / (2 * width**2)), np.ones(len(points))])

    design, target = features(x), (x0**2).sum(axis=1)
    gram = design.T @ design + 1.0 * np.eye(design.shape[1])
    outer = np.linalg.solve(gram, design.T @ target)
    return lambda points: features(points.astype(float)) @ outer
