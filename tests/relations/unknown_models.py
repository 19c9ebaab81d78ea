"""Functions whose data nobody knows: exact models of data of their own, and networks. All of them are right."""

import dataclasses

import numpy as np

from afi_verify import Adapter

ATOMS = np.array([[0.5, -1.0], [-1.25, 0.25], [1.0, 1.5], [0.0, 0.75], [-0.5, -0.75]])
PRIOR = np.array([0.1, 0.3, 0.2, 0.25, 0.15])


@dataclasses.dataclass(frozen=True)
class ExactModel:
    """A mixture of Diracs; ``width`` is a factor by which it has the noise wrong, ``spread`` one of the covariance."""

    atoms: np.ndarray = dataclasses.field(default_factory=lambda: ATOMS)
    prior: np.ndarray = dataclasses.field(default_factory=lambda: PRIOR)
    width: float = 1.0
    spread: float = 1.0

    def posterior(self, x, alpha, sigma):
        atoms, sigma = self.atoms.astype(x.dtype), self.width * sigma
        distances = ((x[:, None] - alpha * atoms) ** 2).sum(axis=2)
        logits = np.log(self.prior).astype(x.dtype) - distances / (2 * sigma**2)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        mean = weights @ atoms
        return weights, mean, atoms - mean[:, None], sigma

    def posterior_mean(self, x, alpha, sigma):
        return self.posterior(x, alpha, sigma)[1]

    def score(self, x, alpha, sigma):
        _, mean, _, sigma = self.posterior(x, alpha, sigma)
        return -(x - alpha * mean) / sigma**2

    def fisher_vector_product(self, x, v, alpha, sigma):
        weights, _, centred, sigma = self.posterior(x, alpha, sigma)
        product = np.einsum("bn,bni->bi", weights * np.einsum("bni,bi->bn", centred, v), centred)
        return v / sigma**2 - self.spread * alpha**2 / sigma**4 * product

    def fisher(self, x, alpha, sigma):
        weights, _, centred, sigma = self.posterior(x, alpha, sigma)
        covariance = np.einsum("bn,bni,bnj->bij", weights, centred, centred)
        identity = np.eye(x.shape[1], dtype=x.dtype)
        return identity / sigma**2 - self.spread * alpha**2 / sigma**4 * covariance

    def fisher_trace(self, x, alpha, sigma):
        weights, _, centred, sigma = self.posterior(x, alpha, sigma)
        variance = (weights * (centred**2).sum(axis=2)).sum(axis=1)
        return x.shape[1] / sigma**2 - self.spread * alpha**2 / sigma**4 * variance


ROLES = ("score", "posterior_mean", "fisher", "fisher_vector_product", "fisher_trace")


def adapter_of(functions, name="unknown", dtype="float64", event_shape=(2,), **options):
    adapter = Adapter(name, dtype=dtype, event_shape=event_shape, **options)
    for role, function in functions.items():
        adapter.provides(role, function)
    return adapter


def exact(dtype, **changes):
    model = ExactModel(**changes)
    return adapter_of({role: getattr(model, role) for role in ROLES}, f"exact {sorted(changes)}", dtype)


class Gaussian:
    """A Gaussian of its own, in three dimensions."""

    mean = np.array([1.0, -0.5, 0.25])
    covariance = np.array([[1.5, 0.5, 0.0], [0.5, 0.75, -0.25], [0.0, -0.25, 1.0]])

    def fisher(self, x, alpha, sigma):
        precision = np.linalg.inv(alpha**2 * self.covariance + sigma**2 * np.eye(3)).astype(x.dtype)
        return np.repeat(precision[None], len(x), axis=0)

    def score(self, x, alpha, sigma):
        return -np.einsum("bij,bj->bi", self.fisher(x, alpha, sigma), x - (alpha * self.mean).astype(x.dtype))

    def posterior_mean(self, x, alpha, sigma):
        return (x + sigma**2 * self.score(x, alpha, sigma)) / alpha

    def fisher_vector_product(self, x, v, alpha, sigma):
        return np.einsum("bij,bj->bi", self.fisher(x, alpha, sigma), v)

    def fisher_trace(self, x, alpha, sigma):
        return np.trace(self.fisher(x, alpha, sigma), axis1=1, axis2=2)


