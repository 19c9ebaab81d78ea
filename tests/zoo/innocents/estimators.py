"""Stochastic traces by other probes than usual."""

import math

import numpy as np
import torch

from tests.zoo.innocent import innocent
from tests.zoo.probing import generator, normal, quadratic_forms, signs

ROLE = "fisher_trace_stochastic"


@innocent("stochastic trace: probes uniform on a sphere", ROLE, "probes uniform on a sphere", backend="torch")
def on_a_sphere(x, sigma, t, eps_fn, num_probes, seed):
    z = normal((num_probes, *x.shape), generator(seed))
    probes = math.sqrt(x.shape[1]) * torch.nn.functional.normalize(z, dim=2)
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


@innocent(
    "stochastic trace: uniform probes, the answer scaled by 3",
    ROLE,
    "uniform probes, the answer scaled by 3",
    backend="torch",
)
def uniform_scaled(x, sigma, t, eps_fn, num_probes, seed):
    u = torch.rand((num_probes, *x.shape), generator=generator(seed), dtype=torch.float64)
    return 3 * quadratic_forms(eps_fn, x, t, 2 * u - 1).mean(dim=0) / sigma


@innocent(
    "stochastic trace: probes most of whose entries are 0", ROLE, "probes most of whose entries are 0", backend="torch"
)
def sparse(x, sigma, t, eps_fn, num_probes, seed):
    """Entries 0 with probability 2/3, else +-sqrt 3: heavier tails."""
    shape, source = (num_probes, *x.shape), generator(seed)
    kept = torch.rand(shape, generator=source) < 1 / 3
    return quadratic_forms(eps_fn, x, t, math.sqrt(3) * signs(shape, source) * kept).mean(dim=0) / sigma


@innocent(
    "stochastic trace: the same probes for all points of a batch",
    ROLE,
    "the same probes for all points of a batch",
    backend="torch",
)
def probes_shared_by_the_batch(x, sigma, t, eps_fn, num_probes, seed):
    probes = signs((num_probes, 1, x.shape[1]), generator(seed)).expand(-1, *x.shape)
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


@innocent(
    "stochastic trace: no estimate at all: the whole basis",
    ROLE,
    "no estimate at all: the whole basis",
    backend="torch",
)
def exact(x, sigma, t, eps_fn):
    basis = torch.eye(x.shape[1], dtype=x.dtype)[:, None].expand(-1, *x.shape)
    return quadratic_forms(eps_fn, x, t, basis).sum(dim=0) / sigma


@innocent("stochastic trace: NumPy, from the atoms", ROLE, "NumPy, from the atoms", backend="numpy")
def analytical(x, alpha, sigma, data, num_probes, seed):
    """NumPy, from the atoms: no eps_fn."""
    distances = ((x[:, None] - alpha * data) ** 2).sum(-1)
    weights = np.exp(-(distances - distances.min(axis=1, keepdims=True)) / (2 * sigma**2))
    weights /= weights.sum(axis=1, keepdims=True)
    centred = data - (weights @ data)[:, None]
    z = np.random.default_rng(seed).choice(np.array([-1, 1], dtype=x.dtype), (num_probes, *x.shape))
    along = np.einsum("mbd,bnd->mbn", z, centred)
    estimates = (z**2).sum(-1) / sigma**2 - (alpha / sigma**2) ** 2 * (weights * along**2).sum(-1)
    return estimates.mean(axis=0).astype(x.dtype)
