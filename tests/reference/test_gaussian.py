"""The Gaussian-mixture oracle in float64 and longdouble against the certified one, and against closed forms.

Errors are in multiples of the attainable: what one rounding of each input and of each squared Mahalanobis distance
does to the answer, plus one rounding of the answer itself.
"""

import tracemalloc

import numpy as np
import pytest
from flint import arb

from afi_reference.certified import CertifiedGaussianMixture
from afi_reference.certified.exact import exact_matrix, exact_number
from afi_reference.certified.precision import working_precision
from afi_reference.dirac import DiracMixture
from afi_reference.gaussian import GaussianMixture, gaussian

LIMIT = 16
DRAWS = 8
LOG_SNRS = (-20, -10, 0, 10, 20)
SCALARS = ("log_density", "posterior_second_moment", "fisher_trace")
VECTORS = ("score", "posterior_mean", "fisher_vector_product")
MATRICES = ("posterior_covariance", "fisher")
QUANTITIES = (*SCALARS, *VECTORS, *MATRICES)
KINDS = ("shared", "large", "wide", "singular", "zero-weights", "duplicates", "single")


def random_covariance(rng, d, scale):
    orthogonal, _ = np.linalg.qr(rng.standard_normal((d, d)))
    covariance = (orthogonal * (scale * 2 ** rng.uniform(-1, 1, d))) @ orthogonal.T
    return (covariance + covariance.T) / 2


def make_case(kind, log_snr, d, seed=0):
    """Float64 arrays x, v (B, d), alpha, sigma (B,), means (K, d), covariances (K, d, d), weights (K,)."""
    rng = np.random.default_rng([seed, d, log_snr + 20, KINDS.index(kind)])
    batch, count = (1, 1) if kind == "single" else (2, 3)
    log_snrs = log_snr + 0.25 * np.arange(batch) * (d < 64)
    alpha, sigma = 1 / np.sqrt(1 + np.exp(-log_snrs)), 1 / np.sqrt(1 + np.exp(log_snrs))
    unit = sigma[0] / alpha[0]
    spread = 30.0 * unit if kind == "wide" else unit
    means = spread * rng.standard_normal((count, d)) / np.sqrt(d)
    covariances = np.stack([random_covariance(rng, d, spread**2) for _ in range(count)])
    weights = rng.dirichlet(np.ones(count))
    if kind == "large":
        means = rng.uniform(-1e6, 1e6, d) + means
    elif kind == "singular":
        # A coordinate is left out: exactly singular, whatever the rounding.
        covariances[:, -1, :] = covariances[:, :, -1] = 0
    elif kind == "zero-weights":
        weights[0] = 0
    elif kind == "duplicates":
        means[1], covariances[1] = means[0], covariances[0]
    weights = weights / weights.sum()
    near = means[0] + spread * rng.standard_normal((batch, d)) / np.sqrt(d)
    case = {"x": alpha[:, None] * near, "v": rng.standard_normal((batch, d)), "alpha": alpha, "sigma": sigma}
    return case | {"means": means, "covariances": covariances, "weights": weights}


def evaluate(oracle, quantity, case):
    directions = (case["v"],) if quantity == "fisher_vector_product" else ()
    return getattr(oracle, quantity)(case["x"], *directions, case["alpha"], case["sigma"])


def answer(quantity, case, rounding=None):
    return evaluate(GaussianMixture(case["means"], case["covariances"], case["weights"], rounding), quantity, case)


def certified_truth(quantity, case):
    """The certified answer, refined to longdouble: the enclosures again at 128 bits more, midpoints as two floats."""
    mixture = CertifiedGaussianMixture(case["means"], case["covariances"], case["weights"])
    proven = evaluate(mixture, quantity, case)
    assert proven.decided, proven.reason
    method = {"posterior_mean": "mean", "posterior_covariance": "covariance"}
    name = method.get(quantity, quantity.removeprefix("posterior_"))
    fine = []
    with working_precision(proven.precision + 128):
        for b in range(len(case["x"])):
            point, v = (exact_matrix(case[key][b][:, None]) for key in ("x", "v"))
            posterior = mixture._posterior(point, exact_number(case["alpha"][b]), exact_number(case["sigma"][b]))
            vector = name == "fisher_vector_product"
            ball = posterior.fisher_times(v) if vector else getattr(posterior, name)()
            fine += [ball] if isinstance(ball, arb) else ball.entries()
        high = [float(ball.mid()) for ball in fine]
        low = [float((ball - value).mid()) for ball, value in zip(fine, high, strict=True)]
    truth = (np.array(high, np.longdouble) + np.array(low, np.longdouble)).reshape(proven.value.shape)
    slack = 2.0**-60 * np.abs(truth).max()
    assert (truth >= proven.lower - slack).all()
    assert (truth <= proven.upper + slack).all()
    return truth


