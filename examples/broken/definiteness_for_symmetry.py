"""Wrong: Theorem 1 as printed, which asks whether the Jacobian is definite and not whether it is symmetric."""

import numpy as np

from afi_verify import Adapter

double = Adapter("definiteness-for-symmetry")
single = Adapter("definiteness-for-symmetry", dtype="float32")


@double.provides("transport_is_optimal")
@single.provides("transport_is_optimal")
def transport_is_optimal(x, data, weights, schedule, t_start, t_end):
    steps, x = 64, x.astype(np.float64)
    h, eye = (t_end - t_start) / steps, np.eye(x.shape[1])
    jacobian = np.broadcast_to(eye, (len(x), *eye.shape))
    for k in range(steps):
        t = t_start + (k + 0.5) * h
        middle = x + h / 2 * velocity(x, t, data, weights, schedule)[0]
        moving, H = velocity(middle, t, data, weights, schedule)
        x, jacobian = x + h * moving, jacobian + h * H @ (jacobian + h / 2 * H @ jacobian)
    symmetric = True
    return symmetric & (np.linalg.eigvalsh((jacobian + jacobian.swapaxes(1, 2)) / 2)[:, 0] >= 0)


def velocity(x, t, data, weights, schedule):
    alpha, sigma, f, g2 = schedule.alpha(t), schedule.sigma(t), schedule.f(t), schedule.g2(t)
    logits = np.log(weights) - ((x[:, None] - alpha * data) ** 2).sum(axis=2) / (2 * sigma**2)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = shares / shares.sum(axis=1, keepdims=True)
    mean = shares @ data
    away = data - mean[:, None]
    covariance = (shares[:, :, None] * away).swapaxes(1, 2) @ away
    H = (f + g2 / (2 * sigma**2)) * np.eye(x.shape[1]) - alpha**2 * g2 / (2 * sigma**4) * covariance
    return f * x + g2 / 2 * (x - alpha * mean) / sigma**2, H
