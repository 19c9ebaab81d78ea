"""Right trainings of trace heads by other means than usual."""

import numpy as np
import torch

from afi_verify.implementations.torch_training import train_trace_head
from tests.zoo.innocent import innocent
from tests.zoo.trainers import pairs, posterior_head, squares

ROLE = "train_trace_head"


@innocent("training: closed form", ROLE, "the optimum in closed form: nothing is trained", backend="numpy")
def closed_form(data, weights, schedule):
    return posterior_head(data, weights, schedule)


@innocent("training: random forest", ROLE, "a forest of random trees, each a step function", backend="numpy")
def random_forest(data, weights, schedule, seed):
    from sklearn.ensemble import ExtraTreesRegressor

    x0, t, x = pairs(data, weights, schedule, seed, 40_000)
    model = ExtraTreesRegressor(20, min_samples_leaf=20, random_state=seed % 2**31)
    model.fit(np.column_stack([x, t]), squares(x0))
    return lambda x, t: model.predict(np.column_stack([x, np.full(len(x), t)])).astype(x.dtype)


@innocent(
    "training: kernel regression",
    ROLE,
    "Nadaraya-Watson: a Gaussian kernel over atoms drawn at random, weights unknown to it",
    backend="numpy",
)
def kernel_regression(data, weights, schedule, seed):
    chosen = data[np.random.default_rng(seed).choice(len(data), 2000, p=weights / weights.sum())]
    return posterior_head(chosen, np.ones(len(chosen)), schedule)


@innocent("training: boosted trees", ROLE, "gradient-boosted trees, piecewise constant", backend="numpy")
def boosted_trees(data, weights, schedule, seed):
    from sklearn.ensemble import HistGradientBoostingRegressor

    x0, t, x = pairs(data, weights, schedule, seed, 60_000)
    model = HistGradientBoostingRegressor(max_iter=150, learning_rate=0.1, random_state=seed % 2**31)
    model.fit(np.column_stack([x, t]), squares(x0))
    return lambda x, t: model.predict(np.column_stack([x, np.full(len(x), t)])).astype(x.dtype)


@innocent("training: table of times", ROLE, "a table of 64 times, interpolated between", backend="numpy")
def table_of_times(data, weights, schedule):
    exact = posterior_head(data, weights, schedule)
    times = np.linspace(schedule.t_min, schedule.t_max, 66)[1:-1]

    def head(x, t):
        above = int(np.clip(np.searchsorted(times, t), 1, len(times) - 1))
        low, high = times[above - 1], times[above]
        part = (t - low) / (high - low)
        return ((1 - part) * exact(x, low) + part * exact(x, high)).astype(x.dtype)

    return head


@innocent(
    "training: own module", ROLE, "unweighted data, a module of one's own that wants a column of times", backend="torch"
)
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
