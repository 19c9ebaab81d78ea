"""Wrong: the drift of the reverse SDE, f x - g² s, for that of the probability-flow ODE, f x - g²/2 s."""

import numpy as np

from afi_verify import Adapter

double = Adapter("reverse-drift-for-flow")
single = Adapter("reverse-drift-for-flow", dtype="float32")


@double.provides("transport_map")
@single.provides("transport_map")
def transport_map(x, data, weights, schedule, t_start, t_end, num_steps):
    h = (t_end - t_start) / num_steps
    for k in range(num_steps):
        t = t_start + (k + 0.5) * h
        x = x + h * drift(x + h / 2 * drift(x, t, data, weights, schedule), t, data, weights, schedule)
    return x


def drift(x, t, data, weights, schedule):
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    logits = np.log(weights) - ((x[:, None] - alpha * data) ** 2).sum(axis=2) / (2 * sigma**2)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    mean = shares @ data / shares.sum(axis=1, keepdims=True)
    return schedule.f(t) * x - schedule.g2(t) * (alpha * mean - x) / sigma**2
