"""Two independent routes for each quantity, for each family of data, the flow and each schedule.

One route is the oracle; the other knows nothing of its formulas: derivatives in 50 digits of a log density that is
written down again from its definition (a sum, an error function, an integral), the ODE in the paper's own time, finite
differences. What is added to an interface without a second route fails here.
"""

import functools
import inspect

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from afi_reference import DiracMixture, GaussianMixture, families, schedules
from afi_reference.certified import CertifiedDiracMixture, CertifiedGaussianMixture
from afi_reference.certified.oracle import CertifiedOracle
from afi_reference.distribution import Distribution
from afi_reference.flow import FlowOracle
from afi_reference.schedules import Schedule

DIGITS = 50
INTEGRALS = {"segment", "density"}  # in 30 digits, which takes a third of the time
POINT = [0.4, -0.3]
DIRECTION = [1.0, -2.0]
LEVELS = [(0.8, 0.6), (0.25, 1.5)]

ATOMS = [[0.0, 0.5], [1.0, 0.25], [-0.75, -1.0]]
WEIGHTS = [0.5, 0.375, 0.125]
COVARIANCES = [[[0.5, 0.25], [0.25, 1.0]], [[0.125, 0.0], [0.0, 0.25]], [[1.0, -0.5], [-0.5, 0.5]]]
FACTORS = [[[1.0], [0.5]], [[0.25], [-1.0]], [[0.5], [0.5]]]
LOW, HIGH = [-1.0, -0.25], [0.5, 1.25]
CENTRE, RADIUS = [0.25, 0.5], 1.25


# The second route of the families: log q_t from its definition, in mpmath numbers.


def normal(residual, covariance):
    d = len(residual)
    r = mp.matrix(residual)
    distance = (r.T * covariance**-1 * r)[0]
    return mp.exp(-distance / 2) / mp.sqrt((2 * mp.pi) ** d * mp.det(covariance))


def gaussians(x, alpha, sigma, covariances, means=ATOMS, weights=WEIGHTS):
    d = len(x)
    return mp.fsum(
        w * normal([a - alpha * b for a, b in zip(x, m, strict=True)], alpha**2 * c + sigma**2 * mp.eye(d))
        for w, m, c in zip(weights, means, covariances, strict=True)
    )


def diracs(x, alpha, sigma):
    return gaussians(x, alpha, sigma, [mp.zeros(2)] * 3)


def full(x, alpha, sigma):
    return gaussians(x, alpha, sigma, [mp.matrix(c) for c in COVARIANCES])


def low_rank(x, alpha, sigma):
    return gaussians(x, alpha, sigma, [mp.matrix(u) * mp.matrix(u).T + mp.mpf("0.25") * mp.eye(2) for u in FACTORS])


def interval(x, low, high, alpha, sigma):
    return (mp.ncdf((x - alpha * low) / sigma) - mp.ncdf((x - alpha * high) / sigma)) / (alpha * (high - low))


def box(x, alpha, sigma):
    return mp.fprod(interval(*side, alpha, sigma) for side in zip(x, LOW, HIGH, strict=True))


def kernel(x, y, alpha, sigma):
    distance = sum((a - alpha * b) ** 2 for a, b in zip(x, y, strict=True))
    return mp.exp(-distance / (2 * sigma**2)) / (2 * mp.pi * sigma**2)


def segment(x, alpha, sigma):
    def mass(s):
        return kernel(x, [a + s * (b - a) for a, b in zip(LOW, HIGH, strict=True)], alpha, sigma)

    return mp.quad(mass, [0, 1])


def sphere(x, alpha, sigma):
    # On a circle the mean over equidistant points converges faster than any power of their number.
    angles = [2 * mp.pi * k / 96 for k in range(96)]
    points = [[CENTRE[0] + RADIUS * mp.cos(s), CENTRE[1] + RADIUS * mp.sin(s)] for s in angles]
    return mp.fsum(kernel(x, point, alpha, sigma) for point in points) / 96


