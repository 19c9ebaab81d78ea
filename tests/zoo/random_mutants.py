"""Wrong stochastic estimates of the trace: wrong probes, wrong means, wrong seeds.

They stand beside the registry of ``specimen.py``: what judges them is a sequential test, not one answer's error.
"""

import math
from collections.abc import Callable
from typing import Any

import torch

RANDOM_MUTANTS: dict[str, Callable[..., Any]] = {}


def mutant(sin: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function under its name; ``sin`` says what is wrong with it."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__doc__ = sin
        RANDOM_MUTANTS[function.__name__] = function
        return function

    return register


def generator(seed):
    return torch.Generator().manual_seed(seed)


def normal(shape, source):
    return torch.randn(shape, generator=source, dtype=torch.float64)


def signs(shape, source):
    return 2.0 * torch.randint(0, 2, shape, generator=source) - 1


def products(eps_fn, x, t, probes):
    """``J^T z`` for probes z, (m, B, d)."""
    pullback = torch.func.vjp(lambda point: eps_fn(point, t), x)[1]
    return torch.vmap(lambda z: pullback(z)[0])(probes.to(x))


def quadratic_forms(eps_fn, x, t, probes):
    """``<z, J^T z>``, (m, B)."""
    return (probes.to(x) * products(eps_fn, x, t, probes)).sum(dim=2)


@mutant("Probes in {0, sqrt 2}: of unit mean square, but correlated by their mean.")
def probes_zero_or_root_two(x, sigma, t, eps_fn, num_probes, seed):
    probes = math.sqrt(2) * torch.randint(0, 2, (num_probes, *x.shape), generator=generator(seed)).double()
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


@mutant("The sum over probes for their mean.")
def sum_over_probes(x, sigma, t, eps_fn, num_probes, seed):
    probes = signs((num_probes, *x.shape), generator(seed))
    return quadratic_forms(eps_fn, x, t, probes).sum(dim=0) / sigma


@mutant("Probes uniform on [-1, 1], whose mean square is 1/3.")
def uniform_probes(x, sigma, t, eps_fn, num_probes, seed):
    probes = 2 * torch.rand((num_probes, *x.shape), generator=generator(seed), dtype=torch.float64) - 1
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


@mutant("The same probes for every seed.")
def fixed_probes(x, sigma, t, eps_fn, num_probes, seed):
    return quadratic_forms(eps_fn, x, t, signs((num_probes, *x.shape), generator(0))).mean(dim=0) / sigma


@mutant("Probes from the global generator: the seed decides nothing.")
def seed_ignored(x, sigma, t, eps_fn, num_probes, seed):
    return quadratic_forms(eps_fn, x, t, torch.randn((num_probes, *x.shape))).mean(dim=0) / sigma


@mutant("One probe, however many are asked for.")
def one_probe(x, sigma, t, eps_fn, num_probes, seed):
    return quadratic_forms(eps_fn, x, t, normal((1, *x.shape), generator(seed)))[0] / sigma


@mutant("Too large by 1 %.")
def one_percent_too_large(x, sigma, t, eps_fn, num_probes, seed):
    return 1.01 * quadratic_forms(eps_fn, x, t, signs((num_probes, *x.shape), generator(seed))).mean(dim=0) / sigma


@mutant("Not divided by sigma.")
def sigma_forgotten(x, t, eps_fn, num_probes, seed):
    return quadratic_forms(eps_fn, x, t, signs((num_probes, *x.shape), generator(seed))).mean(dim=0)


@mutant("One probe vector for the batch, and the product summed over it, too.")
def probe_shared_and_summed_over_the_batch(x, sigma, t, eps_fn, num_probes, seed):
    probes = signs((num_probes, 1, x.shape[1]), generator(seed)).expand(-1, *x.shape)
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0).sum() / sigma * torch.ones_like(x[:, 0])


@mutant("Probes of unit length, whose mean square is 1/d.")
def unit_vectors(x, sigma, t, eps_fn, num_probes, seed):
    probes = torch.nn.functional.normalize(normal((num_probes, *x.shape), generator(seed)), dim=2)
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


@mutant("Half of the entries of each probe are zero, and the rest not scaled up.")
def dropped_out_probes(x, sigma, t, eps_fn, num_probes, seed):
    source = generator(seed)
    probes = signs((num_probes, *x.shape), source) * torch.randint(0, 2, (num_probes, *x.shape), generator=source)
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


def hutch_plus_plus(x, sigma, t, eps_fn, num_probes, seed, *, deflated, rest_counts):
    source, kept = generator(seed), num_probes // 3
    sketch = products(eps_fn, x, t, signs((kept, *x.shape), source)).permute(1, 2, 0)
    basis = torch.linalg.qr(sketch)[0]
    inside = quadratic_forms(eps_fn, x, t, basis.permute(2, 0, 1)).sum(dim=0)
    rest = num_probes - 2 * kept
    probes = signs((rest, *x.shape), source).to(x)
    if deflated:
        probes = probes - torch.einsum("bdk,bek,mbe->mbd", basis, basis, probes)
    outside = quadratic_forms(eps_fn, x, t, probes).sum(dim=0) / (rest if rest_counts else num_probes)
    return (inside + outside) / sigma


@mutant("Hutch++ whose probes keep the subspace: it counts twice.")
def hutch_plus_plus_not_deflated(x, sigma, t, eps_fn, num_probes, seed):
    return hutch_plus_plus(x, sigma, t, eps_fn, num_probes, seed, deflated=False, rest_counts=True)


@mutant("Hutch++ that divides the rest by the number of all products.")
def hutch_plus_plus_divided_by_all(x, sigma, t, eps_fn, num_probes, seed):
    return hutch_plus_plus(x, sigma, t, eps_fn, num_probes, seed, deflated=True, rest_counts=False)
