"""The right formula, with distances as |x|^2 - 2<x, y> + |y|^2: fast, and inaccurate on data far from zero."""

import numpy as np

from afi_verify import Adapter

single = Adapter("expanded-distances", dtype="float32")
double = Adapter("expanded-distances", dtype="float64")


@single.provides("posterior_mean")
@double.provides("posterior_mean")
def posterior_mean(x, alpha, sigma, data):
    squares = (x**2).sum(axis=1)[:, None] + alpha**2 * (data**2).sum(axis=1)
    distances = squares - 2 * alpha * (x @ data.T)
    weights = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * sigma**2))
    return weights / weights.sum(axis=1, keepdims=True) @ data