def product(x, alpha, sigma):
    atoms = gaussians(x[:1], alpha, sigma, [mp.zeros(1)] * 2, [[-1], [mp.mpf("0.5")]], [mp.mpf("0.25"), mp.mpf("0.75")])
    return atoms * interval(x[1], -1, 2, alpha, sigma)


def mixture(x, alpha, sigma):
    return (3 * diracs(x, alpha, sigma) + box(x, alpha, sigma)) / 4


def quartic(x, alpha, sigma):
    def joint(y):
        return mp.exp(-(y**4) - (x[0] - alpha * y) ** 2 / (2 * sigma**2)) / mp.sqrt(2 * mp.pi * sigma**2)

    ends = [-2, 0, 2]
    return mp.quad(joint, ends) / mp.quad(lambda y: mp.exp(-(y**4)), ends)


DIRACS = DiracMixture(np.array(ATOMS), np.array(WEIGHTS))
BOX = families.UniformBox(LOW, HIGH)
LAWS = {
    "Diracs": (DIRACS, diracs),
    "Gaussian mixture": (GaussianMixture(np.array(ATOMS), np.array(COVARIANCES), np.array(WEIGHTS)), full),
    "low rank": (families.LowRankGaussianMixture(ATOMS, FACTORS, 0.25, WEIGHTS), low_rank),
    "box": (BOX, box),
    "segment": (families.UniformSegment(LOW, HIGH), segment),
    "sphere": (families.UniformSphere(CENTRE, RADIUS), sphere),
    "product": (
        families.ProductOfLaws(
            [DiracMixture(np.array([[-1.0], [0.5]]), np.array([0.25, 0.75])), families.UniformBox([-1.0], [2.0])]
        ),
        product,
    ),
    "mixture": (families.MixtureOfLaws([DIRACS, BOX], np.array([0.75, 0.25])), mixture),
    "density": (families.DensityOracle(lambda y: -(y[:, 0] ** 4), np.array([[-2.0, 2.0]])), quartic),
}
CERTIFIED = {
    "Diracs": CertifiedDiracMixture(ATOMS, WEIGHTS),
    "Gaussian mixture": CertifiedGaussianMixture(ATOMS, COVARIANCES, WEIGHTS),
}

# The second route of the quantities: derivatives of that log density, and the definition of the posterior's moments by
# its generating function E[exp(<s, x_0>)] = q_t(x + s sigma^2 / alpha) exp(...) / q_t(x), that is Tweedie's formulas.
QUANTITIES = {
    "log_density": lambda n: n["log q"],
    "score": lambda n: n["score"],
    "posterior_mean": lambda n: n["mean"],
    "posterior_covariance": lambda n: n["covariance"],
    "posterior_second_moment": lambda n: sum(m * m for m in n["mean"]) + sum(n["covariance"][k, k] for k in n["axes"]),
    "fisher": lambda n: n["fisher"],
    "fisher_vector_product": lambda n: n["fisher"] * mp.matrix(DIRECTION[: len(n["axes"])]),
    "fisher_trace": lambda n: sum(n["fisher"][k, k] for k in n["axes"]),
}


@functools.cache
def derivatives(name, level):
    law, density = LAWS[name]
    d = law.dimension
    with mp.workdps(30 if name in INTEGRALS else DIGITS + 10):
        alpha, sigma = (mp.mpf(value) for value in level)
        x = tuple(mp.mpf(value) for value in POINT[:d])

        def log_density(*z):
            return mp.log(density(list(z), alpha, sigma))

        def order(*axes):
            return tuple(axes.count(k) for k in range(d))

        def slope(*axes):
            orders = order(*axes)
            return mp.diff(log_density, x if d > 1 else x[0], orders if d > 1 else orders[0])

        score = mp.matrix([slope(k) for k in range(d)])
        fisher = mp.matrix(d, d)
        for a in range(d):
            for b in range(a, d):
                fisher[a, b] = fisher[b, a] = -slope(a, b)
        return {
            "axes": range(d),
            "log q": log_density(*x),
            "score": score,
            "fisher": fisher,
            "mean": (mp.matrix(x) + sigma**2 * score) / alpha,
            "covariance": (mp.eye(d) - sigma**2 * fisher) * sigma**2 / alpha**2,
        }


