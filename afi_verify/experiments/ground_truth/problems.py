"""The data of the experiment: what is known about them exactly, and how networks are trained on them."""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from afi_properties.problem import Array
from afi_properties.real_data import load_digits_atoms
from afi_reference import DiracMixture, GaussianMixture
from afi_reference.schedules import Schedule, VPCosine
from afi_verify.experiments.ground_truth.settings import Settings
from afi_verify.implementations import torch_dirac, torch_gaussian_mixture
from afi_verify.implementations.torch_adjoint import Operator, dirac_operator, gaussian_mixture_operator
from afi_verify.implementations.torch_likelihood import TraceFn, dirac_trace, gaussian_mixture_trace
from afi_verify.implementations.torch_solvers import EpsFn
from afi_verify.implementations.torch_training import train_noise_prediction, train_trace_head

SCHEDULE: Schedule = VPCosine()
DIMENSION, COMPONENTS, SAMPLE = 16, 4, 400


@dataclasses.dataclass(frozen=True)
class Problem:
    """A data distribution with everything exact about it.

    Attributes
    ----------
    law
        The distribution whose Fisher information is the truth.
    population
        The one that a finite sample came from, where the data are one; else ``None``.
    end
        The log-SNR at which flows end: below it the exact flow of Diracs maps all points onto atoms.
    """

    name: str
    title: str
    law: DiracMixture | GaussianMixture
    population: GaussianMixture | None
    end: float
    width: int
    depth: int
    eps_steps: int
    head_steps: int

    @property
    def dimension(self) -> int:
        """Dimension d."""
        return self.law.dimension

    def eps(self, x: Tensor, t: float) -> Tensor:
        """Return the exact noise prediction, shape of ``x``."""
        alpha, sigma = noise_at(t)
        if isinstance(self.law, DiracMixture):
            return -sigma * torch_dirac.score(x, alpha, sigma, torch.from_numpy(self.law.atoms.copy()))
        return -sigma * torch_gaussian_mixture.score(x, alpha, sigma, *_tensors(self.law))

    def trace(self) -> TraceFn:
        """Return the exact trace."""
        if isinstance(self.law, DiracMixture):
            return dirac_trace(SCHEDULE, torch.from_numpy(self.law.atoms.copy()))
        return gaussian_mixture_trace(SCHEDULE, *_tensors(self.law))

    def operator(self) -> Operator:
        """Return the exact operator."""
        if isinstance(self.law, DiracMixture):
            return dirac_operator(SCHEDULE, torch.from_numpy(self.law.atoms.copy()))
        return gaussian_mixture_operator(SCHEDULE, *_tensors(self.law))

    def source(self) -> Tensor | Callable[[int, torch.Generator], Tensor]:
        """Return what networks are trained on: the atoms, or ever new draws of the mixture; float32."""
        if isinstance(self.law, DiracMixture):
            return torch.tensor(self.law.atoms, dtype=torch.float32)
        means, covariances, weights = _tensors(self.law)
        roots = torch.linalg.cholesky(covariances)

        def draw(count: int, generator: torch.Generator) -> Tensor:
            chosen = torch.multinomial(weights, count, replacement=True, generator=generator)
            noise = torch.randn(count, self.dimension, generator=generator, dtype=torch.float64)
            return (means[chosen] + torch.einsum("bij,bj->bi", roots[chosen], noise)).float()

        return draw


@dataclasses.dataclass(frozen=True)
class Networks:
    """A trained noise prediction and trace head, in float64 and without gradients of their own."""

    eps: EpsFn
    head: Callable[[Tensor, float], Tensor]
    parameters: int


def make_problem(name: str, settings: Settings) -> Problem:
    """Return the problem called ``name``, one of those in the settings."""
    if name == "digits":
        atoms = np.array(load_digits_atoms()[: settings.atoms])
        title = f"{len(atoms)} handwritten digits in {atoms.shape[1]} dimensions, as Diracs"
        return Problem(name, title, DiracMixture(atoms), None, 1.0, 192, 2, 3000, 1500)
    mixture = _mixture()
    if name == "mixture":
        title = f"a mixture of {COMPONENTS} Gaussians in {DIMENSION} dimensions, whose density is smooth"
        return Problem(name, title, mixture, None, 6.0, 128, 2, 3000, 1500)
    atoms = _draw(mixture, min(SAMPLE, settings.atoms))
    title = f"a sample of {len(atoms)} from that mixture, as Diracs"
    return Problem(name, title, DiracMixture(atoms), mixture, 2.0, 128, 2, 3000, 1500)


def train_networks(problem: Problem, seed: int, settings: Settings) -> Networks:
    """Train both networks of a problem from ``seed``."""
    source = problem.source()
    eps = train_noise_prediction(
        source,
        SCHEDULE,
        seed,
        num_steps=max(1, round(settings.training * problem.eps_steps)),
        width=problem.width,
        depth=problem.depth,
    )
    head = train_trace_head(
        source, SCHEDULE, seed, num_steps=max(1, round(settings.training * problem.head_steps)), width=problem.width
    )
    return Networks(_function(eps), _function(head), sum(p.numel() for p in eps.parameters()))


def _function(module: nn.Module) -> EpsFn:
    double = module.double()
    return lambda x, t: double(x, t)


def noise_at(t: float) -> tuple[float, float]:
    """Return alpha and sigma at ``t``."""
    return float(SCHEDULE.alpha(t)), float(SCHEDULE.sigma(t))


def time_at(log_snr: float) -> float:
    """Return the time of the schedule at a log-SNR."""
    return float(SCHEDULE.time_of_log_snr(log_snr))


def _mixture() -> GaussianMixture:
    """Components that overlap, each with variances from 0.02 to 0.5 along axes of its own; coordinates of size 1."""
    rng = np.random.default_rng(5)
    means = rng.standard_normal((COMPONENTS, DIMENSION))
    variances = np.geomspace(0.02, 0.5, DIMENSION)
    covariances = []
    for _ in range(COMPONENTS):
        axes, _ = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))
        matrix = (axes * variances) @ axes.T
        covariances.append((matrix + matrix.T) / 2)
    return GaussianMixture(means, np.stack(covariances), np.array([0.4, 0.3, 0.2, 0.1]))


def _draw(mixture: GaussianMixture, count: int) -> Array:
    from afi_properties.training import diffused_points

    # alpha 1 and next to no noise: the data themselves.
    return diffused_points(mixture, np.ones(count), np.full(count, 1e-12), np.random.default_rng(6))


def _tensors(law: GaussianMixture) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(torch.tensor(np.asarray(a), dtype=torch.float64) for a in (law.means, law.covariances, law.weights))  # type: ignore[return-value]
