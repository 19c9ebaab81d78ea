"""Probes and quadratic forms: what stochastic traces of the zoo are built of."""

import torch


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
