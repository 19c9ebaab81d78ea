"""Products, mixtures and low rank: against the oracles that they must agree with, and exact arithmetic."""

import time
from fractions import Fraction

import numpy as np
import pytest

from afi_reference.certified import CertifiedGaussianMixture
from afi_reference.dirac import DiracMixture
from afi_reference.families import LowRankGaussianMixture, MixtureOfLaws, ProductOfLaws, UniformBox, UniformSphere
from afi_reference.gaussian import GaussianMixture, gaussian

QUANTITIES = (
    "log_density",
    "score",
    "posterior_mean",
    "posterior_covariance",
    "posterior_second_moment",
    "fisher",
    "fisher_trace",
)


def assert_same(left, right, x, alpha, sigma, rtol):
    x = np.asarray(x)
    for name in QUANTITIES:
        a, b = (np.asarray(getattr(law, name)(x, alpha, sigma)).reshape(len(x), -1) for law in (left, right))
        assert (np.linalg.norm(a - b, axis=1) <= rtol * np.linalg.norm(b, axis=1)).all(), (name, a, b)
    v = np.random.default_rng(0).normal(size=x.shape)
    a, b = (law.fisher_vector_product(x, v, alpha, sigma).astype(float) for law in (left, right))
    assert (np.linalg.norm(a - b, axis=1) <= rtol * np.linalg.norm(b, axis=1)).all()


def test_product_of_diracs_is_a_grid_of_diracs():
    first, second = np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.5])
    p, q = np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.4])
    product = ProductOfLaws([DiracMixture(first[:, None], p), DiracMixture(second[:, None], q)])
    grid = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
    joint = DiracMixture(grid, np.multiply.outer(p, q).ravel())
    assert_same(product, joint, np.random.default_rng(0).normal(size=(5, 2)), 0.8, 0.6, 1e-12)


def test_mixture_of_gaussians_is_a_gaussian_mixture():
    rng = np.random.default_rng(2)
    means, roots = rng.normal(size=(3, 2)), rng.normal(size=(3, 2, 2))
    covariances = roots @ roots.swapaxes(1, 2)
    covariances = (covariances + covariances.swapaxes(1, 2)) / 2
    weights = np.array([0.5, 0.3, 0.2])
    mixture = MixtureOfLaws([gaussian(m, c) for m, c in zip(means, covariances, strict=True)], weights)
    joint = GaussianMixture(means, covariances, weights)
    x = rng.normal(size=(6, 2))
    assert_same(mixture, joint, x, np.linspace(0.2, 0.9, 6), 0.5, 1e-12)


def test_two_half_boxes_are_a_box():
    halves = MixtureOfLaws([UniformBox([0.0], [1.0]), UniformBox([1.0], [2.0])])
    assert_same(halves, UniformBox([0.0], [2.0]), [[0.3], [0.9], [5.0]], 0.9, 0.4, 1e-13)


def low_rank_case(kind, d=6, k=2, r=3):
    rng = np.random.default_rng(3)
    means, factors = rng.normal(size=(k, d)), rng.normal(size=(k, d, r))
    diagonal = {"none": 0.0, "some": rng.uniform(0.1, 1, (k, d)), "dependent": 0.0, "offset": 0.25}[kind]
    if kind == "dependent":
        factors[:, :, 2] = factors[:, :, 0] + factors[:, :, 1]
    if kind == "offset":
        means = means + 1000
    # Few bits, so that the covariance handed to the other oracle is exact.
    factors, diagonal = (np.round(np.asarray(values) * 64) / 64 for values in (factors, diagonal))
    full = factors @ factors.swapaxes(1, 2) + np.eye(d) * np.broadcast_to(diagonal, (k, d))[:, :, None]
    return LowRankGaussianMixture(means, factors, diagonal, [0.25, 0.75]), (means, full, np.array([0.25, 0.75]))


@pytest.mark.parametrize("kind", ["none", "some", "dependent", "offset"])
def test_low_rank_is_full_covariance(kind):
    low_rank, full = low_rank_case(kind)
    x = full[0].mean(axis=0) * 0.8 + np.random.default_rng(4).normal(size=(4, 6))
    assert_same(low_rank, GaussianMixture(*full), x, 0.8, 0.6, 1e-8 if kind == "offset" else 1e-11)


