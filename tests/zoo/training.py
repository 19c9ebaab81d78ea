"""Implementations of ``train_trace_head``: wrong ones, each named after its sin, and right ones that look unusual.

They stand beside the registry of ``specimen.py``, as the random estimates do: what judges them is a sequential test of
the head that they return. Most are fitted in closed form, by ridge regression on
random features: milliseconds, and near enough to a wrong optimum (not to the right one).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from afi_verify.implementations.torch_training import train_trace_head

TRAINING_MUTANTS: dict[str, tuple[str, Callable[..., Any]]] = {}
"""Array library and function, by name."""

RIGHT_TRAININGS: dict[str, tuple[str, Callable[..., Any]]] = {}


def mutant(sin: str, backend: str = "numpy") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return _into(TRAINING_MUTANTS, sin, backend)


def right(unusual: str, backend: str = "numpy") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return _into(RIGHT_TRAININGS, unusual, backend)


def _into(registry: Any, what: str, backend: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__doc__ = what
        registry[function.__name__] = (backend, function)
        return function

    return register


def pairs(data, weights, schedule, seed, count=12_000):
    """Clean points, times and noisy points."""
    rng = np.random.default_rng(seed)
    x0 = data[rng.choice(len(data), count, p=weights / weights.sum())].astype(np.float64)
    t = schedule.t_min + (schedule.t_max - schedule.t_min) * np.clip(rng.random(count), 1e-3, 1 - 1e-3)
    x = schedule.alpha(t)[:, None] * x0 + schedule.sigma(t)[:, None] * rng.standard_normal(x0.shape)
    return x0, t, x


class Ridge:
    """Least squares on random features of x, scaled, and the noise level."""

    def __init__(self, schedule, x, t, target, seed=0, count=300):
        rng = np.random.default_rng(seed)
        self.schedule, self.spread = schedule, np.sqrt((x**2).mean())
        self.inner = rng.standard_normal((x.shape[1] + 2, count)) * 3
        features = self.features(x, t)
        gram = features.T @ features + 1e-3 * len(x) / count * np.eye(features.shape[1])
        self.outer = np.linalg.solve(gram, features.T @ target)

    def features(self, x, t):
        alpha, sigma = (
            noise(np.broadcast_to(np.float64(t), len(x))) for noise in (self.schedule.alpha, self.schedule.sigma)
        )
        level = (np.log(alpha + 1e-6) - np.log(sigma + 1e-6)) / 3
        scaled = x / np.sqrt(alpha**2 + sigma**2)[:, None]
        hidden = np.tanh(np.column_stack([scaled, level, np.ones(len(x))]) @ self.inner)
        return np.column_stack([hidden, np.ones(len(x)), (scaled**2).sum(axis=1)])

    def __call__(self, x, t):
        return (self.features(x.astype(np.float64), t) @ self.outer).astype(x.dtype)


def ridge(target):
    """A trainer by least squares on ``target(x0, x, t, schedule, data, weights)``."""

    def train(data, weights, schedule, seed):
        x0, t, x = pairs(data, weights, schedule, seed)
        return Ridge(schedule, x, t, target(x0, x, t, schedule, data, weights), seed)

    return train


def squares(x):
    return (x**2).mean(axis=1)


def posterior_head(data, weights, schedule, noise=None, target=None):
    """The optimum in closed form, for noise levels and targets that may be wrong."""
    targets = squares(data) if target is None else target

    def head(x, t):
        alpha, sigma = (schedule.alpha(t), schedule.sigma(t)) if noise is None else noise(t)
        logits = np.log(weights) - ((x[:, None] - alpha * data) ** 2).sum(-1) / (2 * sigma**2)
        posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (posterior @ targets / posterior.sum(axis=1)).astype(x.dtype)

    return head


@mutant("|x_0|^2, not divided by d.")
def one_over_d_missing(data, weights, schedule, seed):
    return ridge(lambda x0, *_: (x0**2).sum(axis=1))(data, weights, schedule, seed)


@mutant("|x_0|^2 divided by d twice: a mean of a mean.")
def divided_twice(data, weights, schedule, seed):
    return ridge(lambda x0, *_: squares(x0) / x0.shape[1])(data, weights, schedule, seed)


@mutant("|x_t|^2 / d for |x_0|^2 / d.")
def noisy_norm(data, weights, schedule, seed):
    return ridge(lambda x0, x, *_: squares(x))(data, weights, schedule, seed)


@mutant("|alpha x_0|^2 / d: the scaled point kept.")
def scaled_norm(data, weights, schedule, seed):
    return ridge(lambda x0, x, t, s, *_: s.alpha(t) ** 2 * squares(x0))(data, weights, schedule, seed)


@mutant("|x_0| / d: the norm not squared.")
def norm_not_squared(data, weights, schedule, seed):
    return ridge(lambda x0, *_: np.linalg.norm(x0, axis=1) / x0.shape[1])(data, weights, schedule, seed)


@mutant("|E x_0|^2 / d: a y-prediction's norm taken for the head.")
def squared_mean(data, weights, schedule, seed):
    heads = [posterior_head(data, weights, schedule, target=column) for column in data.T]
    return lambda x, t: squares(np.stack([head(x, t) for head in heads], axis=1))


@mutant("The variance: |x_0 - E x_0|^2 / d.")
def posterior_variance(data, weights, schedule, seed):
    mean, whole = squared_mean(data, weights, schedule, seed), posterior_head(data, weights, schedule)
    return lambda x, t: whole(x, t) - mean(x, t)


@mutant("Targets standardised, and the head left in those units.")
def standardised(data, weights, schedule, seed):
    def target(x0, *_):
        return (squares(x0) - squares(x0).mean()) / squares(x0).std()

    return ridge(target)(data, weights, schedule, seed)


@mutant("Targets of shape (N, 1) against predictions of shape (N,): the mean of all targets is learned.")
def broadcast(data, weights, schedule, seed):
    return ridge(lambda x0, *_: np.full(len(x0), squares(x0).mean()))(data, weights, schedule, seed)


@mutant("The time is not seen.")
def time_ignored(data, weights, schedule, seed):
    x0, _, x = pairs(data, weights, schedule, seed)
    middle = (schedule.t_min + schedule.t_max) / 2
    head = Ridge(schedule, x, np.full(len(x), middle), squares(x0), seed)
    return lambda x, t: head(x, middle)


@mutant("Trained on clean points.")
def clean_points(data, weights, schedule, seed):
    x0, t, _ = pairs(data, weights, schedule, seed)
    return Ridge(schedule, x0, t, squares(x0), seed)


@mutant("x_t = x_0 + sigma noise: alpha forgotten.")
def alpha_forgotten(data, weights, schedule, seed):
    return posterior_head(data, weights, schedule, noise=lambda t: (1.0, schedule.sigma(t)))


@mutant("alphas_cumprod used for alpha.")
def alpha_bar_for_alpha(data, weights, schedule, seed):
    return posterior_head(data, weights, schedule, noise=lambda t: (schedule.alpha(t) ** 2, schedule.sigma(t)))


@mutant("sigma squared as the noise's scale.")
def variance_for_sigma(data, weights, schedule, seed):
    return posterior_head(data, weights, schedule, noise=lambda t: (schedule.alpha(t), schedule.sigma(t) ** 2))


@mutant("Time runs backwards: trained with 1 - t.")
def time_reversed(data, weights, schedule, seed):
    def noise(t):
        other = schedule.t_min + schedule.t_max - t
        return schedule.alpha(other), schedule.sigma(other)

    return posterior_head(data, weights, schedule, noise=noise)


@mutant("Trained with the time, asked with sigma.")
def sigma_for_time(data, weights, schedule, seed):
    def noise(t):
        other = min(float(schedule.sigma(t)), 0.999)
        return schedule.alpha(other), schedule.sigma(other)

    return posterior_head(data, weights, schedule, noise=noise)


@mutant("Always the noise of one middling time.")
def one_time(data, weights, schedule, seed):
    middle = (schedule.t_min + schedule.t_max) / 2
    return posterior_head(data, weights, schedule, noise=lambda t: (schedule.alpha(middle), schedule.sigma(middle)))


@mutant("Weights ignored.")
def weights_ignored(data, weights, schedule, seed):
    return posterior_head(data, np.ones(len(data)), schedule)


@mutant("The nearest atom's norm: a maximum for the mean.")
def nearest_atom(data, weights, schedule, seed):
    return posterior_head(data, weights, schedule, noise=lambda t: (schedule.alpha(t), 0.02 * schedule.sigma(t)))


@mutant("A learning rate at which nothing is learned.", "torch")
def untrained(data, weights, schedule, seed):
    return train_trace_head(data, schedule, seed, weights=weights, num_steps=2, learning_rate=1e-6)


@mutant("Dropout still on when the head is asked.", "torch")
def dropout_left_on(data, weights, schedule, seed):
    head = train_trace_head(data, schedule, seed, weights=weights, num_steps=60)
    return lambda x, t: torch.nn.functional.dropout(head(x, t), 0.2)


@mutant("Normalised over the batch that is asked about.", "torch")
def batch_statistics(data, weights, schedule, seed):
    head = train_trace_head(data, schedule, seed, weights=weights, num_steps=60)
    return lambda x, t: head(x - x.mean(dim=0), t)


@mutant("Returns (B, 1).", "torch")
def column(data, weights, schedule, seed):
    head = train_trace_head(data, schedule, seed, weights=weights, num_steps=5)
    return lambda x, t: head(x, t)[:, None]


@mutant("Returns the last loss, not the head.", "torch")
def loss_returned(data, weights, schedule, seed):
    return torch.zeros(())


@right("the optimum in closed form: nothing is trained")
def closed_form(data, weights, schedule):
    return posterior_head(data, weights, schedule)


@right("a forest of random trees, each a step function")
def random_forest(data, weights, schedule, seed):
    from sklearn.ensemble import ExtraTreesRegressor

    x0, t, x = pairs(data, weights, schedule, seed, 40_000)
    model = ExtraTreesRegressor(20, min_samples_leaf=20, random_state=seed % 2**31)
    model.fit(np.column_stack([x, t]), squares(x0))
    return lambda x, t: model.predict(np.column_stack([x, np.full(len(x), t)])).astype(x.dtype)


@right("Nadaraya-Watson: a Gaussian kernel over atoms drawn at random, weights unknown to it")
def kernel_regression(data, weights, schedule, seed):
    chosen = data[np.random.default_rng(seed).choice(len(data), 2000, p=weights / weights.sum())]
    return posterior_head(chosen, np.ones(len(chosen)), schedule)


@right("gradient-boosted trees, piecewise constant")
def boosted_trees(data, weights, schedule, seed):
    from sklearn.ensemble import HistGradientBoostingRegressor

    x0, t, x = pairs(data, weights, schedule, seed, 60_000)
    model = HistGradientBoostingRegressor(max_iter=150, learning_rate=0.1, random_state=seed % 2**31)
    model.fit(np.column_stack([x, t]), squares(x0))
    return lambda x, t: model.predict(np.column_stack([x, np.full(len(x), t)])).astype(x.dtype)


@right("a table of 64 times, interpolated between", "numpy")
def table_of_times(data, weights, schedule):
    exact = posterior_head(data, weights, schedule)
    times = np.linspace(schedule.t_min, schedule.t_max, 66)[1:-1]

    def head(x, t):
        above = int(np.clip(np.searchsorted(times, t), 1, len(times) - 1))
        low, high = times[above - 1], times[above]
        part = (t - low) / (high - low)
        return ((1 - part) * exact(x, low) + part * exact(x, high)).astype(x.dtype)

    return head


@right("unweighted data, a module of one's own that wants a column of times", "torch")
def own_module(data, schedule, seed, num_steps):
    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            width = 96
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(data.shape[1] + 1, width),
                torch.nn.GELU(),
                torch.nn.Linear(width, width),
                torch.nn.GELU(),
                torch.nn.Linear(width, 1),
            )

        def forward(self, x, t):
            times = torch.as_tensor(t, dtype=x.dtype).expand(len(x))[:, None]
            return self.layers(torch.cat([x, times], dim=1)).squeeze(1)

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Plain().to(data)
    return train_trace_head(data, schedule, seed, network=network, num_steps=num_steps)
