"""What a claim answers for given weights of the atoms, or of the components of a mixture."""

import dataclasses
import functools

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.hypotheses.hypothesis import NotTriedError
from afi_properties.diagnosis.terms import SHAPES, apply_matrix
from afi_properties.inputs import Inputs
from afi_properties.problem import Array
from afi_reference.gaussian import GaussianMixture, gaussian

CONVENTIONS = ("residuals", "moments", "anchored", "scaled")
"""How moments come about, which matters where weights do not add up to 1.

``residuals``: a covariance about the weighted sum of the atoms; ``moments``: the second moment less the square of that
sum; ``anchored``: sums of differences from the heaviest atom; ``scaled``: the right moments of normalised weights,
times the sum of the weights.
"""


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior:
    """What a case's posterior weights are made of; N atoms, or components."""

    log_prior: Array  # (N,)
    exponents: Array  # (B, N): minus half the squared distances over sigma^2; of components, log densities
    dimension: int

    @property
    def logits(self) -> Array:
        """Their logarithms, up to the normaliser, (B, N)."""
        return self.log_prior + self.exponents

    @property
    def weights(self) -> Array:
        """The right ones, (B, N)."""
        return softmax(self.logits)


def softmax(logits: Array, axis: int = 1) -> Array:
    """Return normalised exponentials along an axis."""
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=axis, keepdims=True))


@functools.lru_cache(maxsize=128)
def posterior_of(exhibit: Exhibit) -> Posterior:
    """Return the parts of a case's posterior weights.

    Raises
    ------
    NotTriedError
        If the answer is not made of weights: it is from an epsilon that was handed over.
    """
    i = exhibit.inputs
    made_of_weights = exhibit.claim.role in ("score", "posterior_mean", *_LINEAR, *_OF_THE_MEAN)
    if i.skew is not None or i.handed_eps is not None or i.handed_head is not None or not made_of_weights:
        raise NotTriedError
    assert i.law.weights is not None
    with np.errstate(divide="ignore"):
        log_prior = np.log(i.law.weights.astype(np.float64))
    if isinstance(i.law, GaussianMixture):
        components = _components(i, i.law)
        densities = np.stack([c.log_density(i.x, i.alpha, i.sigma) for c in components], axis=1).astype(np.float64)
        return Posterior(log_prior, densities, i.dimension)
    return Posterior(log_prior, -_squared_distances(i) / (2 * i.sigma[:, None] ** 2), i.dimension)


def answer_with(exhibit: Exhibit, weights: Array, convention: str = CONVENTIONS[0]) -> Array:
    """Return what the claim's formula makes of ``weights`` (B, N), which may not add up to 1."""
    i, role = exhibit.inputs, exhibit.claim.role
    if isinstance(i.law, GaussianMixture):
        return _answer_of_components(exhibit, weights, convention)
    mean, total = _mean(exhibit, weights, convention), weights.sum(axis=1)
    if role == "posterior_mean":
        return mean
    if role == "score":
        noise = per_point(total, i.x) if convention == "scaled" else i.x
        return per_point(-(i.sigma**-2), noise - per_point(i.alpha, mean))
    shape, factor = SHAPES[role], (i.alpha / i.sigma**2) ** 2
    identity = per_point(i.sigma**-2, shape.identity(i))
    if role == "fisher_vector_product_endpoint":
        return identity - per_point(factor, shape.outer(i, i.x0) - shape.outer(i, mean))
    centre = per_point(1 / np.where(total == 0, 1, total), mean) if convention == "scaled" else mean
    return identity - per_point(factor, _spread(exhibit, weights, centre, convention == "moments"))


def spread_about(exhibit: Exhibit, weights: Array, centres: Array) -> Array:
    """Return the answer for a covariance of the atoms about ``centres`` (B, d)."""
    i = exhibit.inputs
    if isinstance(i.law, GaussianMixture) or exhibit.claim.role not in _LINEAR:
        raise NotTriedError
    identity = per_point(i.sigma**-2, SHAPES[exhibit.claim.role].identity(i))
    return identity - per_point((i.alpha / i.sigma**2) ** 2, _spread(exhibit, weights, centres, moments=False))


