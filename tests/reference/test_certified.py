"""The certified oracles against automatic differentiation of densities in mpmath at 450 digits.

The second route knows densities and moment-generating functions only: their derivatives come from jets, so
that no formula of the paper is written down twice.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from flint import ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from afi_reference.certified import Certified, CertifiedDiracMixture, CertifiedGaussianMixture

DIGITS = 450  # beyond the smallest subnormal, squared coordinates of 1e6 and their cancellation
LOG_SNRS = (-20, -6, 0, 6, 20)


@dataclass
class Jet:
    """``f + a s + b t + c s t``: the value, two directional derivatives and the mixed second one."""

    f: mpf | int = 0
    a: mpf | int = 0
    b: mpf | int = 0
    c: mpf | int = 0

    def __add__(self, other):
        o = other if isinstance(other, Jet) else Jet(other)
        return Jet(self.f + o.f, self.a + o.a, self.b + o.b, self.c + o.c)

    __radd__ = __add__

    def __mul__(self, o):
        if not isinstance(o, Jet):
            return Jet(self.f * o, self.a * o, self.b * o, self.c * o)
        mixed = self.f * o.c + self.c * o.f + self.a * o.b + self.b * o.a
        return Jet(self.f * o.f, self.f * o.a + self.a * o.f, self.f * o.b + self.b * o.f, mixed)

    __rmul__ = __mul__

    def exp(self):
        e = mp.exp(self.f)
        return Jet(e, e * self.a, e * self.b, e * (self.c + self.a * self.b))

    def log(self):
        a, b = self.a / self.f, self.b / self.f
        return Jet(mp.log(self.f), a, b, self.c / self.f - a * b)


def exact(value):
    numerator, denominator = value.as_integer_ratio()
    return mpf(numerator) / mpf(denominator)


def vector(values):
    return [exact(value) for value in np.asarray(values).ravel()]


def sparse(matrices):
    """The rows of each matrix as (index, entry) pairs without the zeros."""
    return [[[(j, m[i, j]) for j in range(m.cols) if m[i, j]] for i in range(m.rows)] for m in matrices]


@dataclass
class Truth:
    """A Gaussian mixture (Sigma = None: Diracs) at one point and noise level, in mpmath."""

    means: np.ndarray
    weights: np.ndarray
    x: np.ndarray
    alpha: float
    sigma: float
    covariances: np.ndarray | None = None

    def __post_init__(self):
        self.d = len(self.x)
        self.a, self.s = exact(self.alpha), exact(self.sigma)
        self.mu, self.w = [vector(mean) for mean in self.means], vector(self.weights)
        self.point = vector(self.x)
        zero = np.zeros((len(self.means), self.d, self.d))
        sources = zero if self.covariances is None else self.covariances
        cov = [mp.matrix([vector(row) for row in source]) for source in sources]
        diffused = [self.a**2 * c + self.s**2 * mp.eye(self.d) for c in cov]
        diagonal = self.covariances is None
        inverse = [mp.diag([1 / c[i, i] for i in range(self.d)]) if diagonal else c**-1 for c in diffused]
        self.rows, self.inverse_rows = sparse(cov), sparse(inverse)
        det = [mp.fprod(c[i, i] for i in range(self.d)) if diagonal else mp.det(c) for c in diffused]
        self.constant = [1 / mp.sqrt((2 * mp.pi) ** self.d * value) / mp.fsum(self.w) for value in det]

    def directional(self, u, v, tilted):
        """The jet of log q_t(x + s u + t v); tilted: of log E[exp(lambda . x_0) q(x | x_0)] at s u + t v."""
        moving = [Jet(0, u[i], v[i]) for i in range(self.d)]
        total = Jet()
        for k, mean in enumerate(self.mu):
            if tilted:
                linear = [self._dot(self.rows[k][i], moving) for i in range(self.d)]
                residual = [self.point[i] + self.a * (-1 * (mean[i] + linear[i])) for i in range(self.d)]
                exponent = sum((m * (mean[i] + linear[i] * mpf("0.5")) for i, m in enumerate(moving)), Jet())
            else:
                residual = [self.point[i] - self.a * mean[i] + moving[i] for i in range(self.d)]
                exponent = Jet()
            for i, r in enumerate(residual):
                exponent += self._dot(self.inverse_rows[k][i], residual) * r * mpf("-0.5")
            total += exponent.exp() * (self.w[k] * self.constant[k])
        return total.log()

    @staticmethod
    def _dot(row, jets):
        return sum((jets[i] * entry for i, entry in row), Jet())

    def basis(self, i):
        return [mpf(int(i == j)) for j in range(self.d)]

    def gradient_and_diagonal(self, tilted=False):
        jets = [self.directional(self.basis(i), self.basis(i), tilted) for i in range(self.d)]
        return jets[0].f, [jet.a for jet in jets], [jet.c for jet in jets]

    def hessian(self, tilted=False):
        return [self.directional(self.basis(i), self.basis(j), tilted).c for i in range(self.d) for j in range(self.d)]


def check(certified: Certified, truth, scale=1):
    """The truth is inside; the radius is below 2^-53 of its norm; scale: mpmath's own error allows for it."""
    assert certified.decided
    assert certified.reason == ""
    truth = truth if isinstance(truth, list) else [truth]
    values, radii = vector(certified.value), vector(certified.radius)
    own_error = mpf(10) ** (100 - DIGITS) * (scale + max(abs(t) for t in truth))
    for t, value, radius, low, high in zip(
        truth, values, radii, vector(certified.lower), vector(certified.upper), strict=True
    ):
        assert abs(t - value) <= radius + own_error
        assert low - own_error <= t <= high + own_error
    norm = mp.sqrt(mp.fsum(t * t for t in truth))
    relative = mp.sqrt(mp.fsum(r * r for r in radii)) < norm * mpf(2) ** -53
    assert relative or max(radii) <= mpf(2) ** -1074


