"""The flow in NumPy, as somebody would write it: what the zoo's transport maps are built of."""

import numpy as np


def posterior(x, alpha, sigma, data, weights):
    """Weights (B, N), mean (B, d) and covariance (B, d, d) of the atoms given x (B, d)."""
    logits = np.log(weights) - ((x[:, None] - alpha * data) ** 2).sum(axis=2) / (2 * sigma**2)
    w = np.exp(logits - logits.max(axis=1, keepdims=True))
    w = w / w.sum(axis=1, keepdims=True)
    mean = w @ data
    residuals = data - mean[:, None]
    return w, mean, np.einsum("bn,bni,bnj->bij", w, residuals, residuals).astype(x.dtype)


def levels(schedule, t):
    return (float(part(t)) for part in (schedule.alpha, schedule.sigma, schedule.f, schedule.g2))


def velocity(x, t, data, weights, schedule):
    alpha, sigma, f, g2 = levels(schedule, t)
    score = (alpha * posterior(x, alpha, sigma, data, weights)[1] - x) / sigma**2
    return f * x - g2 / 2 * score


def velocity_jacobian(x, t, data, weights, schedule):
    """``-B``, (B, d, d)."""
    alpha, sigma, f, g2 = levels(schedule, t)
    covariance = posterior(x, alpha, sigma, data, weights)[2]
    eye = np.eye(x.shape[1], dtype=x.dtype)
    return (f + g2 / (2 * sigma**2)) * eye - alpha**2 * g2 / (2 * sigma**4) * covariance


def heun(state, t_start, t_end, num_steps, slope):
    """Follow ``slope(t, state)`` for a tuple of arrays."""
    h = (t_end - t_start) / num_steps
    for k in range(num_steps):
        t = t_start + k * h
        first = slope(t, state)
        guess = tuple(s + h * d for s, d in zip(state, first, strict=True))
        second = slope(t_start + (k + 1) * h, guess)
        state = tuple(s + h / 2 * (a + b) for s, a, b in zip(state, first, second, strict=True))
    return state


def follow(x, data, weights, schedule, t_start, t_end, num_steps, velocity=velocity):
    """The map."""

    def slope(t, state):
        return (velocity(state[0], t, data, weights, schedule).astype(x.dtype),)

    return heun((x,), t_start, t_end, num_steps, slope)[0]


def fundamental(x, data, weights, schedule, t_start, t_end, num_steps, generator=velocity_jacobian, right=False):
    """``M' = H M`` (``M' = M H`` for ``right``), M = I at the start, H along the trajectory."""
    eye = np.broadcast_to(np.eye(x.shape[1], dtype=x.dtype), (len(x), x.shape[1], x.shape[1]))

    def slope(t, state):
        point, matrix = state
        H = generator(point, t, data, weights, schedule)
        change = matrix @ H if right else H @ matrix
        return velocity(point, t, data, weights, schedule).astype(x.dtype), change.astype(x.dtype)

    return heun((x, eye), t_start, t_end, num_steps, slope)[1]


def symmetric(jacobian, tolerance=1e-3):
    """Whether ``|J - J^T|`` is below the tolerance times ``|J|``, (B,)."""
    size = np.linalg.norm(jacobian, axis=(1, 2))
    return np.linalg.norm(jacobian - jacobian.swapaxes(1, 2), axis=(1, 2)) <= tolerance * size


def definite(jacobian):
    """Whether the symmetric part is positive semi-definite, (B,)."""
    return np.linalg.eigvalsh((jacobian + jacobian.swapaxes(1, 2)) / 2)[:, 0] >= 0