def norms(values):
    flat = values.reshape(len(values), -1)
    return np.sqrt((flat * flat).sum(axis=1))


def attainable(quantities, case):
    """Spread of each answer when inputs and squared distances are rounded to float64, per point, plus one rounding.

    Measured in longdouble: the oracle's own errors must not widen what it is allowed.
    """
    rng = np.random.default_rng(0)
    wide = {name: value.astype(np.longdouble) for name, value in case.items()}
    exact = {quantity: answer(quantity, wide) for quantity in quantities}
    spread = dict.fromkeys(quantities, 0)

    def rounding(values):
        change = rng.uniform(-1, 1, values.shape)
        if values.ndim == 3:
            change = np.tril(change) + np.tril(change, -1).swapaxes(1, 2)
        return values * (1 + 2.0**-53 * change.astype(np.longdouble))

    for _ in range(DRAWS):
        shaken = {name: rounding(value) for name, value in wide.items()}
        shaken["weights"] /= shaken["weights"].sum()
        for quantity in quantities:
            spread[quantity] = np.maximum(spread[quantity], norms(answer(quantity, shaken, rounding) - exact[quantity]))
    return {q: spread[q] + 2.0**-53 * norms(exact[q]) + np.finfo(np.float64).tiny for q in quantities}


def too_far(quantities, case):
    """The errors of either precision that are not below the limit; longdouble is allowed its own roundings."""
    allowed = attainable(quantities, case)
    found = {}
    for quantity in quantities:
        truth = certified_truth(quantity, case)
        for dtype in (np.float64, np.longdouble):
            given = answer(quantity, {name: value.astype(dtype) for name, value in case.items()})
            assert given.dtype == dtype
            scale = float(np.finfo(dtype).eps) / 2.0**-52
            found[quantity, dtype.__name__] = float((norms(given - truth) / (scale * allowed[quantity])).max())
    return {key: value for key, value in found.items() if not value < LIMIT}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("log_snr", LOG_SNRS)
def test_gaussian_oracle_is_within_16_attainable_errors_of_the_certified_one(log_snr, d, kind):
    assert not too_far(QUANTITIES, make_case(kind, log_snr, d))


@pytest.mark.parametrize("kind", ["shared", "large", "singular", "duplicates"])
@pytest.mark.parametrize("log_snr", LOG_SNRS)
def test_gaussian_oracle_in_16_dimensions_agrees_with_the_certified_one(log_snr, kind):
    assert not too_far(("log_density", "score", "fisher_trace"), make_case(kind, log_snr, 16))


@pytest.mark.parametrize("log_snr", [0, 20])
def test_gaussian_oracle_in_64_dimensions_agrees_with_the_certified_one(log_snr):
    assert not too_far(("score", "fisher_trace"), make_case("shared", log_snr, 64))