def check_all(oracle, truth: Truth, full=True):
    x, alpha, sigma = truth.x, truth.alpha, truth.sigma
    log_q, gradient, diagonal = truth.gradient_and_diagonal()
    check(oracle.log_density(x, alpha, sigma), log_q)
    check(oracle.score(x, alpha, sigma), gradient)
    check(oracle.fisher_trace(x, alpha, sigma), -mp.fsum(diagonal))
    v = np.cos(np.arange(1.0, truth.d + 1))
    along = [-truth.directional(truth.basis(i), vector(v), False).c for i in range(truth.d)]
    check(oracle.fisher_vector_product(x, v, alpha, sigma), along)
    _, mean, variances = truth.gradient_and_diagonal(tilted=True)
    check(oracle.posterior_mean(x, alpha, sigma), mean)
    second_moment = mp.fsum(variances) + mp.fsum(m * m for m in mean)
    check(oracle.posterior_second_moment(x, alpha, sigma), second_moment)
    if full:
        scale = 1 + second_moment
        check(oracle.fisher(x, alpha, sigma), [-h for h in truth.hessian()])
        check(oracle.posterior_covariance(x, alpha, sigma), truth.hessian(tilted=True), scale)


@pytest.fixture(autouse=True)
def many_digits():
    with mp.workdps(DIGITS):
        yield


def noise(log_snr):
    return float(np.sqrt(1 / (1 + np.exp(-log_snr)))), float(np.sqrt(1 / (1 + np.exp(log_snr))))


def problem(n, d, log_snr, seed=0, offset=0.0):
    """Atoms, weights, and a point between the first two atoms, where they share the posterior."""
    rng = np.random.default_rng([n, d, log_snr + 20, seed])
    alpha, sigma = noise(log_snr)
    atoms = offset + rng.normal(size=(n, d))
    weights = rng.dirichlet(np.ones(n))
    x = alpha * (atoms[0] + atoms[min(1, n - 1)]) / 2 + 0.1 * sigma * rng.normal(size=d)
    return atoms, weights, x, alpha, sigma


@pytest.mark.parametrize("log_snr", LOG_SNRS)
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("d", [1, 2, 3, 16])
def test_diracs(d, n, log_snr):
    atoms, weights, x, alpha, sigma = problem(n, d, log_snr)
    truth = Truth(atoms, weights, x, alpha, sigma)
    check_all(CertifiedDiracMixture(atoms, weights), truth, full=d <= 3)


@pytest.mark.parametrize("log_snr", LOG_SNRS)
@pytest.mark.parametrize(("k", "d"), [(1, 1), (2, 2), (5, 2), (2, 3)])
def test_gaussians(k, d, log_snr):
    means, weights, x, alpha, sigma = problem(k, d, log_snr)
    roots = np.random.default_rng(d).integers(-8, 9, size=(k, d, d)) / 8.0
    covariances = roots @ roots.transpose(0, 2, 1)  # exact in float64, so that none is indefinite by rounding
    covariances[0] = 0.0
    truth = Truth(means, weights, x, alpha, sigma, covariances)
    check_all(CertifiedGaussianMixture(means, covariances, weights), truth)


