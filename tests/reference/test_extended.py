"""Linear algebra beyond float64, against exact fractions and mpmath."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from afi_reference.certified.exact import exact_matrix
from afi_reference.certified.precision import working_precision
from afi_reference.extended import accurate_product, gram_matrix, inverse_and_log_determinant

EPS = {np.float64: 2.0**-53, np.longdouble: float(np.finfo(np.longdouble).eps) / 2}
DTYPES = pytest.mark.parametrize("dtype", list(EPS), ids=["float64", "longdouble"])


def fraction(number):
    return Fraction(*number.as_integer_ratio())


def exact_gram_entry(rows, i, j):
    return sum(fraction(a) * fraction(b) for a, b in zip(rows[:, i], rows[:, j], strict=True))


def random_rows(count, d, dtype, spread=0):
    rng = np.random.default_rng([count, d])
    rows = rng.standard_normal((count, d)).astype(dtype) * np.exp2(rng.uniform(-spread, spread, (count, d)))
    return (rows + rng.standard_normal((count, d)).astype(dtype) * rows * dtype(2) ** -55).astype(dtype)


def assert_gram_entries_exact(rows, dtype, multiple):
    """Each entry is off by at most ``multiple`` roundings of the product of the columns' norms."""
    gram = gram_matrix(rows)
    assert gram.dtype == dtype
    d = rows.shape[1]
    norms = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=0))
    for i, j in {(0, 0), (0, d - 1), (d // 2, d // 3), (d - 1, d - 1)}:
        error = abs(fraction(gram[i, j]) - exact_gram_entry(rows, i, j))
        assert float(error) <= multiple * EPS[dtype] * norms[i] * norms[j], (i, j)


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (40, 20)])
def test_gram_matrix_of_few_rows_equals_exact_fractions(shape, dtype):
    assert_gram_entries_exact(random_rows(*shape, dtype), dtype, 2 + shape[0] / 4)


@pytest.mark.parametrize("shape", [(1, 400), (7, 128), (300, 64), (2000, 10), (4097, 8)])
def test_sliced_gram_matrix_equals_exact_fractions(shape):
    rows = random_rows(*shape, np.longdouble)
    assert rows.size * rows.shape[1] >= 100_000  # so that it is sliced
    assert_gram_entries_exact(rows, np.longdouble, 8)


def test_sliced_gram_matrix_bears_columns_of_any_scale():
    rows = random_rows(300, 64, np.longdouble) * np.exp2(np.linspace(-300, 300, 64)).astype(np.longdouble)
    assert_gram_entries_exact(rows, np.longdouble, 8)


def test_sliced_gram_matrix_bears_entries_of_mixed_scale():
    assert_gram_entries_exact(random_rows(300, 64, np.longdouble, spread=30), np.longdouble, 8)


def test_sliced_gram_matrix_bears_columns_and_rows_of_zeros():
    rows = random_rows(300, 64, np.longdouble)
    rows[:, 0] = rows[5] = 0
    gram = gram_matrix(rows)
    assert (gram[0] == 0).all()
    assert_gram_entries_exact(rows, np.longdouble, 8)


def test_sliced_gram_matrix_is_exactly_symmetric():
    gram = gram_matrix(random_rows(300, 64, np.longdouble))
    np.testing.assert_array_equal(gram, gram.T)


def positive_definite(d, condition, dtype, seed=0):
    rng = np.random.default_rng([seed, d])
    orthogonal, _ = np.linalg.qr(rng.standard_normal((d, d)))
    matrix = ((orthogonal * np.geomspace(1, condition, d)) @ orthogonal.T).astype(dtype)
    matrix = matrix * (1 + rng.uniform(-1, 1, (d, d)).astype(dtype) * dtype(2) ** -54)
    return (matrix + matrix.T) / 2


def as_mpmath(matrix):
    rows = [[mpmath.mpf(f.numerator) / f.denominator for f in map(fraction, row)] for row in matrix]
    return mpmath.matrix(rows)


