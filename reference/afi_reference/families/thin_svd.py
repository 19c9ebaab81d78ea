"""The thin singular value decomposition in any floating-point precision: LAPACK's stops at float64."""

import numpy as np

from afi_reference.distribution import Array

SWEEPS = 40
"""Jacobi's sweeps converge quadratically: a handful is the rule."""


def thin_svd(matrix: Array) -> tuple[Array, Array]:
    """Return left singular vectors, shape (d, k), and singular values, shape (k,), of a (d, r) matrix.

    Directions whose singular value is lost in the rounding of the largest are left out: ``k <= min(d, r)``.
    One-sided Jacobi, on the triangular factor: its small singular values keep more digits than those of the
    squared matrix would.
    """
    basis, triangle = _orthonormal_columns(matrix)
    columns = _orthogonalised(triangle)
    values = np.sqrt((columns * columns).sum(axis=0))
    kept = values > np.finfo(matrix.dtype).eps * len(values) * values.max(initial=0)
    return basis @ (columns[:, kept] / values[kept]), values[kept]


def _orthonormal_columns(matrix: Array) -> tuple[Array, Array]:
    """Gram-Schmidt, each column twice; one that depends on the others leaves a column of zeros."""
    d, r = matrix.shape
    basis, triangle = np.zeros((d, r), matrix.dtype), np.zeros((r, r), matrix.dtype)
    for j in range(r):
        column = matrix[:, j].copy()
        size = np.sqrt(column @ column)
        for _ in range(2):
            parts = column @ basis[:, :j]
            column -= basis[:, :j] @ parts
            triangle[:j, j] += parts
        rest = np.sqrt(column @ column)
        if rest > 8 * np.finfo(matrix.dtype).eps * size:
            basis[:, j], triangle[j, j] = column / rest, rest
            # Of a column that nearly depended on the others, two passes leave a trace; now it has length 1.
            basis[:, j] -= basis[:, :j] @ (basis[:, j] @ basis[:, :j])
            basis[:, j] /= np.sqrt(basis[:, j] @ basis[:, j])
    return basis, triangle


def _orthogonalised(matrix: Array) -> Array:
    """Rotate pairs of columns until all are orthogonal."""
    columns = matrix.copy()
    tolerance = np.finfo(matrix.dtype).eps
    r = columns.shape[1]
    for _ in range(SWEEPS):
        rotated = False
        for i in range(r - 1):
            for j in range(i + 1, r):
                a, b = columns[:, i], columns[:, j]
                aa, bb, ab = a @ a, b @ b, a @ b
                if abs(ab) <= tolerance * np.sqrt(aa * bb):
                    continue
                rotated = True
                zeta = (bb - aa) / (2 * ab)
                tangent = np.copysign(1, zeta) / (abs(zeta) + np.sqrt(1 + zeta * zeta))
                cosine = 1 / np.sqrt(1 + tangent * tangent)
                columns[:, i], columns[:, j] = (
                    cosine * (a - tangent * b),
                    cosine * (b + tangent * a),
                )
        if not rotated:
            break
    return columns
