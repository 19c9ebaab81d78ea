"""Wrong: g² tr F for g²/2 tr F in the likelihood's integral."""

import numpy as np

from afi_verify import Adapter

double = Adapter("trace-without-one-half")
single = Adapter("trace-without-one-half", dtype="float32")


@double.provides("log_likelihood")
@single.provides("log_likelihood")
def log_likelihood(x, data, weights, schedule, t_start, t_end, num_steps):
    times, d = np.linspace(t_start, t_end, num_steps + 1), x.shape[1]
    total = np.zeros(len(x), dtype=x.dtype)
    for t, step in zip(times[:-1] + np.diff(times) / 2, np.diff(times), strict=True):
        alpha, sigma, f, g2 = (
            float(part(float(t))) for part in (schedule.alpha, schedule.sigma, schedule.f, schedule.g2)
        )
        half = x + float(step) / 2 * velocity(x, alpha, sigma, f, g2, data, weights)
        mean, variance = posterior(half, alpha, sigma, data, weights)
        trace = d / sigma**2 - alpha**2 / sigma**4 * variance
        x = x + float(step) * (f * half + g2 / 2 * (half - alpha * mean) / sigma**2)
        total = total + float(step) * (f * d + g2 * trace)
    variance = float(schedule.sigma(t_end)) ** 2
    return total - (x**2).sum(axis=1) / (2 * variance) - d / 2 * float(np.log(2 * np.pi * variance))


def velocity(x, alpha, sigma, f, g2, data, weights):
    return f * x + g2 / 2 * (x - alpha * posterior(x, alpha, sigma, data, weights)[0]) / sigma**2


def posterior(x, alpha, sigma, data, weights):
    logits = np.log(weights) - ((x[:, None] - alpha * data) ** 2).sum(axis=2) / (2 * sigma**2)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = shares / shares.sum(axis=1, keepdims=True)
    mean = shares @ data
    return mean, (shares * ((data - mean[:, None]) ** 2).sum(axis=2)).sum(axis=1)
