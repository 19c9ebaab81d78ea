"""The flow's oracle, against closed forms, normal CDFs, the ODE as the paper prints it, and itself."""

import dataclasses
from functools import lru_cache

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from afi_reference.dirac import DiracMixture
from afi_reference.flow import FlowEquation, FlowError, FlowOracle, Frame, Level
from afi_reference.gaussian import GaussianMixture, gaussian
from afi_reference.schedules import EDM, LogSNRLinear, RectifiedFlow, VEGeometric, VPCosine, VPLinear

WIDE = LogSNRLinear()  # log-SNR 20 at t = 0, -20 at t = 1
THERE_AND_BACK = [(0.0, 1.0), (1.0, 0.0)]
LONG = np.longdouble


def random_diracs(d, n, seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    return DiracMixture(offset + rng.standard_normal((n, d)), rng.dirichlet(np.ones(n)))


def random_mixture(d, k, seed=0, offset=0.0, diagonal=False):
    rng = np.random.default_rng(seed)
    means = offset + rng.standard_normal((k, d))
    if diagonal:
        return GaussianMixture(means, rng.uniform(0.01, 0.5, (k, d)))
    roots = rng.standard_normal((k, d, d)) / 2 / np.sqrt(d)
    covariances = roots @ roots.transpose(0, 2, 1) + 0.01 * np.eye(d)
    return GaussianMixture(means, (covariances + covariances.transpose(0, 2, 1)) / 2)


TRIANGLE = DiracMixture(np.array([[0.0, 0.0], [1.0, 0.2], [0.3, 1.1]]), np.array([0.5, 0.3, 0.2]))


def noised(distribution, schedule, t, count=1, seed=0):
    rng = np.random.default_rng(seed)
    centres = distribution.atoms if isinstance(distribution, DiracMixture) else distribution.means
    clean = centres[rng.integers(len(centres), size=count)]
    if isinstance(distribution, GaussianMixture):
        clean = clean + 0.1 * rng.standard_normal(clean.shape)
    return schedule.alpha(t) * clean + schedule.sigma(t) * rng.standard_normal(clean.shape)


def true_log_density(distribution, x, schedule, t):
    return distribution.log_density(x.astype(LONG), LONG(schedule.alpha(t)), LONG(schedule.sigma(t)))


CASES = {
    "diracs d=1": random_diracs(1, 2),
    "diracs d=2": TRIANGLE,
    "diracs d=16": random_diracs(16, 20),
    "diracs far away": random_diracs(4, 5, offset=1e3),
    "mixture d=1": random_mixture(1, 2, diagonal=True),
    "mixture d=16": random_mixture(16, 2, diagonal=True),
    "mixture far away": random_mixture(3, 2, offset=1e3, diagonal=True),
}


@pytest.mark.parametrize(("start", "end"), THERE_AND_BACK)
@pytest.mark.parametrize("name", CASES)
def test_change_of_variables_closes_over_the_whole_noise_range(name, start, end):
    distribution = CASES[name]
    x = noised(distribution, WIDE, start)
    answer = FlowOracle(distribution, WIDE).log_likelihood(x, start, end)
    truth = true_log_density(distribution, x, WIDE, start)
    wrong = np.abs(answer.value - truth)
    assert (wrong <= 1e-9 * np.maximum(1, np.abs(truth))).all()
    assert (wrong <= answer.error).all()
    assert (answer.error <= 1e-8 * np.maximum(1, np.abs(truth))).all()


def test_change_of_variables_closes_for_16_dimensional_full_covariances():
    distribution = random_mixture(16, 2)
    x = noised(distribution, WIDE, 0.8)
    answer = FlowOracle(distribution, WIDE).log_likelihood(x, 0.8, 0.5)
    np.testing.assert_allclose(answer.value, true_log_density(distribution, x, WIDE, 0.8), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("start", "end"), [*THERE_AND_BACK, (0.4, 0.6)])
def test_closed_form_of_a_gaussian_agrees_with_integration(start, end):
    covariance = np.array([[1.0, 0.3, 0.0], [0.3, 0.2, 0.1], [0.0, 0.1, 3.0]])
    distribution = gaussian(np.array([100.0, -1.0, 2.0]), covariance)
    x = noised(distribution, WIDE, start)
    closed, integrated = FlowOracle(distribution, WIDE), FlowOracle(distribution, WIDE, closed_form=False)
    arguments = {"adjoint": (np.array([[1.0, -2.0, 0.5]]),)}
    every = ("transport_jacobian", "transport", "log_likelihood", "adjoint", "log_determinant")
    for name in every if (start, end) == (0.4, 0.6) else every[:1]:  # over the whole range each takes seconds
        exact = getattr(closed, name)(x, *arguments.get(name, ()), start, end)
        answer = getattr(integrated, name)(x, *arguments.get(name, ()), start, end)
        difference = np.linalg.norm(exact.value - answer.value)
        assert difference <= 1e-10 * max(1, np.linalg.norm(exact.value)), name
        assert difference <= answer.error[0] + exact.error[0], name
        assert exact.evaluations == 0


@pytest.mark.parametrize(("start", "end"), THERE_AND_BACK)
def test_closed_form_of_a_gaussian_to_many_digits(start, end):
    distribution = gaussian(np.array([1e3, 2.0]), np.array([[2.0, 1.0], [1.0, 2.0]]))  # variances 1 and 3
    x = noised(distribution, WIDE, start)
    oracle = FlowOracle(distribution, WIDE)
    answers = [oracle.transport(x, start, end), oracle.transport_jacobian(x, start, end)]
    with mp.workdps(40):
        a, s, b, u = (mp.mpf(float(v)) for t in (start, end) for v in (WIDE.alpha(t), WIDE.sigma(t)))
        axes = mp.matrix([[1, 1], [-1, 1]]) / mp.sqrt(2)
        stretch = mp.diag([mp.sqrt((b**2 * v + u**2) / (a**2 * v + s**2)) for v in (1, 3)])
        matrix = axes * stretch * axes.T
        mean = mp.matrix([1000, 2])
        point = b * mean + matrix * (mp.matrix(x[0].tolist()) - a * mean)
        for answer, truth in zip(answers, (point, matrix), strict=True):
            wrong = mp.norm(mp.matrix(answer.value[0].tolist()) - truth)
            assert wrong <= answer.error[0] <= 1e-12 * (1 + mp.norm(truth))
        quadratic = sum(
            w**2 / (a**2 * v + s**2)
            for w, v in zip(axes.T * (mp.matrix(x[0].tolist()) - a * mean), (1, 3), strict=True)
        )
        volume = sum(mp.log(2 * mp.pi * (a**2 * v + s**2)) for v in (1, 3))
        likelihood = oracle.log_likelihood(x, start, end)
        assert abs(likelihood.value[0] + (quadratic + volume) / 2) <= likelihood.error[0] <= 1e-9


def test_single_atom_has_a_closed_form():
    distribution = DiracMixture(np.array([[1.0, 2.0]]))
    x = noised(distribution, WIDE, 0.0)
    answer = FlowOracle(distribution, WIDE).transport(x, 0.0, 1.0)
    truth = WIDE.alpha(1.0) * distribution.atoms + WIDE.sigma(1.0) / WIDE.sigma(0.0) * (
        x.astype(LONG) - LONG(WIDE.alpha(0.0)) * distribution.atoms
    )
    assert np.linalg.norm(answer.value - truth) <= answer.error[0] <= 1e-12


def rearranged(distribution, x, start, end):
    """The monotone map between the two distribution functions, by bisection on normal CDFs."""
    with mp.workdps(50):
        a, s, b, u = (mp.mpf(float(v)) for t in (start, end) for v in (WIDE.alpha(t), WIDE.sigma(t)))
        atoms = np.stack([distribution.weights, distribution.atoms[:, 0]], axis=1).tolist()

        def mass(point, alpha, sigma):
            return sum(mp.mpf(w) * mp.ncdf((point - alpha * y) / sigma) for w, y in atoms)

        goal = mass(mp.mpf(float(x)), a, s)
        low, high = -60 * (1 + u), 60 * (1 + u)
        for _ in range(150):
            middle = (low + high) / 2
            low, high = (middle, high) if mass(middle, b, u) < goal else (low, middle)
        return (low + high) / 2


@pytest.mark.parametrize(("start", "end"), [*THERE_AND_BACK, (0.35, 0.8), (0.6, 0.45)])
def test_in_one_dimension_the_map_is_the_monotone_rearrangement(start, end):
    distribution = DiracMixture(np.array([[-1.0], [0.25], [1.5]]), np.array([0.25, 0.5, 0.25]))
    x = noised(distribution, WIDE, start, count=2, seed=5)
    answer = FlowOracle(distribution, WIDE).transport(x, start, end)
    for point, value, error in zip(x[:, 0], answer.value[:, 0], answer.error, strict=True):
        truth = rearranged(distribution, point, start, end)
        assert abs(value - truth) <= error
        assert abs(value - truth) <= 1e-10 * max(WIDE.sigma(end), abs(truth))


@pytest.mark.parametrize(("start", "end"), [(0.45, 0.6), (0.6, 0.45)])
def test_jacobian_against_finite_differences_of_the_map(start, end):
    x = np.array([[0.4, 0.5]])
    oracle = FlowOracle(TRIANGLE, WIDE)
    jacobian = oracle.transport_jacobian(x, start, end)
    columns = []
    for unit in np.eye(2):
        values = [oracle.transport(x + step * unit, start, end).value[0] for step in (-2e-3, -1e-3, 1e-3, 2e-3)]
        columns.append(np.array([1, -8, 8, -1]) @ np.array(values) / 12e-3)
    np.testing.assert_allclose(np.stack(columns, axis=1), jacobian.value[0], rtol=0, atol=1e-8)


@pytest.mark.parametrize(("start", "end"), [*THERE_AND_BACK, (0.7, 0.4)])
def test_adjoint_trace_and_densities_agree_with_the_jacobian(start, end):
    x, gradient = noised(TRIANGLE, WIDE, start, seed=3), np.array([[1.0, -2.0]])
    oracle = FlowOracle(TRIANGLE, WIDE)
    jacobian = oracle.transport_jacobian(x, start, end)
    adjoint = oracle.adjoint(x, gradient, start, end)
    wrong = np.linalg.norm(adjoint.value[0] - jacobian.value[0].T @ gradient[0])
    assert wrong <= adjoint.error[0] + np.linalg.norm(gradient) * jacobian.error[0]
    assert wrong <= 1e-9 * np.linalg.norm(adjoint.value)
    transposed = np.linalg.norm(adjoint.value[0] - jacobian.value[0] @ gradient[0])
    assert transposed > 1e-4 * np.linalg.norm(adjoint.value)  # the case can tell J from its transpose
    determinant = oracle.log_determinant(x, start, end)
    assert abs(np.linalg.slogdet(jacobian.value[0])[1] - determinant.value[0]) < 1e-9
    arrived = oracle.transport(x, start, end).value
    densities = [true_log_density(TRIANGLE, point, WIDE, t)[0] for point, t in ((x, start), (arrived, end))]
    # A float64 point at little noise knows its noise to this much only.
    lost = 1e-15 / min(WIDE.sigma(start), WIDE.sigma(end))
    assert abs(densities[0] - densities[1] - determinant.value[0]) < 1e-9 + 100 * lost


def symmetry_defect(matrix):
    return np.abs(matrix - matrix.T).max() / np.abs(matrix).max()


def test_jacobian_is_symmetric_for_collinear_atoms_and_not_for_a_triangle():
    x = np.array([[0.4, 0.5]])
    skew = FlowOracle(TRIANGLE, WIDE).transport_jacobian(WIDE.alpha(0.6) * np.array([[0.7, 0.7]]), 0.6, 0.4)
    assert symmetry_defect(skew.value[0]) > 1e-2
    assert skew.error[0] < 1e-8 * np.linalg.norm(skew.value)
    collinear = DiracMixture(np.outer([-1.0, 0.2, 1.5], [0.6, 0.8]) + 3.0)
    straight = FlowOracle(collinear, WIDE).transport_jacobian(3.0 * WIDE.alpha(0.45) + x, 0.45, 0.6)
    assert symmetry_defect(straight.value[0]) < 1e-11


def paper_flow(distribution, schedule, x, start, end, *, drift_factor=1.0, score_factor=0.5):
    """Eq. 5 as printed, in t; the factors are for planting errors."""

    def slope(t, y):
        score = distribution.score(y[None], schedule.alpha(t), schedule.sigma(t))[0]
        return drift_factor * schedule.f(t) * y - score_factor * schedule.g2(t) * score

    return solve_ivp(slope, (start, end), x, method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]


SCHEDULES = [VPLinear(), VPCosine(), VEGeometric(), EDM(), RectifiedFlow()]


@lru_cache
def between(schedule):
    return float(schedule.time_of_log_snr(2.0)), float(schedule.time_of_log_snr(-2.0))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_map_is_that_of_the_printed_equation_under_every_schedule(schedule):
    start, end = between(schedule)
    x = schedule.alpha(start) * np.array([[0.5, 0.6]])
    value = FlowOracle(TRIANGLE, schedule).transport(x, start, end).value[0]
    scale = schedule.sigma(end)
    assert np.linalg.norm(value - paper_flow(TRIANGLE, schedule, x[0], start, end)) < 1e-8 * scale
    for mutant in ({"score_factor": 1.0}, {"drift_factor": -1.0}):
        if "drift_factor" in mutant and not schedule.f(start):
            continue  # alpha is constant: there is no drift to get wrong
        assert np.linalg.norm(value - paper_flow(TRIANGLE, schedule, x[0], start, end, **mutant)) > 1e-2 * scale


def test_schedules_agree_between_the_same_log_snr():
    values, likelihoods = [], []
    for schedule in SCHEDULES:
        start, end = between(schedule)
        alpha, oracle = schedule.alpha(start), FlowOracle(TRIANGLE, schedule)
        values.append(oracle.transport(alpha * np.array([[0.5, 0.6]]), start, end).value / schedule.alpha(end))
        likelihood = oracle.log_likelihood(alpha * np.array([[0.5, 0.6]]), start, end).value
        likelihoods.append(likelihood + 2 * np.log(alpha))
    np.testing.assert_allclose(values, np.broadcast_to(values[0], np.shape(values)), rtol=1e-11)
    np.testing.assert_allclose(likelihoods, np.broadcast_to(likelihoods[0], np.shape(likelihoods)), rtol=1e-11)


@dataclasses.dataclass(frozen=True, eq=False)
class DroppedHalf(FlowEquation):
    def velocity(self, rho, n):
        r, scale = np.exp(rho), self.scale(rho)
        return -(r**2) * (2 * self.frame.score(scale * n, r) + scale * n / scale**2) / scale


@dataclasses.dataclass(frozen=True, eq=False)
class WrongDrift(FlowEquation):
    """What f of the wrong sign does to a variance-preserving schedule: z is no longer free of it."""

    def velocity(self, rho, n):
        r = np.exp(rho)
        return super().velocity(rho, n) + 2 * r**2 / (1 + r**2) * (n + self.frame.origin / self.scale(rho))

    def divergence(self, rho, n):
        r = np.exp(rho)
        return super().divergence(rho, n) + 2 * r**2 / (1 + r**2) * len(n)


@pytest.mark.parametrize("mutant", [DroppedHalf, WrongDrift])
def test_identity_does_not_close_for_a_wrong_equation(mutant, monkeypatch):
    monkeypatch.setattr("afi_reference.flow.integrated.FlowEquation", mutant)
    x = np.array([[0.5, 0.6]])
    answer = FlowOracle(TRIANGLE, WIDE).log_likelihood(x, 0.45, 0.6)
    assert abs(answer.value - true_log_density(TRIANGLE, x, WIDE, 0.45)) > 1e-2


def test_equation_linearises_itself():
    level = Level(0.8, 0.6)
    equation = FlowEquation(Frame.around(random_mixture(2, 2), np.array([0.3, -0.2]), level))
    rho, n, v = -0.4, np.array([0.2, 0.5]), np.array([1.0, -3.0])
    gradient = equation.gradient(rho, n)
    h = 1e-5
    columns = [(equation.velocity(rho, n + h * e) - equation.velocity(rho, n - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(np.stack(columns, axis=1), gradient, atol=1e-8)
    np.testing.assert_allclose(equation.gradient_product(rho, n, v), gradient @ v, rtol=1e-12)
    assert equation.divergence(rho, n) == pytest.approx(np.trace(gradient), rel=1e-12)


class Opaque:
    """A distribution of no known kind: it cannot be moved to a frame's origin."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)


@pytest.mark.parametrize(("start", "end"), [(0.4, 0.7), (0.7, 0.4)])
def test_any_distribution_will_do(start, end):
    x = noised(TRIANGLE, WIDE, start)
    known = FlowOracle(TRIANGLE, WIDE)
    opaque = FlowOracle(Opaque(TRIANGLE), WIDE)
    for name in ("transport", "log_likelihood"):
        expected, answer = getattr(known, name)(x, start, end), getattr(opaque, name)(x, start, end)
        assert np.linalg.norm(expected.value - answer.value) <= expected.error[0] + answer.error[0] < 1e-9


def test_stiff_layer_between_atoms_is_crossed():
    distribution = DiracMixture(np.array([[-1.0], [1.0]]))
    time = float(WIDE.time_of_log_snr(7.0))
    x = np.array([[0.01]])
    answer = FlowOracle(distribution, WIDE).log_likelihood(x, time, 0.4)
    truth = true_log_density(distribution, x, WIDE, time)
    assert truth[0] < -400
    assert abs(answer.value - truth)[0] <= min(answer.error[0], 1e-9 * abs(truth[0]))


def test_a_flow_that_costs_too_much_says_where_it_stopped():
    oracle = FlowOracle(DiracMixture(np.array([[-1.0], [1.0]])), WIDE, max_evaluations=100)
    with pytest.raises(FlowError, match="after 101 evaluations"):
        oracle.transport(np.array([[0.3]]), 0.4, 1.0)


def test_no_way_between_a_time_and_itself():
    x = np.array([[0.4, 0.5]])
    oracle = FlowOracle(TRIANGLE, WIDE)
    np.testing.assert_allclose(oracle.transport(x, 0.4, 0.4).value, x, rtol=1e-15)
    np.testing.assert_allclose(oracle.transport_jacobian(x, 0.4, 0.4).value[0], np.eye(2), rtol=1e-15)
    assert oracle.log_determinant(x, 0.4, 0.4).value == 0
    assert not oracle.adjoint(x, np.zeros((1, 2)), 0.3, 0.6).value.any()


def test_what_cannot_be_answered_is_refused():
    oracle = FlowOracle(TRIANGLE, RectifiedFlow())
    x = np.array([[0.4, 0.5]])
    with pytest.raises(ValueError, match="Stop a little short of the end"):
        oracle.transport(x, 0.5, 1.0)
    with pytest.raises(ValueError, match="t of the rectified-flow schedule"):
        oracle.transport(x, 0.5, 1.5)
    with pytest.raises(ValueError, match=r"x must have shape \(B, 2\)"):
        oracle.transport(x[0], 0.5, 0.6)
    with pytest.raises(ValueError, match="one gradient per point"):
        oracle.adjoint(x, np.ones((2, 2)), 0.5, 0.6)
    with pytest.raises(ValueError, match="at least one point"):
        oracle.transport(np.empty((0, 2)), 0.5, 0.6)