_LINEAR = ("fisher", "fisher_vector_product", "fisher_trace", "fisher_trace_matching")
_OF_THE_MEAN = ("fisher_vector_product_endpoint",)


def _mean(exhibit: Exhibit, weights: Array, convention: str) -> Array:
    atoms = exhibit.inputs.law.atoms.astype(np.float64)  # type: ignore[union-attr]
    if convention != "anchored":
        return np.asarray(weights @ atoms)
    nearest = atoms[weights.argmax(axis=1)]
    return np.asarray(nearest + weights @ atoms - per_point(weights.sum(axis=1), nearest))


def _spread(exhibit: Exhibit, weights: Array, centres: Array, moments: bool) -> Array:
    """Return what stands for the covariance in the answer, (B, ...)."""
    i, role = exhibit.inputs, exhibit.claim.role
    atoms, parts = i.law.atoms.astype(np.float64), []  # type: ignore[union-attr]
    for p, centre, v in zip(weights, centres, i.v.astype(np.float64), strict=True):
        residuals = atoms - (0 if moments else centre)
        if role == "fisher":
            spread = (p[:, None] * residuals).T @ residuals
            parts.append(spread - np.outer(centre, centre) if moments else spread)
        elif role == "fisher_vector_product":
            product = (p * (residuals @ v)) @ residuals
            parts.append(product - (centre @ v) * centre if moments else product)
        else:
            variance = p @ (residuals**2).sum(axis=1)
            parts.append(variance - centre @ centre if moments else variance)
    return np.stack(parts)


def _components(i: Inputs, law: GaussianMixture) -> list[GaussianMixture]:
    return [gaussian(mean, covariance) for mean, covariance in zip(law.means, law.covariances, strict=True)]


@functools.lru_cache(maxsize=128)
def _pieces(exhibit: Exhibit) -> tuple[Array, Array, Array]:
    """Return the components' scores (B, K, d), precisions (B, K, d, d) and posterior means (B, K, d)."""
    i = exhibit.inputs
    assert isinstance(i.law, GaussianMixture)
    components = _components(i, i.law)
    scores = np.stack([c.score(i.x, i.alpha, i.sigma) for c in components], axis=1)
    means = np.stack([c.posterior_mean(i.x, i.alpha, i.sigma) for c in components], axis=1)
    diffused = i.alpha[:, None, None, None] ** 2 * i.law.covariances
    diffused = diffused + (i.sigma**2)[:, None, None, None] * np.eye(i.dimension)
    return scores.astype(np.float64), np.linalg.inv(diffused.astype(np.float64)), means.astype(np.float64)


def _answer_of_components(exhibit: Exhibit, weights: Array, convention: str) -> Array:
    i, role = exhibit.inputs, exhibit.claim.role
    scores, precisions, means = _pieces(exhibit)
    score, total = np.einsum("bk,bkd->bd", weights, scores), weights.sum(axis=1)
    if role == "score":
        return score
    if role == "posterior_mean":
        if convention == "scaled":
            return np.einsum("bk,bkd->bd", weights, means)
        return per_point(1 / i.alpha, i.x + per_point(i.sigma**2, score))
    centre = per_point(1 / total, score) if convention == "scaled" else score
    residuals = scores - (0 if convention == "moments" else centre[:, None])
    spread = np.einsum("bk,bki,bkj->bij", weights, residuals, residuals)
    if convention == "moments":
        spread = spread - centre[:, :, None] * centre[:, None, :]
    matrix = np.einsum("bk,bkij->bij", weights, precisions) - spread
    return apply_matrix(role, matrix, i)


def _squared_distances(i: Inputs) -> Array:
    atoms = i.law.atoms.astype(np.float64)  # type: ignore[union-attr]
    points, alphas = i.x.astype(np.float64), i.alpha.astype(np.float64)
    return np.stack([((x - a * atoms) ** 2).sum(axis=1) for x, a in zip(points, alphas, strict=True)])
