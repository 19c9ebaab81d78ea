"""The certified oracle on real data (1,797 handwritten digits, d=64) against Taylor series in mpmath."""

import numpy as np
import pytest
from mpmath import mp, mpf
from sklearn.datasets import load_digits

from afi_reference.certified import CertifiedDiracMixture

DIGITS = 60


@pytest.fixture(scope="module")
def atoms():
    return load_digits().data


@pytest.fixture(scope="module")
def oracle(atoms):
    return CertifiedDiracMixture(atoms)


def exact(value):
    numerator, denominator = value.as_integer_ratio()
    return mpf(numerator) / mpf(denominator)


def second_logarithmic_derivative(heads, along_s, along_t, mixed):
    """Of sum_i h_i exp(a_i s + b_i t + c s t): the coefficient of s t in its logarithm."""
    first = [h * a for h, a in zip(heads, along_s, strict=True)]
    total, by_s, by_t = mp.fsum(heads), mp.fsum(first), mp.fdot(heads, along_t)
    return mp.fdot(first, along_t) / total + mixed - by_s * by_t / total**2


@pytest.mark.parametrize("log_snr", [-20, 0, 6, 20])
def test_digits(atoms, oracle, log_snr):
    rng = np.random.default_rng(log_snr + 20)
    alpha, sigma = float(np.sqrt(1 / (1 + np.exp(-log_snr)))), float(np.sqrt(1 / (1 + np.exp(log_snr))))
    # Between two neighbours, so that at high log-SNR, too, more than one atom counts.
    near = atoms[np.argsort(((atoms - atoms[0]) ** 2).sum(axis=1))[1]]
    x, v = alpha * (atoms[0] + near) / 2 + 0.01 * sigma * rng.normal(size=64), rng.normal(size=64)
    trace, product = oracle.fisher_trace(x, alpha, sigma), oracle.fisher_vector_product(x, v, alpha, sigma)
    with mp.workdps(DIGITS):
        a, variance, point, direction = (
            exact(alpha),
            exact(sigma) ** 2,
            list(map(exact, x)),
            list(map(exact, v)),
        )
        residuals = [[p - a * y for p, y in zip(point, row, strict=True)] for row in atoms.astype(int).tolist()]
        heads = [mp.exp(-mp.fdot(row, row) / (2 * variance)) for row in residuals]
        slopes = [[-row[j] / variance for row in residuals] for j in range(64)]
        check(trace, -mp.fsum(second_logarithmic_derivative(heads, s, s, -1 / variance) for s in slopes))
        along = [-mp.fdot(direction, row) / variance for row in residuals]
        for j in (10, 35):
            truth = -second_logarithmic_derivative(heads, slopes[j], along, -direction[j] / variance)
            assert abs(exact(product.value[j]) - truth) <= exact(product.radius[j])
    for answer in (trace, product):
        assert np.linalg.norm(answer.radius) < 2.0**-53 * np.linalg.norm(answer.value)


def check(certified, truth):
    assert certified.decided
    assert abs(exact(certified.value.item()) - truth) <= exact(certified.radius.item())
    for wrong in (truth * (1 + mpf(2) ** -50), truth + 1 / mpf(10) ** 6 * truth):
        assert not exact(certified.lower.item()) <= wrong <= exact(certified.upper.item())


@pytest.mark.parametrize("log_snr", [0, 6])
def test_digits_matrices_agree_with_the_operators(atoms, oracle, log_snr):
    alpha, sigma = float(np.sqrt(1 / (1 + np.exp(-log_snr)))), float(np.sqrt(1 / (1 + np.exp(log_snr))))
    x = alpha * (atoms[7] + atoms[100]) / 2
    fisher, covariance = oracle.fisher(x, alpha, sigma), oracle.posterior_covariance(x, alpha, sigma)
    np.testing.assert_array_equal(fisher.value, fisher.value.T)
    column = oracle.fisher_vector_product(x, np.eye(64)[3], alpha, sigma)
    assert (np.abs(fisher.value[3] - column.value) <= fisher.radius[3] + column.radius).all()
    tweedie = np.eye(64) / sigma**2 - alpha**2 / sigma**4 * covariance.value
    np.testing.assert_allclose(fisher.value, tweedie, rtol=0, atol=1e-12 * np.abs(tweedie).max())
