"""Inverse and log determinant of positive definite matrices, in float64 and beyond.

LAPACK stops at float64; a verdict on float64 code needs more digits than that.
"""

import numpy as np

from afi_reference.distribution import Array


def inverse_and_log_determinant(matrix: Array) -> tuple[Array, Array]:
    """Return the inverse, shape (d, d), and the log determinant, shape (), of a positive definite matrix.

    Raises
    ------
    ValueError
        If the matrix is not positive definite in the arithmetic of its dtype.
    """
    factor = _cholesky(matrix)
    inverse_factor = _inverse_of_lower_triangular(factor)
    log_determinant = 2 * np.log(np.diagonal(factor)).sum()
    return inverse_factor.T @ inverse_factor, log_determinant


def _cholesky(matrix: Array) -> Array:
    if matrix.dtype == np.float64:
        try:
            return np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            raise ValueError(_NOT_POSITIVE) from None
    factor: Array = np.zeros_like(matrix)
    for j in range(len(matrix)):
        row = factor[j, :j]
        pivot = matrix[j, j] - row @ row
        if not pivot > 0:
            raise ValueError(_NOT_POSITIVE)
        factor[j, j] = np.sqrt(pivot)
        factor[j + 1 :, j] = (matrix[j + 1 :, j] - factor[j + 1 :, :j] @ row) / factor[j, j]
    return factor


def _inverse_of_lower_triangular(factor: Array) -> Array:
    inverse: Array = np.zeros_like(factor)
    for j in range(len(factor)):
        inverse[j, :j] = -(factor[j, :j] @ inverse[:j, :j]) / factor[j, j]
        inverse[j, j] = 1 / factor[j, j]
    return inverse


_NOT_POSITIVE = (
    "alpha^2 * covariance + sigma^2 * I is not positive definite in floating point: a covariance has a negative "
    "eigenvalue, or sigma^2 is lost in the rounding of the covariance's largest entries."
)
