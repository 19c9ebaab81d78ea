"""Linear algebra in float64 and beyond.

BLAS and LAPACK stop at float64; a verdict on float64 code needs more digits than that.
"""

import numpy as np

from afi_reference.distribution import Array

_ROWS = 256
"""BLAS adds one row after another; its rounding grows with their number, so that partial sums are kept short."""


def weighted_sum(weights: Array, rows: Array) -> Array:
    """Return ``weights @ rows``, shape (d,), for ``rows`` of shape (N, d), by partial sums of few rows.

    The error of a sum grows with the square root of its number of terms or faster: at N=10,000 BLAS lost 50 times the
    attainable.
    """
    whole = len(rows) // _FEW * _FEW
    if whole <= _FEW:
        return np.asarray(weights @ rows)
    parts = weights[:whole].reshape(-1, 1, _FEW) @ rows[:whole].reshape(-1, _FEW, rows.shape[1])
    # NumPy adds in pairs along the last axis.
    return np.asarray(np.ascontiguousarray(parts[:, 0].T).sum(axis=1) + weights[whole:] @ rows[whole:])


_FEW = 64


def gram_matrix(rows: Array) -> Array:
    """Return ``rows.T @ rows``, shape (d, d), for ``rows`` of shape (N, d).

    NumPy multiplies longdouble matrices without BLAS, some fifty times slower. So each is cut into slices of
    few bits, whose products BLAS computes without rounding (the error-free transformation of Ozaki et al.,
    2012), and only the sum of those is in longdouble.
    """
    if rows.dtype != np.longdouble:
        blocks = [rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS)]
        total: Array = np.asarray(sum(block.T @ block for block in blocks))
        return total
    if rows.size * rows.shape[1] < 100_000:
        return rows.T @ rows
    # Products of two slices have twice their bits, and a sum of N of them log2(N) more: 53 must hold it all.
    bits = (53 - int(np.ceil(np.log2(max(2, len(rows)))))) // 2
    slices, rest = [], rows
    for _ in range(-(-62 // bits)):
        head = rest.astype(np.float64)
        _, exponents = np.frexp(np.abs(head).max(axis=0))
        # Adding and taking away a number of this size rounds to multiples of 2^(exponent - bits).
        shift = np.ldexp(1.5, exponents + (52 - bits))
        head = (head + shift) - shift
        slices.append(head)
        rest = rest - head
    gram: Array = np.zeros((rows.shape[1], rows.shape[1]), dtype=np.longdouble)
    for i, left in reversed(list(enumerate(slices))):
        for j in reversed(range(i, len(slices) - i)):
            product = left.T @ slices[j]
            gram += product if i == j else product + product.T
    return gram


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
    inverse = inverse_factor.T @ inverse_factor
    return (_refined(inverse, matrix) if _rounds_much(matrix, inverse) else inverse), log_determinant


def accurate_product(a: Array, b: Array) -> Array:
    """Return ``a @ b``, shape (m, n), for ``a`` (m, d) and ``b`` (d, n), in float64 nearly as if rounded once.

    Rounding grows with the number of terms: BLAS loses a digit where d is a thousand. There the leading bits of both
    factors are multiplied without rounding, and only what is left, a millionth of it, with rounding: three products
    in place of one. Up to d=128, and in longdouble, this is ``a @ b``.
    """
    if not _rounds_much(a, b):
        return np.asarray(a @ b)
    exact, rest = _exact_and_rest(a, b)
    return exact + rest


_MANY = 128
"""Numbers of terms up to which a sum in float64 is left as BLAS adds it."""


def _rounds_much(a: Array, b: Array) -> bool:
    return a.shape[1] > _MANY and a.dtype == b.dtype == np.float64


def _exact_and_rest(a: Array, b: Array) -> tuple[Array, Array]:
    """Return two matrices whose sum is ``a @ b``: the product of the leading bits, not rounded, and what is left."""
    # As in `gram_matrix`: products have twice as many bits, and a sum of d of them log2(d) more.
    bits = (53 - int(np.ceil(np.log2(a.shape[1])))) // 2
    heads = _leading(a, bits, axis=1), _leading(b, bits, axis=0)
    return heads[0] @ heads[1], heads[0] @ (b - heads[1]) + (a - heads[0]) @ b


def _leading(values: Array, bits: int, axis: int) -> Array:
    """Round to multiples of ``2^-bits`` times a power of two above the largest along ``axis``."""
    _, exponents = np.frexp(np.abs(values).max(axis=axis, keepdims=True))
    shift = np.ldexp(1.5, np.minimum(exponents + (52 - bits), 1022))  # not beyond the largest number
    return np.asarray((values + shift) - shift)


def _refined(inverse: Array, matrix: Array) -> Array:
    """Return the inverse after a step of Newton's, whose residual keeps the digits that cancel in it."""
    exact, rest = _exact_and_rest(matrix, inverse)
    residual = (np.eye(len(matrix)) - exact) - rest
    if not np.abs(residual).sum(axis=1).max() < 0.5:  # too ill-conditioned: the step might lead away
        return inverse
    refined = inverse + inverse @ residual
    return np.asarray((refined + refined.T) / 2)


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


_BLOCK = 64
"""Triangles up to this size are inverted row by row."""


def _inverse_of_lower_triangular(factor: Array) -> Array:
    inverse: Array = np.zeros_like(factor)
    if len(factor) > _BLOCK:  # by halves, so that most of the work is products of matrices
        half = len(factor) // 2
        inverse[:half, :half] = _inverse_of_lower_triangular(factor[:half, :half])
        inverse[half:, half:] = _inverse_of_lower_triangular(factor[half:, half:])
        inverse[half:, :half] = -(inverse[half:, half:] @ (factor[half:, :half] @ inverse[:half, :half]))
        return inverse
    if factor.dtype == np.float64:
        from scipy.linalg import lapack  # here, where it is needed: it takes a tenth of a second to import

        return np.ascontiguousarray(lapack.dtrtri(factor, lower=1)[0])
    for j in range(len(factor)):
        inverse[j, :j] = -(factor[j, :j] @ inverse[:j, :j]) / factor[j, j]
        inverse[j, j] = 1 / factor[j, j]
    return inverse


_NOT_POSITIVE = (
    "alpha^2 * covariance + sigma^2 * I is not positive definite in floating point: a covariance has a negative "
    "eigenvalue, or sigma^2 is lost in the rounding of the covariance's largest entries."
)