@pytest.mark.parametrize("log_snr", [-20, 0, 20])
@pytest.mark.parametrize("kind", ["none", "some", "dependent"])
def test_low_rank_against_proven_enclosures(kind, log_snr):
    low_rank, full = low_rank_case(kind)
    certified = CertifiedGaussianMixture(*full)
    alpha, sigma = (1 + np.exp(-log_snr)) ** -0.5, (1 + np.exp(log_snr)) ** -0.5
    rng = np.random.default_rng(5)
    data = full[0][0] + low_rank.factors[0] @ rng.normal(size=3)
    x = (alpha * data + sigma * rng.normal(size=6))[None]
    for name in ("log_density", "score", "posterior_mean", "fisher", "fisher_trace"):
        right = getattr(certified, name)(x, alpha, sigma)
        error = np.linalg.norm(np.ravel(getattr(low_rank, name)(x, alpha, sigma) - right.value))
        # One rounding of x moves the score by that much: less than it no implementation can promise.
        attainable = 2**-53 * np.linalg.norm(x) / sigma**2 if name == "score" else 0.0
        allowed = 8e-16 * np.linalg.norm(np.ravel(right.value)) + np.linalg.norm(np.ravel(right.radius)) + attainable
        assert error <= allowed, name


def test_as_many_factors_as_dimensions():
    """Nothing is orthogonal to the factors then: the rest of a projection must not pass for 1 / sigma^2."""
    law = LowRankGaussianMixture([[0.0]], [[[3.0]]])
    sigma = 2.0**-14
    right = float(1 / (9 + Fraction(sigma) ** 2))
    for answer in (law.fisher([[1.0]], 1.0, sigma), law.fisher_vector_product([[1.0]], [[1.0]], 1.0, sigma)):
        assert abs(answer.item() / right - 1) < 1e-15
    assert abs(law.fisher_trace([[1.0]], 1.0, sigma).item() / right - 1) < 1e-15


def test_low_rank_in_many_dimensions_forms_no_matrix():
    d, r = 16_384, 4
    rng = np.random.default_rng(6)
    law = LowRankGaussianMixture(rng.normal(size=(2, d)), rng.normal(size=(2, d, r)), 0.01)
    x, v = rng.normal(size=(2, 2, d))
    begin = time.perf_counter()
    trace, product = law.fisher_trace(x, 0.8, 0.6), law.fisher_vector_product(x, v, 0.8, 0.6)
    assert time.perf_counter() - begin < 20
    assert trace.shape == (2,)
    assert product.shape == (2, d)
    noise = 0.64 * 0.01 + 0.36
    assert (np.abs(trace - d / noise) < 2 * r / noise + (law.score(x, 0.8, 0.6) ** 2).sum(axis=1)).all()


def test_results_are_as_wide_as_their_inputs():
    x = np.array([[0.3, 0.1]])
    for law in (UniformSphere([0.0, 0.0], 1.0), LowRankGaussianMixture([[0.0, 0.0]], [[[1.0], [0.0]]])):
        assert law.fisher(x, 0.8, 0.6).dtype == np.float64
        wide = law.fisher(x.astype(np.longdouble), 0.8, 0.6)
        assert wide.dtype == np.longdouble
        np.testing.assert_allclose(wide.astype(float), law.fisher(x, 0.8, 0.6), rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProductOfLaws([]), "at least one law"),
        (lambda: ProductOfLaws([UniformBox([0.0, 0.0], [1.0, 1.0])]), "must be of dimension 1"),
        (lambda: MixtureOfLaws([UniformBox([0.0], [1.0]), UniformSphere([0.0, 0.0], 1.0)]), "share one dimension"),
        (lambda: LowRankGaussianMixture([[0.0]], [[1.0]]), r"factors must have shape \(1, 1, r\)"),
        (lambda: LowRankGaussianMixture([[0.0]], [[[1.0]]], -1.0), "must not be negative"),
        (lambda: LowRankGaussianMixture([[0.0]], [[[1.0]]], [1.0]), "a number or have shape"),
    ],
)
def test_errors_say_what_to_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()
