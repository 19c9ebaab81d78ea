"""Diracs, the one pass over them, and Gaussian mixtures: the oracles that compute in float64 itself.

What any float64 code rounds on its way is rounded at random here, as in a verdict (``afi_properties.judgement``):
besides the inputs the squared distances and the posterior mean of Diracs; of mixtures the Mahalanobis distances, the
diffused covariances, their log determinants and the components' scores.
"""

import dataclasses
from typing import Any

import numpy as np

from afi_reference import DiracMixture, GaussianMixture
from afi_reference.accumulator import accumulate
from afi_reference.certified import CertifiedDiracMixture
from afi_reference.certified.exact import exact_matrix, exact_number
from afi_verify.bench.accuracy.family import (
    MATRICES,
    QUANTITIES,
    Answers,
    Array,
    Family,
    Parameters,
    Points,
    RandomRounder,
    Size,
)
from afi_verify.bench.accuracy.general_data import FAR, LOW_RANK_KINDS, low_rank_places
from afi_verify.bench.accuracy.measure import spread_of_law, true_answers
from afi_verify.bench.accuracy.truths.balls import at_enough_bits, rounded
from afi_verify.bench.accuracy.truths.gaussian import low_rank_mixture

DIRAC_SIZES = (
    Size(1, 20),
    Size(2, 20),
    Size(16, 3),
    Size(1, 10_000),
    Size(2, 10_000),
    Size(16, 1),
    Size(16, 10_000),
    Size(64, 1_000),
    Size(64, 10_000),
    Size(1024, 8),
    Size(1024, 2_000),
)
GAUSSIAN_SIZES = tuple(Size(d) for d in (1, 2, 16, 64, 1024))
MIXTURE_SIZES = (*tuple(Size(d, 3) for d in (1, 2, 16, 64)), Size(1024, 2))


