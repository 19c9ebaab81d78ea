"""Posterior covariances of which a part is taken for all: diagonals, first eigenvectors, first coordinates."""

from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, Predict
from afi_properties.problem import Array

LARGEST = 64
"""Largest dimension for which the covariance is formed."""


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about the structure of the covariance."""
    for words, change in _CHANGES:
        yield Explanation(Fault.STRUCTURE, f"equals the truth {words}"), _with_covariance(change)
    yield Explanation(Fault.DIAGONAL, "equals the truth with the sum of all entries of the covariance"), _all_entries
    for rank in (1, 2, 3, 4, 5, 8, 10, 16, 20, 32, 50):
        words = (
            f"with the covariance's {rank} largest eigenvalues alone" if rank > 1 else "with a covariance of rank one"
        )
        yield Explanation(Fault.STRUCTURE, f"equals the truth {words}"), _with_covariance(_of_rank(rank))
    for count in (1, 2, 3):
        words = f"equals the truth with the variances of the first {count} coordinates alone"
        yield Explanation(Fault.DIMENSION, words), _with_covariance(_first_coordinates(count))


def _with_covariance(change: Callable[[Array], Array]) -> Predict:
    def predicted(exhibit: Exhibit) -> Array | None:
        i, role = exhibit.inputs, exhibit.claim.role
        if role not in ("fisher", "fisher_vector_product", "fisher_trace") or i.dimension > LARGEST:
            return None
        factor = (i.alpha / i.sigma**2) ** 2
        covariance = i.law.posterior_covariance(i.x, i.alpha, i.sigma)
        excess = np.stack([change(c) - c for c in covariance.astype(np.float64)])
        parts: dict[str, Callable[[], Array]] = {
            "fisher": lambda: excess,
            "fisher_vector_product": lambda: np.einsum("bij,bj->bi", excess, i.v.astype(np.float64)),
            "fisher_trace": lambda: np.trace(excess, axis1=1, axis2=2),
        }
        return exhibit.truth.answer - per_point(factor, parts[role]())

    return predicted


def _all_entries(exhibit: Exhibit) -> Array | None:
    i = exhibit.inputs
    if exhibit.claim.role != "fisher_trace" or i.dimension > LARGEST:
        return None
    covariance = i.law.posterior_covariance(i.x, i.alpha, i.sigma)
    excess = covariance.sum(axis=(1, 2)) - np.trace(covariance, axis1=1, axis2=2)
    return exhibit.truth.answer - (i.alpha / i.sigma**2) ** 2 * excess


def _of_rank(rank: int) -> Callable[[Array], Array]:
    def truncated(c: Array) -> Array:
        values, vectors = np.linalg.eigh(c)
        return np.asarray((vectors[:, -rank:] * values[-rank:]) @ vectors[:, -rank:].T)

    return truncated


def _first_coordinates(count: int) -> Callable[[Array], Array]:
    def cut(c: Array) -> Array:
        kept = np.zeros_like(c)
        kept[:count, :count] = c[:count, :count]
        return kept

    return cut


def _circulant(c: Array) -> Array:
    d = len(c)
    lags = (np.arange(d)[None, :] - np.arange(d)[:, None]) % d
    means = np.array([c[lags == lag].mean() for lag in range(d)])
    return np.asarray(means[lags])


def _circulant_of_first_row(c: Array) -> Array:
    d = len(c)
    return np.asarray(c[0][(np.arange(d)[None, :] - np.arange(d)[:, None]) % d])


_CHANGES: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("with the covariance's diagonal alone", lambda c: c * np.eye(len(c))),
    ("without the covariance's diagonal", lambda c: c * (1 - np.eye(len(c)))),
    ("with an isotropic covariance of the same trace", lambda c: np.trace(c) / len(c) * np.eye(len(c))),
    ("with an isotropic covariance, that of the first coordinate", lambda c: c[0, 0] * np.eye(len(c))),
    ("with a circulant covariance", _circulant),
    ("with the circulant covariance of the first row", _circulant_of_first_row),
    ("with the covariance's upper triangle alone", np.triu),
    ("with the covariance's lower triangle alone", np.tril),
    ("with standard deviations for variances", lambda c: _matrix_root(c)),
)


def _matrix_root(c: Array) -> Array:
    values, vectors = np.linalg.eigh(c)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