def gaussian(dtype):
    model = Gaussian()
    return adapter_of({role: getattr(model, role) for role in ROLES}, "gaussian", dtype, (3,))


def by_autograd(dtype):
    """The exact model, differentiated by torch from its log density alone."""
    import torch

    atoms = torch.tensor(ATOMS)
    prior = torch.tensor(PRIOR).log()

    def log_density(x, alpha, sigma):
        differences = x[:, None] - alpha * atoms.to(x.dtype)
        return torch.logsumexp(prior.to(x.dtype) - (differences**2).sum(-1) / (2 * sigma**2), dim=1)

    return _differentiated("autograd", dtype, log_density)


def _differentiated(name, dtype, log_density, model="diffusion"):
    import torch

    def score(x, alpha, sigma):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(log_density(x, alpha, sigma).sum(), x)[0]

    def fisher_vector_product(x, v, alpha, sigma):
        x = x.detach().requires_grad_()
        gradient = torch.autograd.grad(log_density(x, alpha, sigma).sum(), x, create_graph=True)[0]
        return -torch.autograd.grad((gradient * v).sum(), x)[0]

    def fisher_trace(x, alpha, sigma):
        basis = torch.eye(x.shape[1], dtype=x.dtype)
        return sum(fisher_vector_product(x, e.expand_as(x), alpha, sigma) @ e for e in basis)

    functions = {"score": score, "fisher_vector_product": fisher_vector_product, "fisher_trace": fisher_trace}
    return adapter_of(functions, name, dtype, backend="torch", model=model)


def energy_network(dtype):
    """A random network for log q: its score is a gradient, but it is no diffused density."""
    import torch

    first, second, third = (
        torch.tensor(np.random.default_rng(k).standard_normal(s)) for k, s in enumerate([(4, 32), (32, 32), (32, 1)])
    )

    def log_density(x, alpha, sigma):
        noise = torch.stack([torch.full_like(x[:, 0], alpha), torch.full_like(x[:, 0], sigma)], dim=1)
        hidden = torch.tanh(torch.cat([x, noise], dim=1) @ first.to(x.dtype))
        return (torch.tanh(hidden @ second.to(x.dtype) / 6) @ third.to(x.dtype))[:, 0]

    return _differentiated("energy network", dtype, log_density, model="potential")


def score_network(dtype):
    """A random network for the score itself: its Jacobian is not symmetric."""
    import torch

    first, second = (
        torch.tensor(np.random.default_rng(k).standard_normal(s)) for k, s in enumerate([(3, 32), (32, 2)])
    )

    def score(x, alpha, sigma):
        noise = torch.full_like(x[:, :1], sigma)
        return torch.tanh(torch.cat([x, noise], dim=1) @ first.to(x.dtype)) @ second.to(x.dtype) / sigma

    def jvp(x, v, alpha, sigma):
        return -torch.func.jvp(lambda x: score(x, alpha, sigma), (x,), (v,))[1]

    def vjp(x, v, alpha, sigma):
        return -torch.func.vjp(lambda x: score(x, alpha, sigma), x)[1](v)[0]

    def trace(x, alpha, sigma):
        return sum(jvp(x, e.expand_as(x), alpha, sigma) @ e for e in torch.eye(2, dtype=x.dtype))

    functions = {
        "score": score,
        "fisher_vector_product": jvp,
        "fisher_vector_product_jvp": jvp,
        "fisher_vector_product_vjp": vjp,
        "fisher_trace": trace,
        "fisher_trace_autodiff": trace,
    }
    return adapter_of(functions, "score network", dtype, backend="torch", model="network")


FAR = {"atoms": 10 + ATOMS}
INNOCENT = {
    f"{name}, {dtype}": (make, dtype)
    for name, make in {
        "exact": exact,
        "exact, far from the origin": lambda dtype: exact(dtype, **FAR),
        "one atom": lambda dtype: exact(dtype, atoms=ATOMS[:1], prior=np.ones(1)),
        "gaussian": gaussian,
        "autograd": by_autograd,
        "energy network": energy_network,
        "score network": score_network,
    }.items()
    for dtype in ("float64", "float32")
}