def test_gaussian_matrices_in_16_dimensions_agree_with_the_certified_ones():
    assert not too_far(MATRICES, make_case("shared", 0, 16))


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_noise_levels_per_point_equal_scalar_ones(quantity):
    case = make_case("shared", 2, 3)
    together = answer(quantity, case)
    for b in range(2):
        alone = case | {name: case[name][[b]] for name in ("x", "v")}
        alone |= {name: float(case[name][b]) for name in ("alpha", "sigma")}
        np.testing.assert_allclose(answer(quantity, alone)[0], together[b], rtol=1e-14, atol=0)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_points_keep_their_order_when_their_noise_levels_alternate(quantity):
    case = make_case("shared", 0, 3)
    order = [0, 1, 0, 1, 1]
    mixed = case | {name: case[name][order] for name in ("x", "v", "alpha", "sigma")}
    np.testing.assert_allclose(answer(quantity, mixed), answer(quantity, case)[order], rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble], ids=["float64", "longdouble"])
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_diagonal_covariances_equal_full_ones(quantity, dtype):
    case = {name: value.astype(dtype) for name, value in make_case("shared", 2, 3).items()}
    diagonals = np.abs(case["covariances"]).sum(axis=2)
    full = answer(quantity, case | {"covariances": np.stack([np.diag(row) for row in diagonals])})
    short = answer(quantity, case | {"covariances": diagonals})
    np.testing.assert_allclose(short, full, rtol=100 * np.finfo(dtype).eps, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("log_snr", LOG_SNRS)
def test_one_component_equals_the_closed_form(log_snr):
    case = make_case("single", log_snr, 3)
    alpha, sigma, mean, covariance = case["alpha"][0], case["sigma"][0], case["means"][0], case["covariances"][0]
    law = gaussian(mean, covariance)
    precision = np.linalg.inv(alpha**2 * covariance + sigma**2 * np.eye(3))
    residual = case["x"][0] - alpha * mean
    expected = {
        "score": -precision @ residual,
        "posterior_mean": mean + alpha * covariance @ precision @ residual,
        "fisher": precision,
        "fisher_trace": np.trace(precision),
        "posterior_covariance": sigma**2 * covariance @ precision,
        "log_density": -(residual @ precision @ residual - np.linalg.slogdet(precision)[1] + 3 * np.log(2 * np.pi)) / 2,
    }
    for quantity, value in expected.items():
        # The covariance has condition number 4 at most.
        np.testing.assert_allclose(
            evaluate(law, quantity, case)[0], value, rtol=1e-13, atol=1e-13 * np.abs(value).max()
        )


@pytest.mark.parametrize("diagonal", [False, True], ids=["full", "diagonal"])
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_covariances_of_zero_equal_diracs(quantity, diagonal):
    case = make_case("shared", 2, 3)
    case["covariances"] = np.zeros((3, 3) if diagonal else (3, 3, 3))
    diracs = evaluate(DiracMixture(case["means"], case["weights"]), quantity, case)
    found = answer(quantity, case)
    np.testing.assert_allclose(found, diracs, rtol=1e-13, atol=1e-13 * np.abs(diracs).max())


def test_fisher_stays_finite_where_sigma_vanishes():
    law = gaussian(np.zeros(2), np.diag([1.0, 4.0]))
    np.testing.assert_allclose(law.fisher(np.zeros((1, 2)), 1.0, 1e-12)[0], np.diag([1.0, 0.25]), rtol=1e-14)


@pytest.mark.parametrize("quantity", [*SCALARS, *VECTORS])
def test_no_array_of_batch_by_components_by_dimension_squared_is_formed(quantity):
    batch, count, d = 64, 8, 64
    rng = np.random.default_rng(0)
    x, v, means = (rng.standard_normal((n, d)) for n in (batch, batch, count))
    case = {"x": x, "v": v, "alpha": 0.8, "sigma": 0.6, "means": means, "weights": None}
    case["covariances"] = np.stack([np.eye(d)] * count)
    tracemalloc.start()
    try:
        answer(quantity, case)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < batch * count * d * d * 8 / 8


def test_diagonal_covariances_need_no_matrix():
    law = GaussianMixture(np.zeros((2, 4096)), np.ones((2, 4096)))
    tracemalloc.start()
    try:
        law.fisher_vector_product(np.ones((1, 4096)), np.ones((1, 4096)), 0.8, 0.6)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4096 * 4096 * 8 / 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"means": np.array([[0.0, np.nan]])}, "means must be finite: 1 of its 2 entries"),
        ({"means": np.zeros(2)}, r"means must have shape \(K, d\) with K, d >= 1; got \(2,\)"),
        ({"covariances": np.ones((1, 3))}, r"covariances must have shape \(1, 2, 2\), or \(1, 2\) for diagonals"),
        ({"covariances": np.full((1, 2), np.inf)}, "covariances must be finite"),
        ({"covariances": np.array([[-1.0, 1.0]])}, r"variances must not be negative; the smallest is -1\.0"),
        ({"covariances": np.array([[[1.0, 0.5], [0.4, 1.0]]])}, r"\[0\] is not symmetric; pass \(C \+ C\.T\) / 2"),
        ({"covariances": np.array([[[1.0, 2.0], [2.0, 1.0]]])}, r"covariances\[0\] has the negative eigenvalue -1"),
        ({"weights": np.array([0.9])}, r"weights must sum to 1; they sum to 0\.9\. Divide them by their sum"),
        ({"weights": np.array([0.5, 0.5])}, r"weights must have shape \(1,\), one per component"),
        ({"x": np.array([[np.nan, 0.0]])}, "x must be finite"),
        ({"x": np.zeros((1, 3))}, r"x must have shape \(B, 2\)"),
        ({"v": np.zeros((2, 2))}, "v must hold one direction per point"),
        ({"sigma": 0.0}, r"sigma must be positive.*stop at a small positive time"),
        ({"alpha": -1.0}, "alpha must be positive"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(change, message):
    case = {"x": np.zeros((1, 2)), "v": np.zeros((1, 2)), "alpha": 1.0, "sigma": 1.0}
    case |= {"means": np.zeros((1, 2)), "covariances": np.ones((1, 2)), "weights": None} | change
    with pytest.raises(ValueError, match=message):
        answer("fisher_vector_product" if "v" in change else "score", case)