def arguments(law, level, quantity):
    d = law.dimension
    vectors = [np.array([POINT[:d]])]
    if quantity == "fisher_vector_product":
        vectors.append(np.array([DIRECTION[:d]]))
    return (*vectors, *level)


def distance(answer, truth):
    """Largest error, relative to the norm of the truth."""
    with mp.workdps(DIGITS):
        truth = mp.matrix([[truth]]) if isinstance(truth, mp.mpf) else truth
        answer = mp.matrix(np.asarray(answer).reshape(truth.rows, truth.cols).tolist())
        return float(mp.norm(answer - truth) / mp.norm(truth))


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", LAWS)
def test_oracle_agrees_with_derivatives_in_50_digits(name, level, quantity):
    law, _ = LAWS[name]
    truth = QUANTITIES[quantity](derivatives(name, level))
    answer = getattr(law, quantity)(*arguments(law, level, quantity))[0]
    assert distance(answer, truth) < (1e-10 if name == "density" else 1e-13)
    if name in CERTIFIED:
        certified = getattr(CERTIFIED[name], quantity)(*arguments(law, level, quantity))
        assert distance(certified.value[0], truth) < 2.0**-52


def test_second_route_can_tell():
    for quantity, of in QUANTITIES.items():
        right, other = (of(derivatives("Diracs", level)) for level in LEVELS)
        assert (
            distance(np.array(mp.matrix(right if not isinstance(right, mp.mpf) else [right]), float), other) > 1e-3
        ), quantity


def public(interface):
    return {name for name, value in vars(interface).items() if not name.startswith("_") and callable(value)}


def test_every_quantity_and_every_family_has_two_routes():
    assert public(Distribution) == set(QUANTITIES)
    assert public(CertifiedOracle) == set(QUANTITIES)
    laws = {"DiracMixture", "GaussianMixture", *families.__all__}
    assert {type(law).__name__ for law, _ in LAWS.values()} == laws


# Along the flow: the ODE as the paper prints it, in its own time, and finite differences of that.

VP = schedules.VPLinear()
START, END = 0.35, 0.6
X, GRADIENT = np.array([[0.5, 0.25]]), np.array([[1.0, -2.0]])


def printed(x, start=START, end=END):
    """Eq. 5."""

    def slope(t, y):
        score = DIRACS.score(y[None], VP.alpha(t), VP.sigma(t))[0]
        return VP.f(t) * y - VP.g2(t) / 2 * score

    return solve_ivp(slope, (start, end), x, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]


@functools.cache
def differences():
    h = 2.0**-8
    columns = []
    for unit in np.eye(2):
        values = [printed(X[0] + k * h * unit) for k in (-3, -2, -1, 1, 2, 3)]
        columns.append(np.array([-1, 9, -45, 45, -9, 1]) @ np.array(values) / (60 * h))
    return np.stack(columns, axis=1)


def density(x, t):
    return DIRACS.log_density(x[None], VP.alpha(t), VP.sigma(t))[0]


FLOW = {
    "transport": (lambda o: o.transport(X, START, END), lambda: printed(X[0])),
    "transport_jacobian": (lambda o: o.transport_jacobian(X, START, END), differences),
    "adjoint": (lambda o: o.adjoint(X, GRADIENT, START, END), lambda: GRADIENT[0] @ differences()),
    "log_determinant": (lambda o: o.log_determinant(X, START, END), lambda: np.linalg.slogdet(differences())[1]),
    "log_likelihood": (lambda o: o.log_likelihood(X, START, END), lambda: density(X[0], START)),
}