@DTYPES
@pytest.mark.parametrize("condition", [1.0, 1e3, 1e10])
@pytest.mark.parametrize("d", [1, 2, 16])
def test_inverse_and_log_determinant_agree_with_mpmath(d, condition, dtype):
    matrix = positive_definite(d, condition, dtype)
    inverse, log_determinant = inverse_and_log_determinant(matrix)
    assert inverse.dtype == log_determinant.dtype == dtype
    with mpmath.workdps(80):
        exact = as_mpmath(matrix)
        difference = as_mpmath(inverse) - exact**-1
        error = float(mpmath.mnorm(difference, "f") / mpmath.mnorm(exact**-1, "f"))
        true_log = mpmath.log(mpmath.det(exact))
        log_error = float(abs(as_mpmath(log_determinant.reshape(1, 1))[0, 0] - true_log))
    # Cholesky's backward error is a few roundings times d, and the condition number carries it to the answers.
    assert error <= 4 * d * EPS[dtype] * condition
    assert log_error <= 4 * d * d * EPS[dtype] * (condition + float(abs(true_log)))


def test_longdouble_inverse_has_the_digits_that_float64_lacks():
    matrix = positive_definite(8, 1e10, np.longdouble)
    residual = inverse_and_log_determinant(matrix)[0] @ matrix - np.eye(8)
    assert float(np.abs(residual).max()) < 1e-8
    rough = inverse_and_log_determinant(matrix.astype(np.float64))[0] @ matrix - np.eye(8)
    assert float(np.abs(residual).max()) < float(np.abs(rough).max()) / 50


@DTYPES
@pytest.mark.parametrize("matrix", [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], [[-1.0]], [[0.0]]])
def test_a_matrix_that_is_not_positive_definite_is_refused_with_the_likely_causes(matrix, dtype):
    with pytest.raises(
        ValueError, match=r"a covariance has a negative eigenvalue, or sigma\^2 is lost in the rounding"
    ):
        inverse_and_log_determinant(np.array(matrix, dtype))


def test_a_matrix_of_nan_is_refused_in_longdouble():
    with pytest.raises(ValueError, match="not positive definite"):
        inverse_and_log_determinant(np.full((2, 2), np.nan, np.longdouble))


def test_many_terms_are_added_as_if_rounded_once():
    rng = np.random.default_rng(3)
    scales = np.exp2(rng.uniform(-30, 30, 600))
    a, b = rng.standard_normal((3, 600)) * scales, rng.standard_normal((600, 4)) / scales[:, None]
    a = np.vstack([a, np.zeros(600), 1e290 * a[0], 1e-290 * a[1]])
    product = accurate_product(a, b)
    for i, j in np.ndindex(product.shape):
        terms = [fraction(p) * fraction(q) for p, q in zip(a[i], b[:, j], strict=True)]
        # What is rounded is a millionth of the largest of a row times the largest of a column.
        left_over = 600 * EPS[np.float64] * 1e-6 * float(abs(a[i]).max()) * float(abs(b[:, j]).max())
        error = abs(fraction(product[i, j]) - sum(terms))
        assert float(error) <= EPS[np.float64] * float(abs(sum(terms))) + left_over, (i, j)


def distance_to_exact_inverse(inverse, matrix):
    """The Frobenius norm of the difference, by the norm of the exact inverse."""
    with working_precision(256):
        right = exact_matrix(matrix).inv()
        difference = exact_matrix(inverse) - right
        norms = [np.linalg.norm([float(entry.mid()) for entry in m.entries()]) for m in (difference, right)]
    return float(norms[0] / norms[1])


@pytest.mark.parametrize("condition", [10.0, 1e4, 1e6])
def test_the_inverse_in_many_dimensions_is_rounded_about_once(condition):
    matrix = positive_definite(200, condition, np.float64)
    inverse, _ = inverse_and_log_determinant(matrix)
    assert (inverse == inverse.T).all()
    assert distance_to_exact_inverse(inverse, matrix) <= EPS[np.float64]


@pytest.mark.parametrize("condition", [1e12, 1e15])
def test_refining_the_inverse_of_a_nearly_singular_matrix_does_not_lead_away(condition):
    matrix = positive_definite(200, condition, np.float64)
    inverse, _ = inverse_and_log_determinant(matrix)
    rough = distance_to_exact_inverse(np.linalg.inv(matrix), matrix)
    assert distance_to_exact_inverse(inverse, matrix) <= 2 * rough