def _draw_atoms(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    """Draw normal atoms, one of them with neighbours at distances from 1e-5 to 1, some near enough to tie."""
    n, d = size.components, size.dimension
    atoms = rng.standard_normal((n, d))
    neighbours = min(n // 2, 24)
    directions = rng.standard_normal((neighbours, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    atoms[1 : neighbours + 1] = atoms[0] + directions * 10 ** rng.uniform(-5, 0, (neighbours, 1))
    weights = rng.dirichlet(np.full(n, 0.5)) if n > 1 else np.ones(1)
    return {"atoms": atoms, "weights": weights}


def _atom_places(rng: np.random.Generator, p: Parameters, alpha: float, sigma: float) -> dict[str, Array]:
    atoms = p["atoms"]
    n, d = atoms.shape
    noise = rng.standard_normal(d)
    places = {
        "noised": alpha * atoms[-1] + sigma * noise,
        "near neighbours": alpha * atoms[0] + sigma / d**0.5 * noise,
        "far": alpha * atoms[0] + FAR * sigma * noise,
    }
    if n > 1:
        distances = ((atoms[-1] - atoms[:-1]) ** 2).sum(axis=1)
        places["between two atoms"] = alpha * (atoms[-1] + atoms[np.argmin(distances)]) / 2
        places["at the mean of the data"] = alpha * atoms.mean(axis=0)
    return places


def _certified(parameters: Parameters, points: Points, matrices: bool) -> Answers:
    """Return the truth of Diracs by ``afi_reference.certified``, whose posterior serves all quantities of a point."""
    law, d = CertifiedDiracMixture(parameters["atoms"], parameters["weights"]), points.x.shape[1]

    def answers_at(x: Array, v: Array) -> dict[str, Array]:
        p = law._posterior(exact_matrix(x[:, None]), exact_number(points.alpha[()]), exact_number(points.sigma[()]))
        answers = {
            "log_density": rounded([p.log_density()])[0],
            "score": rounded(p.score().entries()),
            "posterior_mean": rounded(p.mean().entries()),
            "posterior_second_moment": rounded([p.second_moment()])[0],
            "fisher_vector_product": rounded(p.fisher_times(exact_matrix(v[:, None])).entries()),
            "fisher_trace": rounded([p.fisher_trace()])[0],
        }
        if matrices:
            answers["posterior_covariance"] = rounded(p.covariance().entries()).reshape(d, d)
            answers["fisher"] = rounded(p.fisher().entries()).reshape(d, d)
        return answers

    rows = [at_enough_bits(lambda x=x, v=v: answers_at(x, v)) for x, v in zip(points.x, points.v, strict=True)]  # type: ignore[misc]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _diracs(parameters: Parameters, rounder: RandomRounder | None) -> DiracMixture:
    return DiracMixture(parameters["atoms"], parameters["weights"], rounder, rounder)


DIRACS = Family(
    name="Diracs",
    law=lambda p: _diracs(p, None),
    kinds={"atoms": "place", "weights": "share"},
    draw=_draw_atoms,
    places=_atom_places,
    truth=_certified,
    spread=spread_of_law(_diracs),
    sizes=DIRAC_SIZES,
)


@dataclasses.dataclass(frozen=True, eq=False)
class _OnePass:
    """The accumulator with the methods of a distribution."""

    parameters: Parameters

    def __getattr__(self, name: str) -> Any:
        def values(x: Array, *others: Array) -> Array:
            v = others[0] if len(others) == 3 else None
            alpha, sigma = (float(level) for level in others[-2:])
            posterior = accumulate(x, alpha, sigma, self.parameters["atoms"], self.parameters["weights"], v)
            return np.asarray(getattr(posterior, name))

        return values


ACCUMULATOR = dataclasses.replace(
    DIRACS,
    name="Diracs in one pass (accumulator)",
    law=_OnePass,
    quantities=tuple(name for name in QUANTITIES if name not in MATRICES),
)


def _few_bits(values: Array) -> Array:
    """Return values in multiples of 1/64: covariances made of them are exact."""
    return np.asarray(np.round(values * 64) / 64)


def _draw_full(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    """Any covariance up to d=16, by as many factors; beyond that a diagonal and four factors, for the truth's sake."""
    k, d = size.components, size.dimension
    r = d if d <= 16 else 4
    diagonal = rng.uniform(0.1, 1, (k, d)) if d > 16 else np.zeros((k, d))
    return {
        "means": rng.standard_normal((k, d)),
        "factors": _few_bits(rng.standard_normal((k, d, r)) * 4.0 ** -np.minimum(np.arange(r), 2)),
        "diagonal": _few_bits(diagonal),
        "weights": rng.dirichlet(np.ones(k)),
    }


def _draw_diagonal(rng: np.random.Generator, size: Size) -> dict[str, Array]:
    k, d = size.components, size.dimension
    return {
        "means": rng.standard_normal((k, d)),
        "factors": np.zeros((k, d, 1)),
        "diagonal": 10 ** rng.uniform(-3, 0, (k, d)),
        "weights": rng.dirichlet(np.ones(k)),
    }


def _full_covariances(p: Parameters) -> dict[str, Array]:
    factors = p["factors"]
    diagonals = p["diagonal"][:, :, None] * np.eye(factors.shape[1])
    return {"means": p["means"], "covariances": factors @ factors.swapaxes(1, 2) + diagonals, "weights": p["weights"]}


def _variances(p: Parameters) -> dict[str, Array]:
    return {"means": p["means"], "covariances": p["diagonal"], "weights": p["weights"]}


def _mixture(parameters: Parameters, rounder: RandomRounder | None) -> GaussianMixture:
    return GaussianMixture(parameters["means"], parameters["covariances"], parameters["weights"], rounder, rounder)


def _gaussian_family(name: str, sizes: tuple[Size, ...], *, full: bool) -> Family:
    arguments = _full_covariances if full else _variances
    return Family(
        name=name,
        law=lambda p: _mixture(arguments(p), None),
        kinds=LOW_RANK_KINDS,
        draw=_draw_full if full else _draw_diagonal,
        places=low_rank_places,
        truth=true_answers(low_rank_mixture),
        spread=spread_of_law(_mixture, arguments),
        sizes=sizes,
    )


POINT_MASSES = (
    DIRACS,
    ACCUMULATOR,
    _gaussian_family("Gaussian, full covariance", GAUSSIAN_SIZES, full=True),
    _gaussian_family("Gaussian, diagonal covariance", GAUSSIAN_SIZES, full=False),
    _gaussian_family("Gaussian mixture, full covariances", MIXTURE_SIZES, full=True),
    _gaussian_family("Gaussian mixture, diagonal covariances", MIXTURE_SIZES, full=False),
)
