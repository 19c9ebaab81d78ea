"""Stochastic traces with wrong probes, wrong means or wrong seeds; a sequential test judges them."""

import math

import torch

from tests.zoo.probing import generator, hutch_plus_plus, normal, quadratic_forms, signs
from tests.zoo.specimen import mutant

ROLE = "fisher_trace_stochastic"


@mutant(ROLE, "torch", "Probes in {0, sqrt 2}: of unit mean square, but correlated by their mean.")
def probes_zero_or_root_two(x, sigma, t, eps_fn, num_probes, seed):
    probes = math.sqrt(2) * torch.randint(0, 2, (num_probes, *x.shape), generator=generator(seed)).double()
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


@mutant(ROLE, "torch", "The sum over probes for their mean.")
def sum_over_probes(x, sigma, t, eps_fn, num_probes, seed):
    probes = signs((num_probes, *x.shape), generator(seed))
    return quadratic_forms(eps_fn, x, t, probes).sum(dim=0) / sigma


@mutant(ROLE, "torch", "Probes uniform on [-1, 1], whose mean square is 1/3.")
def uniform_probes(x, sigma, t, eps_fn, num_probes, seed):
    probes = 2 * torch.rand((num_probes, *x.shape), generator=generator(seed), dtype=torch.float64) - 1
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


@mutant(ROLE, "torch", "The same probes for every seed.")
def fixed_probes(x, sigma, t, eps_fn, num_probes, seed):
    return quadratic_forms(eps_fn, x, t, signs((num_probes, *x.shape), generator(0))).mean(dim=0) / sigma


@mutant(ROLE, "torch", "Probes from the global generator: the seed decides nothing.")
def seed_ignored(x, sigma, t, eps_fn, num_probes, seed):
    return quadratic_forms(eps_fn, x, t, torch.randn((num_probes, *x.shape))).mean(dim=0) / sigma


@mutant(ROLE, "torch", "One probe, however many are asked for.")
def one_probe(x, sigma, t, eps_fn, num_probes, seed):
    return quadratic_forms(eps_fn, x, t, normal((1, *x.shape), generator(seed)))[0] / sigma


@mutant(ROLE, "torch", "Too large by 1 %.")
def one_percent_too_large(x, sigma, t, eps_fn, num_probes, seed):
    return 1.01 * quadratic_forms(eps_fn, x, t, signs((num_probes, *x.shape), generator(seed))).mean(dim=0) / sigma


@mutant(ROLE, "torch", "Not divided by sigma.")
def sigma_forgotten(x, t, eps_fn, num_probes, seed):
    return quadratic_forms(eps_fn, x, t, signs((num_probes, *x.shape), generator(seed))).mean(dim=0)


@mutant(ROLE, "torch", "One probe vector for the batch, and the product summed over it, too.")
def probe_shared_and_summed_over_the_batch(x, sigma, t, eps_fn, num_probes, seed):
    probes = signs((num_probes, 1, x.shape[1]), generator(seed)).expand(-1, *x.shape)
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0).sum() / sigma * torch.ones_like(x[:, 0])


@mutant(ROLE, "torch", "Probes of unit length, whose mean square is 1/d.")
def unit_vectors(x, sigma, t, eps_fn, num_probes, seed):
    probes = torch.nn.functional.normalize(normal((num_probes, *x.shape), generator(seed)), dim=2)
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


@mutant(ROLE, "torch", "Half of the entries of each probe are zero, and the rest not scaled up.")
def dropped_out_probes(x, sigma, t, eps_fn, num_probes, seed):
    source = generator(seed)
    probes = signs((num_probes, *x.shape), source) * torch.randint(0, 2, (num_probes, *x.shape), generator=source)
    return quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


@mutant(ROLE, "torch", "Hutch++ whose probes keep the subspace: it counts twice.")
def hutch_plus_plus_not_deflated(x, sigma, t, eps_fn, num_probes, seed):
    return hutch_plus_plus(x, sigma, t, eps_fn, num_probes, seed, deflated=False, rest_counts=True)


@mutant(ROLE, "torch", "Hutch++ that divides the rest by the number of all products.")
def hutch_plus_plus_divided_by_all(x, sigma, t, eps_fn, num_probes, seed):
    return hutch_plus_plus(x, sigma, t, eps_fn, num_probes, seed, deflated=True, rest_counts=False)
