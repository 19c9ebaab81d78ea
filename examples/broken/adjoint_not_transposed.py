"""Wrong: J λ for Jᵀλ. The Jacobian of each step is symmetric, their product is not."""

import numpy as np

from afi_verify import Adapter

double = Adapter("adjoint-not-transposed")
single = Adapter("adjoint-not-transposed", dtype="float32")


@double.provides("adjoint")
@single.provides("adjoint")
def adjoint(x, loss_grad, data, weights, schedule, t_start, t_end, num_steps):
    h, eye = (t_end - t_start) / num_steps, np.eye(x.shape[1], dtype=x.dtype)
    jacobian = np.broadcast_to(eye, (len(x), *eye.shape))
    for k in range(num_steps):
        t = t_start + (k + 0.5) * h
        middle = x + h / 2 * velocity(x, t, data, weights, schedule)[0]
        moving, H = velocity(middle, t, data, weights, schedule)
        x, jacobian = x + h * moving, jacobian + h * H @ (jacobian + h / 2 * H @ jacobian)
    return np.einsum("bij,bj->bi", jacobian, loss_grad)


def velocity(x, t, data, weights, schedule):
    """The velocity of the flow, and its derivative by x."""
    alpha, sigma, f, g2 = schedule.alpha(t), schedule.sigma(t), schedule.f(t), schedule.g2(t)
    logits = np.log(weights) - ((x[:, None] - alpha * data) ** 2).sum(axis=2) / (2 * sigma**2)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = shares / shares.sum(axis=1, keepdims=True)
    mean = shares @ data
    away = data - mean[:, None]
    covariance = (shares[:, :, None] * away).swapaxes(1, 2) @ away
    H = (f + g2 / (2 * sigma**2)) * np.eye(x.shape[1], dtype=x.dtype) - alpha**2 * g2 / (2 * sigma**4) * covariance
    return f * x + g2 / 2 * (x - alpha * mean) / sigma**2, H