@pytest.mark.parametrize("quantity", FLOW)
def test_flow_agrees_with_the_printed_ode_and_its_differences(quantity):
    oracle, other = FLOW[quantity]
    answer = oracle(FlowOracle(DIRACS, VP)).value[0]
    np.testing.assert_allclose(answer, other(), rtol=0, atol=1e-8 * np.linalg.norm(answer))


def test_every_quantity_of_the_flow_has_two_routes():
    assert public(FlowOracle) == set(FLOW)


# Schedules: what the definitions of eq. 1 and 2 say, by finite differences of alpha and sigma.

SCHEDULES = {
    "EDM": schedules.EDM(),
    "DiscreteVP": schedules.DiscreteVP(np.exp(-(np.linspace(0.01, 3, 12) ** 2))),
    "LogSNRLinear": schedules.LogSNRLinear(),
    "RectifiedFlow": schedules.RectifiedFlow(),
    "StableDiffusion": schedules.StableDiffusion(),
    "SubVP": schedules.SubVP(),
    "VEGeometric": schedules.VEGeometric(),
    "VPCosine": schedules.VPCosine(),
    "VPLinear": schedules.VPLinear(),
}


def slope(function, t, h):
    t, h = np.longdouble(t), np.longdouble(h)
    values = [function(t + k * h) for k in (-3, -2, -1, 1, 2, 3)]
    return float(np.array([-1, 9, -45, 45, -9, 1]) @ np.array(values) / (60 * h))


def f_of(s, t, h):
    return slope(lambda u: np.log(s.alpha(u)), t, h)


SCHEDULE_QUANTITIES = {
    "alpha": (lambda s, t: s.alpha(t), lambda s, t, h: s.noise_at_log_snr(s.log_snr(t))[0]),
    "sigma": (lambda s, t: s.sigma(t), lambda s, t, h: s.noise_at_log_snr(s.log_snr(t))[1]),
    "log_snr": (lambda s, t: s.log_snr(t), lambda s, t, h: 2 * np.log(s.alpha(t) / s.sigma(t))),
    "f": (lambda s, t: s.f(t), f_of),
    "g2": (
        lambda s, t: s.g2(t),
        lambda s, t, h: slope(lambda u: s.sigma(u) ** 2, t, h) - 2 * f_of(s, t, h) * s.sigma(t) ** 2,
    ),
    "rates": (lambda s, t: s.rates(t), lambda s, t, h: (slope(s.alpha, t, h), slope(s.sigma, t, h))),
    "time_of_log_snr": (lambda s, t: s.time_of_log_snr(s.log_snr(t)), lambda s, t, h: t),
    "noise_at_log_snr": (lambda s, t: s.noise_at_log_snr(s.log_snr(t)), lambda s, t, h: (s.alpha(t), s.sigma(t))),
}


@pytest.mark.parametrize("quantity", SCHEDULE_QUANTITIES)
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_agrees_with_its_definition(name, quantity):
    schedule = SCHEDULES[name]
    one, other = SCHEDULE_QUANTITIES[quantity]
    span = schedule.t_max - schedule.t_min
    for share in (0.21, 0.5, 0.83):
        t = schedule.t_min + share * span
        if name in ("DiscreteVP", "StableDiffusion"):
            t = np.floor(t) + 0.5  # between two steps, where the cubic is smooth
        h = 1e-2 if name in ("DiscreteVP", "StableDiffusion") else 1e-4 * span
        np.testing.assert_allclose(one(schedule, t), other(schedule, t, h), rtol=1e-9, atol=1e-14)


def test_every_schedule_and_every_quantity_has_two_routes():
    assert public(Schedule) == set(SCHEDULE_QUANTITIES)
    classes = {name for name in schedules.__all__ if inspect.isclass(getattr(schedules, name))}
    assert classes - {"Schedule"} == set(SCHEDULES)
