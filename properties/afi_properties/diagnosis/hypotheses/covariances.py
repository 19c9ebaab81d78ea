"""Matrices of which a part is taken for all: diagonals, first eigenvectors, first coordinates, sums of entries."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from afi_properties.claims.mistakes import per_point
from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Fault
from afi_properties.diagnosis.hypotheses.hypothesis import Hypothesis, NotTriedError, Predict
from afi_properties.diagnosis.terms import SHAPES, apply_matrix
from afi_properties.problem import Array

LARGEST = 64
"""Largest dimension for which the covariance is formed."""


def hypotheses() -> Iterator[Hypothesis]:
    """Yield hypotheses about the structure of the covariance."""
    for words, change in _CHANGES:
        yield Explanation(Fault.STRUCTURE, f"equals the truth {words}"), _with_covariance(change)
    for fault, words, change in _OF_MATRIX:
        yield Explanation(fault, words), _of_matrix(change)
    for rank in (1, 2, 3, 4, 5, 8, 10, 16, 20, 32, 50):
        words = (
            f"with the covariance's {rank} largest eigenvalues alone" if rank > 1 else "with a covariance of rank one"
        )
        yield Explanation(Fault.STRUCTURE, f"equals the truth {words}"), _with_covariance(_of_rank(rank))
    for count in (1, 2, 3, 4, 8, 10, 16, 32):
        words = f"equals the truth with the variances of the first {count} coordinates alone"
        yield Explanation(Fault.DIMENSION, words), _with_covariance(_first_coordinates(count))
        words = f"equals the truth with the covariances of the {count} nearest diagonals alone"
        yield Explanation(Fault.DIMENSION, words), _with_covariance(_band(count))
    for words, number in _NUMBERS:
        yield Explanation(Fault.DIAGONAL, f"equals {words} for the trace"), _trace_of(number, of_covariance=False)
        words = f"equals the truth with {words} of the covariance for its trace"
        yield Explanation(Fault.DIAGONAL, words), _trace_of(number, of_covariance=True)
    yield Explanation(Fault.TRANSPOSED, "equals the product with the mean of J and its transpose"), _symmetric


def _with_covariance(change: Callable[[Array], Array]) -> Predict:
    """Change what is subtracted from ``I / sigma^2``: the covariance, up to a factor."""

    def predicted(exhibit: Exhibit) -> Array:
        return apply_to(exhibit, lambda m, isotropic: isotropic - change(isotropic - m))

    return predicted


def apply_to(exhibit: Exhibit, change: Callable[[Array, Array], Array]) -> Array:
    """Return the answer for the Fisher matrix of each point, and ``I / sigma^2``, changed into another matrix."""
    matrices, role = fisher_matrices(exhibit), exhibit.claim.role
    identity = np.eye(exhibit.problem.dimension)
    sigmas = exhibit.inputs.sigma.astype(np.float64)
    changed = np.stack([change(m, identity / s**2) for m, s in zip(matrices, sigmas, strict=True)])
    if role.endswith("vjp"):
        changed = changed.swapaxes(1, 2)
    return apply_matrix("fisher_trace" if exhibit.claim.answer == "scalar" else role, changed, exhibit.inputs)


@functools.lru_cache(maxsize=128)
def fisher_matrices(exhibit: Exhibit) -> Array:
    """Return the Fisher matrix of each point, the Jacobian of epsilon over sigma, (B, d, d), in float64.

    Raises
    ------
    NotTriedError
        If the role has none, or it is too large.
    """
    i, role = exhibit.inputs, exhibit.claim.role
    if role not in SHAPES or role.endswith(("endpoint", "matching")) or i.dimension > LARGEST:
        raise NotTriedError
    if i.skew is None:
        return i.law.fisher(i.x, i.alpha, i.sigma).astype(np.float64)
    skew = i.skew
    units = [np.broadcast_to(unit, i.x.shape) for unit in np.eye(i.dimension)]
    columns = np.stack([skew.jvp(i.x, unit, i.sigma) for unit in units], axis=2)
    return np.asarray(per_point(1 / i.sigma, columns), dtype=np.float64)


def _of_matrix(change: Callable[[Array], Array]) -> Predict:
    return lambda exhibit: apply_to(exhibit, lambda m, isotropic: change(m))


def _of_rank(rank: int) -> Callable[[Array], Array]:
    def truncated(c: Array) -> Array:
        values, vectors = np.linalg.eigh((c + c.T) / 2)
        return np.asarray((vectors[:, -rank:] * values[-rank:]) @ vectors[:, -rank:].T)

    return truncated


def _first_coordinates(count: int) -> Callable[[Array], Array]:
    def cut(c: Array) -> Array:
        kept = np.zeros_like(c)
        kept[:count, :count] = c[:count, :count]
        return kept

    return cut


def _band(count: int) -> Callable[[Array], Array]:
    return lambda c: c * (np.abs(np.subtract.outer(np.arange(len(c)), np.arange(len(c)))) <= count)


def _trace_of(number: Callable[[Array], Any], *, of_covariance: bool) -> Predict:
    """Return some number of a matrix in the place of its trace."""

    def predicted(exhibit: Exhibit) -> Array:
        if exhibit.claim.answer != "scalar":
            raise NotTriedError
        d, variances = exhibit.problem.dimension, exhibit.inputs.sigma.astype(np.float64) ** 2
        matrices = fisher_matrices(exhibit)
        if not of_covariance:
            return np.array([number(m) for m in matrices])
        return np.array([d / s - number(np.eye(d) / s - m) for m, s in zip(matrices, variances, strict=True)])

    return predicted


def _symmetric(exhibit: Exhibit) -> Array:
    if exhibit.claim.answer == "scalar":
        raise NotTriedError
    return apply_to(exhibit, lambda m, isotropic: (m + m.T) / 2)


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
    ("with correlations for covariances", lambda c: _correlations(c)),
    ("with the covariance's upper triangle alone", np.triu),
    ("with the covariance's lower triangle alone", np.tril),
    ("with standard deviations for variances", lambda c: _matrix_root(c)),
    ("with the mean of its coordinates for each of them", lambda c: np.full_like(c, c.mean())),
    ("with the largest eigenvalue of the covariance for all", lambda c: _largest_eigenvalue(c) * np.eye(len(c))),
    ("with absolute values for the covariances", np.abs),
)

_OF_MATRIX: tuple[tuple[Fault, str, Callable[[Array], Array]], ...] = (
    (Fault.STRUCTURE, "is the truth's diagonal alone", lambda m: m * np.eye(len(m))),
    (Fault.STRUCTURE, "is the truth's upper triangle alone", np.triu),
    (Fault.STRUCTURE, "is the truth's lower triangle alone", np.tril),
    (
        Fault.STRUCTURE,
        "is the truth's mean eigenvalue times the identity",
        lambda m: np.trace(m) / len(m) * np.eye(len(m)),
    ),
    (Fault.STRUCTURE, "is the truth's first eigenvector alone", lambda m: _of_rank(1)(m)),
    (Fault.TRANSPOSED, "equals the product with the transpose", lambda m: m.T),
    (Fault.TRANSPOSED, "equals the truth with its rows in reverse", lambda m: m[::-1]),
    (Fault.TRANSPOSED, "equals the truth with its rows and columns in reverse", lambda m: m[::-1, ::-1]),
    (Fault.TRANSPOSED, "equals the product with the inverse", np.linalg.inv),
    (Fault.CONSTANT, "equals the product with the square", lambda m: m @ m),
)


def _largest_eigenvalue(m: Array) -> float:
    return float(np.linalg.eigvalsh((m + m.T) / 2)[-1])


_NUMBERS: tuple[tuple[str, Callable[[Array], Any]], ...] = (
    ("the sum of all entries", lambda m: m.sum()),
    ("the sum of all entries over d", lambda m: m.sum() / len(m)),
    ("the sum of the absolute entries of the diagonal", lambda m: np.abs(np.diag(m)).sum()),
    ("the sum of all absolute entries", lambda m: np.abs(m).sum()),
    ("the Frobenius norm", lambda m: np.sqrt((m * m).sum())),
    ("the squared Frobenius norm", lambda m: (m * m).sum()),
    ("the Frobenius norm over √d", lambda m: np.sqrt((m * m).sum() / len(m))),
    ("the spectral norm", lambda m: np.linalg.norm(m, 2)),
    ("the nuclear norm", lambda m: np.linalg.norm(m, "nuc")),
    ("the largest eigenvalue", _largest_eigenvalue),
    ("d times the largest eigenvalue", lambda m: len(m) * _largest_eigenvalue(m)),
    ("the determinant", np.linalg.det),
    ("the determinant's d-th root", lambda m: np.abs(np.linalg.det(m)) ** (1 / len(m))),
    ("d times the first diagonal entry", lambda m: len(m) * m[0, 0]),
    ("the first diagonal entry", lambda m: m[0, 0]),
    ("the last diagonal entry", lambda m: m[-1, -1]),
    ("the largest diagonal entry", lambda m: np.diag(m).max()),
    ("d times the largest diagonal entry", lambda m: len(m) * np.diag(m).max()),
    ("the product of the diagonal", lambda m: np.prod(np.diag(m))),
    ("the sum of the antidiagonal", lambda m: np.trace(m[::-1])),
    ("the sum of the first row", lambda m: m[0].sum()),
    ("the sum of the first column", lambda m: m[:, 0].sum()),
    ("d times the sum of the first row", lambda m: len(m) * m[0].sum()),
    ("the sum of the upper triangle", lambda m: np.triu(m).sum()),
    ("the sum of the lower triangle", lambda m: np.tril(m).sum()),
    ("the trace without its last entry", lambda m: np.trace(m[:-1, :-1])),
    ("the trace without its first entry", lambda m: np.trace(m[1:, 1:])),
    ("the trace of the square", lambda m: np.trace(m @ m)),
    ("the trace of MᵀM, its root", lambda m: np.sqrt(np.trace(m.T @ m))),
)


def _correlations(c: Array) -> Array:
    deviations = np.sqrt(np.abs(np.diag(c)))
    return np.asarray(c / np.where(deviations > 0, deviations, 1)[:, None] / np.where(deviations > 0, deviations, 1))


def _matrix_root(c: Array) -> Array:
    values, vectors = np.linalg.eigh(c)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