def test_gaussians_against_quadrature():
    means, scales, weights = np.array([[-1.0], [0.5]]), np.array([[[0.25]], [[2.0]]]), np.array([0.25, 0.75])
    x, alpha, sigma = np.array([0.375]), 0.75, 0.5
    with mp.workdps(25):

        def joint(y):
            prior = sum(
                w * mp.npdf(y, m, mp.sqrt(s)) for w, m, s in zip(weights, means[:, 0], scales[:, 0, 0], strict=True)
            )
            return prior * mp.npdf(x[0], alpha * y, sigma)

        moments = [mp.quad(lambda y, n=n: y**n * joint(y), [-20, -3, -1, 0, 1, 3, 20]) for n in range(3)]
        mean, second = moments[1] / moments[0], moments[2] / moments[0]
        oracle = CertifiedGaussianMixture(means, scales, weights)
        for got, wanted in (
            (oracle.log_density(x, alpha, sigma), mp.log(moments[0])),
            (oracle.posterior_mean(x, alpha, sigma), mean),
            (oracle.posterior_second_moment(x, alpha, sigma), second),
            (oracle.posterior_covariance(x, alpha, sigma), second - mean**2),
        ):
            assert abs(vector(got.value)[0] - wanted) <= vector(got.radius)[0] + mpf("1e-21")


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 4),
    d=st.integers(1, 3),
    log_snr=st.integers(-20, 20),
    offset=st.sampled_from([0.0, 1.0, 1e6, -1e-6]),
    seed=st.integers(0, 2**16),
)
def test_diracs_anywhere(n, d, log_snr, offset, seed):
    with mp.workdps(DIGITS):
        atoms, weights, x, alpha, sigma = problem(n, d, log_snr, seed, offset)
        oracle, truth = CertifiedDiracMixture(atoms, weights), Truth(atoms, weights, x, alpha, sigma)
        log_q, gradient, diagonal = truth.gradient_and_diagonal()
        check(oracle.log_density(x, alpha, sigma), log_q)
        check(oracle.score(x, alpha, sigma), gradient)
        check(oracle.fisher_trace(x, alpha, sigma), -mp.fsum(diagonal))


@pytest.mark.parametrize("log_snr", LOG_SNRS)
@pytest.mark.parametrize("case", ["exact tie", "duplicates", "offset", "near duplicates", "far point"])
def test_hard_diracs(case, log_snr):
    alpha, sigma = noise(log_snr)
    atoms, x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0]]), np.array([0.0, 0.0])
    if case == "duplicates":
        atoms = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.5]])
    elif case == "offset":
        atoms, x = atoms + 1e6, alpha * np.array([1e6, 1e6])
    elif case == "near duplicates":
        atoms = np.array([[1.0, 2.0], [np.nextafter(1.0, 2.0), 2.0], [1.0, np.nextafter(2.0, 0.0)]])
    elif case == "far point":
        x = np.array([1e6, -1e6])
    weights = np.array([0.25, 0.25, 0.5])
    check_all(CertifiedDiracMixture(atoms, weights), Truth(atoms, weights, x, alpha, sigma))


@pytest.mark.parametrize("log_snr", LOG_SNRS)
def test_zero_covariances_are_diracs(log_snr):
    atoms, weights, x, alpha, sigma = problem(5, 3, log_snr)
    truth = Truth(atoms, weights, x, alpha, sigma)
    check_all(CertifiedGaussianMixture(atoms, np.zeros((5, 3, 3)), weights), truth)


@pytest.mark.parametrize("power", [-2, -1, 1, 2])
@pytest.mark.parametrize("log_snr", LOG_SNRS)
def test_a_wrong_power_of_sigma_is_outside(log_snr, power):
    atoms, weights, x, alpha, sigma = problem(2, 2, log_snr)
    truth = Truth(atoms, weights, x, alpha, sigma)
    wrong = -mp.fsum(truth.gradient_and_diagonal()[2]) * truth.s**power
    got = CertifiedDiracMixture(atoms, weights).fisher_trace(x, alpha, sigma)
    assert not vector(got.lower)[0] <= wrong <= vector(got.upper)[0]
    with pytest.raises(AssertionError):
        check(got, wrong)


