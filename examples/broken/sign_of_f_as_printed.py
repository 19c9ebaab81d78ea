"""Wrong: B of eq. 22 and 51 as printed, with the sign of f wrong."""

import numpy as np

from afi_verify import Adapter

double = Adapter("sign-of-f-as-printed")
single = Adapter("sign-of-f-as-printed", dtype="float32")


@double.provides("transport_jacobian")
@single.provides("transport_jacobian")
def transport_jacobian(x, data, weights, schedule, t_start, t_end, num_steps):
    h, eye = (t_end - t_start) / num_steps, np.eye(x.shape[1], dtype=x.dtype)
    jacobian = np.broadcast_to(eye, (len(x), *eye.shape))
    for k in range(num_steps):
        t = t_start + (k + 0.5) * h
        middle = x + h / 2 * velocity(x, t, data, weights, schedule)[0]
        moving, covariance = velocity(middle, t, data, weights, schedule)
        alpha, sigma, f, g2 = schedule.alpha(t), schedule.sigma(t), schedule.f(t), schedule.g2(t)
        B = (f - g2 / (2 * sigma**2)) * eye + alpha**2 * g2 / (2 * sigma**4) * covariance
        x, jacobian = x + h * moving, jacobian - h * B @ (jacobian - h / 2 * B @ jacobian)
    return jacobian


def velocity(x, t, data, weights, schedule):
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    logits = np.log(weights) - ((x[:, None] - alpha * data) ** 2).sum(axis=2) / (2 * sigma**2)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = shares / shares.sum(axis=1, keepdims=True)
    mean = shares @ data
    away = data - mean[:, None]
    covariance = (shares[:, :, None] * away).swapaxes(1, 2) @ away
    return schedule.f(t) * x + schedule.g2(t) / 2 * (x - alpha * mean) / sigma**2, covariance
