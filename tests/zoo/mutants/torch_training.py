"""Wrong trainings of trace heads; a sequential test of the head that they return judges them."""

import numpy as np
import torch

from afi_verify.implementations.torch_training import train_trace_head
from tests.zoo.specimen import mutant
from tests.zoo.trainers import Ridge, pairs, posterior_head, ridge, squares

ROLE = "train_trace_head"


@mutant(ROLE, "numpy", "|x_0|^2, not divided by d.")
def one_over_d_missing(data, weights, schedule, seed):
    return ridge(lambda x0, *_: (x0**2).sum(axis=1))(data, weights, schedule, seed)


@mutant(ROLE, "numpy", "|x_0|^2 divided by d twice: a mean of a mean.")
def divided_twice(data, weights, schedule, seed):
    return ridge(lambda x0, *_: squares(x0) / x0.shape[1])(data, weights, schedule, seed)


@mutant(ROLE, "numpy", "|x_t|^2 / d for |x_0|^2 / d.")
def noisy_norm(data, weights, schedule, seed):
    return ridge(lambda x0, x, *_: squares(x))(data, weights, schedule, seed)


@mutant(ROLE, "numpy", "|alpha x_0|^2 / d: the scaled point kept.")
def scaled_norm(data, weights, schedule, seed):
    return ridge(lambda x0, x, t, s, *_: s.alpha(t) ** 2 * squares(x0))(data, weights, schedule, seed)


@mutant(ROLE, "numpy", "|x_0| / d: the norm not squared.")
def norm_not_squared(data, weights, schedule, seed):
    return ridge(lambda x0, *_: np.linalg.norm(x0, axis=1) / x0.shape[1])(data, weights, schedule, seed)


@mutant(ROLE, "numpy", "|E x_0|^2 / d: a y-prediction's norm taken for the head.")
def squared_mean(data, weights, schedule, seed):
    heads = [posterior_head(data, weights, schedule, target=column) for column in data.T]
    return lambda x, t: squares(np.stack([head(x, t) for head in heads], axis=1))


@mutant(ROLE, "numpy", "The variance: |x_0 - E x_0|^2 / d.")
def posterior_variance(data, weights, schedule, seed):
    mean, whole = squared_mean(data, weights, schedule, seed), posterior_head(data, weights, schedule)
    return lambda x, t: whole(x, t) - mean(x, t)


@mutant(ROLE, "numpy", "Targets standardised, and the head left in those units.")
def standardised(data, weights, schedule, seed):
    def target(x0, *_):
        return (squares(x0) - squares(x0).mean()) / squares(x0).std()

    return ridge(target)(data, weights, schedule, seed)


@mutant(ROLE, "numpy", "Targets of shape (N, 1) against predictions of shape (N,): the mean of all targets is learned.")
def broadcast(data, weights, schedule, seed):
    return ridge(lambda x0, *_: np.full(len(x0), squares(x0).mean()))(data, weights, schedule, seed)


@mutant(ROLE, "numpy", "The time is not seen.")
def time_ignored(data, weights, schedule, seed):
    x0, _, x = pairs(data, weights, schedule, seed)
    middle = (schedule.t_min + schedule.t_max) / 2
    head = Ridge(schedule, x, np.full(len(x), middle), squares(x0), seed)
    return lambda x, t: head(x, middle)


@mutant(ROLE, "numpy", "Trained on clean points.")
def clean_points(data, weights, schedule, seed):
    x0, t, _ = pairs(data, weights, schedule, seed)
    return Ridge(schedule, x0, t, squares(x0), seed)


@mutant(ROLE, "numpy", "x_t = x_0 + sigma noise: alpha forgotten.")
def alpha_forgotten(data, weights, schedule, seed):
    return posterior_head(data, weights, schedule, noise=lambda t: (1.0, schedule.sigma(t)))


@mutant(ROLE, "numpy", "alphas_cumprod used for alpha.")
def alpha_bar_for_alpha(data, weights, schedule, seed):
    return posterior_head(data, weights, schedule, noise=lambda t: (schedule.alpha(t) ** 2, schedule.sigma(t)))


@mutant(ROLE, "numpy", "sigma squared as the noise's scale.")
def variance_for_sigma(data, weights, schedule, seed):
    return posterior_head(data, weights, schedule, noise=lambda t: (schedule.alpha(t), schedule.sigma(t) ** 2))


@mutant(ROLE, "numpy", "Time runs backwards: trained with 1 - t.")
def time_reversed(data, weights, schedule, seed):
    def noise(t):
        other = schedule.t_min + schedule.t_max - t
        return schedule.alpha(other), schedule.sigma(other)

    return posterior_head(data, weights, schedule, noise=noise)


@mutant(ROLE, "numpy", "Trained with the time, asked with sigma.")
def sigma_for_time(data, weights, schedule, seed):
    def noise(t):
        other = min(float(schedule.sigma(t)), 0.999)
        return schedule.alpha(other), schedule.sigma(other)

    return posterior_head(data, weights, schedule, noise=noise)


@mutant(ROLE, "numpy", "Always the noise of one middling time.")
def one_time(data, weights, schedule, seed):
    middle = (schedule.t_min + schedule.t_max) / 2
    return posterior_head(data, weights, schedule, noise=lambda t: (schedule.alpha(middle), schedule.sigma(middle)))


@mutant(ROLE, "numpy", "Weights ignored.")
def weights_ignored(data, weights, schedule, seed):
    return posterior_head(data, np.ones(len(data)), schedule)


@mutant(ROLE, "numpy", "The nearest atom's norm: a maximum for the mean.")
def nearest_atom(data, weights, schedule, seed):
    return posterior_head(data, weights, schedule, noise=lambda t: (schedule.alpha(t), 0.02 * schedule.sigma(t)))


@mutant(ROLE, "torch", "A learning rate at which nothing is learned.")
def untrained(data, weights, schedule, seed):
    return train_trace_head(data, schedule, seed, weights=weights, num_steps=2, learning_rate=1e-6)


@mutant(ROLE, "torch", "Dropout still on when the head is asked.")
def dropout_left_on(data, weights, schedule, seed):
    head = train_trace_head(data, schedule, seed, weights=weights, num_steps=60)
    return lambda x, t: torch.nn.functional.dropout(head(x, t), 0.2)


@mutant(ROLE, "torch", "Normalised over the batch that is asked about.")
def batch_statistics(data, weights, schedule, seed):
    head = train_trace_head(data, schedule, seed, weights=weights, num_steps=60)
    return lambda x, t: head(x - x.mean(dim=0), t)


@mutant(ROLE, "torch", "Returns (B, 1).")
def column(data, weights, schedule, seed):
    head = train_trace_head(data, schedule, seed, weights=weights, num_steps=5)
    return lambda x, t: head(x, t)[:, None]


@mutant(ROLE, "torch", "Returns the last loss, not the head.")
def loss_returned(data, weights, schedule, seed):
    return torch.zeros(())