def test_one_distinct_atom_has_covariance_zero_with_radius_zero():
    oracle = CertifiedDiracMixture([[0.1, 0.3], [0.1, 0.3], [7.0, 7.0]], [0.25, 0.75, 0.0])
    got = oracle.posterior_covariance([[0.3, 0.7]], 0.6, 0.8)
    assert got.precision <= 256
    assert not got.value.any()
    assert not got.radius.any()


def test_a_zero_that_the_arithmetic_does_not_see_is_found_below_the_smallest_subnormal():
    # 1 / sigma^2 = alpha^2 / sigma^4 * 1 at the midpoint, but the balls do not cancel to radius zero.
    got = CertifiedDiracMixture([[-3.0], [3.0]]).fisher_trace([0.0], 1.0, 3.0)
    assert got.value == 0.0
    assert got.radius <= 5e-324
    assert got.precision > 1000


def test_weights_are_exact_and_normalised_by_their_exact_sum():
    weights = np.full(10, np.float64(0.1))
    total = sum(Fraction(w) for w in weights)
    assert total != 1
    atoms, x = np.arange(10.0)[:, None], np.array([4.25])
    check_all(CertifiedDiracMixture(atoms, weights), Truth(atoms, weights, x, 0.8, 0.6))
    check_all(CertifiedDiracMixture(atoms), Truth(atoms, np.ones(10), x, 0.8, 0.6))
    check_all(CertifiedDiracMixture(atoms[:3], [0.5, 0.0, 0.5]), Truth(atoms[:3:2], weights[:2], x, 0.8, 0.6))
    check_all(CertifiedDiracMixture(atoms[:2], [1.0, 1e-300]), Truth(atoms[:2], np.array([1, 1e-300]), x, 0.8, 0.6))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_every_float_type_is_taken_exactly(dtype):
    rng = np.random.default_rng(3)
    atoms, x = (
        (rng.normal(size=(2, 2)) / dtype(3)).astype(dtype),
        (rng.normal(size=2) / dtype(3)).astype(dtype),
    )
    alpha, sigma = dtype(2) / dtype(3), dtype(1) / dtype(3)
    check_all(CertifiedDiracMixture(atoms), Truth(atoms, np.ones(2), x, alpha, sigma))


def test_a_batch_is_its_points():
    atoms, weights, _, _, _ = problem(5, 3, 0)
    rng = np.random.default_rng(1)
    x, v, levels = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.uniform(0.1, 1, size=(2, 4))
    for oracle in (
        CertifiedDiracMixture(atoms, weights),
        CertifiedGaussianMixture(atoms, np.array([np.eye(3)] * 5), weights),
    ):
        for name in (
            "log_density",
            "score",
            "posterior_mean",
            "posterior_covariance",
            "fisher",
            "fisher_trace",
        ):
            batch = getattr(oracle, name)(x, *levels)
            rows = [getattr(oracle, name)(x[i], *levels[:, i]).value for i in range(4)]
            np.testing.assert_array_equal(batch.value, rows)
            assert getattr(oracle, name)(x[:0], 1.0, 1.0).value.shape == (0, *batch.value.shape[1:])
        products = [oracle.fisher_vector_product(x[i], v[i], *levels[:, i]).value for i in range(4)]
        np.testing.assert_array_equal(oracle.fisher_vector_product(x, v, *levels).value, products)


def test_undecided_says_why_and_keeps_what_it_has():
    atoms, weights, x, alpha, sigma = problem(5, 2, 0)
    truth = -mp.fsum(Truth(atoms, weights, x, alpha, sigma).gradient_and_diagonal()[2])
    widths = []
    for bits in (2, 30, 60, 100):
        got = CertifiedDiracMixture(atoms, weights, max_precision=bits).fisher_trace(x, alpha, sigma)
        assert (got.value, got.radius, got.decided, got.precision) == (None, None, False, bits)
        assert "raise max_precision" in got.reason
        assert got.lower <= truth <= got.upper
        widths.append(float(got.upper - got.lower))
    assert all(wide >= narrow for wide, narrow in pairwise(widths))
    assert widths[-1] < 1e-15


def test_undecided_where_time_runs_out_or_a_matrix_is_not_inverted():
    got = CertifiedDiracMixture([[0.0], [1.0]], time_limit=1e-9).score([[0.5], [0.25]], 1.0, 1.0)
    assert not got.decided
    assert "time_limit" in got.reason
    assert (got.lower == -np.inf).all()
    assert (got.upper == np.inf).all()
    ones = np.ones((1, 3, 3))
    got = CertifiedGaussianMixture(np.zeros((1, 3)), ones, max_precision=8).fisher(np.ones(3), 1.0, 1e-9)
    assert not got.decided
    assert got.lower.shape == (3, 3)
    assert (got.lower == -np.inf).all()


def test_undecided_where_float64_overflows_and_correct_where_it_underflows():
    oracle = CertifiedDiracMixture([[0.0], [1.0]])
    got = oracle.fisher_trace([0.0], 1.0, 1e-160)
    assert not got.decided
    assert "overflows" in got.reason
    assert (got.lower, got.upper) == (np.finfo(float).max, np.inf)
    got = oracle.posterior_covariance([0.0], 1.0, 1e-9)
    assert (got.value, got.radius, got.lower, got.upper) == (0.0, 5e-324, 0.0, 5e-324)


def test_the_global_precision_is_restored(monkeypatch):
    oracle = CertifiedDiracMixture([[0.0], [1.0]])

    def fails(*_):
        assert ctx.prec != 77
        raise RuntimeError("planted")

    with ctx.workprec(77):
        assert oracle.score([0.5], 1.0, 1.0).decided
        assert ctx.prec == 77
        with pytest.raises(ValueError, match="sigma must be positive"):
            oracle.score([0.5], 1.0, 0.0)
        assert ctx.prec == 77
        monkeypatch.setattr(oracle, "_posterior", fails)
        with pytest.raises(RuntimeError, match="planted"):
            oracle.score([0.5], 1.0, 1.0)
        assert ctx.prec == 77


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0],), "one row per component"),
        (([[1.0], [np.nan]],), "atoms must be finite"),
        (([["a"]],), "real floats"),
        (([[2**53 + 1]],), "beyond 2\\*\\*53"),
        (([[1.0], [2.0]], [1.0]), r"weights must have shape \(2,\)"),
        (([[1.0], [2.0]], [1.5, -0.5]), "must not be negative"),
        (([[1.0], [2.0]], [0.5, 0.50001]), "Divide them by their sum"),
        (([[1.0], [2.0]], [1e308, 1e308]), "Divide them by their sum"),
    ],
)
def test_unusable_atoms(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        CertifiedDiracMixture(*arguments)


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        ([[1.0]], "one matrix per mean"),
        ([[1.0, 2.0], [0.0, 1.0]], "symmetric to the last bit"),
        ([[1.0, 2.0], [2.0, 1.0]], "not positive semi-definite"),
    ],
)
def test_unusable_covariances(covariance, message):
    with pytest.raises(ValueError, match=message):
        CertifiedGaussianMixture([[0.0, 0.0]], [covariance])


def test_unusable_points_and_limits():
    oracle = CertifiedDiracMixture([[0.0, 0.0], [1.0, 0.0]])
    for x, message in (([1.0], "for one point or"), ([[np.inf, 0.0]], "x must be finite")):
        with pytest.raises(ValueError, match=message):
            oracle.score(x, 1.0, 1.0)
    with pytest.raises(ValueError, match="alpha must be positive"):
        oracle.score([1.0, 1.0], -1.0, 1.0)
    with pytest.raises(ValueError, match="as many rows as x"):
        oracle.fisher_vector_product([[1.0, 1.0]], np.ones((2, 2)), 1.0, 1.0)
    for limits in ({"max_precision": 1}, {"max_precision": 64.5}, {"time_limit": 0.0}):
        with pytest.raises(ValueError, match=next(iter(limits))):
            CertifiedDiracMixture([[0.0]], **limits)


def test_a_covariance_that_rounding_made_indefinite_is_named_where_it_matters():
    slightly = np.array([[[1.0, 1.0], [1.0, 1.0 - 2.0**-52]]])
    oracle = CertifiedGaussianMixture([[0.0, 0.0]], slightly)
    assert oracle.fisher_trace([1.0, 0.0], 1.0, 0.5).decided
    with pytest.raises(ValueError, match="not positive definite"):
        oracle.fisher_trace([1.0, 0.0], 1.0, 1e-9)
