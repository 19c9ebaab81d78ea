"""The symbolic derivations hold, bite on any wrong number, and agree with numeric differentiation."""

import inspect
import random
import subprocess
import sys
import zlib
from fractions import Fraction
from functools import cache

import mpmath
import pytest
import sympy
from mpmath import mp, mpf
from sympy.core.function import AppliedUndef
from sympy.matrices.expressions.matexpr import MatrixElement

from afi_reference.schedules import EDM, RectifiedFlow, SubVP, VEGeometric, VPCosine, VPLinear
from afi_reference.symbolic import DERIVATIONS, Derivation
from afi_reference.symbolic.densities import PRECISION
from afi_reference.symbolic.schedules import SCHEDULES

DIGITS = 50
ATOMS = 3
MISPRINTED = {
    "eq-4-predictions",
    "eq-9",
    "eq-10",
    "eq-14-partial",
    "eq-17",
    "eq-22",
    "eq-29",
    "eq-32",
    "eq-42",
    "eq-51",
    "eq-53",
}

# Where a symbol cannot take any positive value: intervals, probabilities, definite matrices, times.
CONSTRAINED = {
    "a": Fraction(-1, 2),
    "b": Fraction(3, 4),
    "p_11": Fraction(3, 2),
    "p_22": Fraction(5, 3),
    "p_12": Fraction(-2, 3),
    "t": Fraction(2, 5),
    "alpha_T": Fraction(1, 4),
    "N": Fraction(ATOMS),
    "d": Fraction(4),
}


@cache
def derivation(label: str) -> Derivation:
    return DERIVATIONS[label]()


def numbers_of(label: str) -> dict[str, int]:
    parameters = inspect.signature(DERIVATIONS[label]).parameters
    return {name: parameter.default for name, parameter in parameters.items()}


FAULTS = [(label, name, value + 1) for label in DERIVATIONS for name, value in numbers_of(label).items()]


class Point:
    """A random rational point: one value for every name, and the data there."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def rational(self, name: str) -> Fraction:
        if name in CONSTRAINED:
            return CONSTRAINED[name]
        draw = random.Random(zlib.crc32(f"{name}/{self.seed}".encode()))
        return Fraction(draw.randint(5, 30), draw.randint(12, 24))

    def real(self, name: str) -> mpf:
        value = self.rational(name)
        return mpf(value.numerator) / value.denominator

    def symbol(self, name: str) -> sympy.Rational:
        value = self.rational(name)
        return sympy.Rational(value.numerator, value.denominator)

    def x(self, d: int) -> list[mpf]:
        return [self.real(f"x_{k}") for k in range(1, d + 1)]

    def weights(self) -> list[mpf]:
        return [self.real(f"w[{i}]") for i in range(1, ATOMS + 1)]

    def atoms(self, d: int) -> list[list[mpf]]:
        return [[self.real(f"y[{i}, {k}]") for k in range(1, d + 1)] for i in range(1, ATOMS + 1)]

    def evaluate(self, expression: sympy.Expr) -> mpf:
        """Insert the numbers; an undetermined density becomes atoms, an undetermined function a sine."""
        sizes = {s: self.symbol(s.name) for s in expression.free_symbols if s.name in ("N", "d")}
        expression = expression.xreplace(sizes).replace(sympy.Integral, self._atomic)
        expression = expression.replace(sympy.Sum, self._finite)
        slopes = {slope: self._insert(slope).doit() for slope in expression.atoms(sympy.Derivative)}
        expression = self._insert(expression.xreplace(slopes))
        entries = expression.atoms(sympy.Indexed, MatrixElement)
        expression = expression.xreplace({entry: self.symbol(str(entry)) for entry in entries})
        numbers = {s: self.symbol(s.name) for s in expression.free_symbols}
        return mpmath.mpmathify(expression.xreplace(numbers).evalf(DIGITS + 10))

    def _insert(self, expression: sympy.Expr) -> sympy.Expr:
        return expression.subs({call: self._function(call) for call in expression.atoms(AppliedUndef)})

    @staticmethod
    def _finite(body: sympy.Expr, limit: sympy.Tuple) -> sympy.Expr:
        index, first, last = limit
        return sympy.Add(*(body.xreplace({index: sympy.Integer(i)}) for i in range(first, last + 1)))

    def _atomic(self, body: sympy.Expr, *limits: sympy.Tuple) -> sympy.Expr:
        def at_atom(i: int) -> sympy.Expr:
            here = {limit[0]: self.symbol(f"y[{i}, {k}]") for k, limit in enumerate(limits, 1)}
            densities = {call: self.symbol(f"w[{i}]") for call in body.atoms(AppliedUndef) if "rho" in str(call)}
            return body.xreplace(densities).xreplace(here)

        return sum(at_atom(i) for i in range(1, ATOMS + 1))

    def _function(self, call: AppliedUndef) -> sympy.Expr:
        name = call.func.__name__
        phase = sum(self.symbol(f"{name}/{k}") * argument for k, argument in enumerate(call.args))
        return self.symbol(name) + sympy.sin(phase) / 2

    def schedule(self, name: str, t: mpf) -> mpf:
        """The same functions of time as `evaluate` inserts for alpha(t) and sigma(t)."""
        return self.real(name) + mpmath.sin(self.real(f"{name}/0") * t) / 2


def mixture_log_density(x, atoms, weights, alpha, sigma):
    squared = [sum((a - alpha * b) ** 2 for a, b in zip(x, y, strict=True)) for y in atoms]
    terms = [w * mpmath.exp(-s / (2 * sigma**2)) for w, s in zip(weights, squared, strict=True)]
    return mpmath.log(mpmath.fsum(terms)) - len(x) * mpmath.log(2 * mpmath.pi * sigma**2) / 2


def derivative(function, point, *orders):
    return mpmath.diff(function, tuple(point), orders)


def unit(d, *axes):
    return [axes.count(k) for k in range(d)]


def hessian(function, x):
    d = len(x)
    return [[derivative(function, x, *unit(d, a, b)) for b in range(d)] for a in range(d)]


def assert_close(values, expected):
    assert len(values) == len(expected)
    for value, other in zip(values, expected, strict=True):
        assert abs(value - other) <= mpf(10) ** -(DIGITS - 10) * (1 + abs(other))


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(DIGITS + 10):
        yield


@pytest.fixture(params=[1, 2])
def point(request):
    return Point(request.param)


def claimed(label, point):
    return [point.evaluate(entry) for entry in derivation(label).statement[1]]


@pytest.mark.parametrize("label", DERIVATIONS)
def test_residual_is_exactly_zero(label):
    result = derivation(label)
    assert result.label == label
    assert result.holds
    assert result.residual == sympy.zeros(*result.residual.shape)
    assert result.statement[0].shape == result.statement[1].shape == result.residual.shape
    assert result.title
    assert result.generality
    assert result.latex.count("{") == result.latex.count("}")


@pytest.mark.parametrize("label", DERIVATIONS)
def test_sides_agree_at_a_rational_point(label):
    point = Point(7)
    left, right = derivation(label).statement
    assert_close([point.evaluate(entry) for entry in left], [point.evaluate(entry) for entry in right])


@pytest.mark.parametrize(("label", "name", "value"), FAULTS)
def test_wrong_number_leaves_a_residual(label, name, value):
    result = DERIVATIONS[label](**{name: value})
    assert not result.holds
    values = [Point(3).evaluate(entry) for entry in result.residual]
    assert max(abs(v) for v in values) > mpf(10) ** -20


def test_every_derivation_can_be_made_wrong():
    assert {label for label, _, _ in FAULTS} == set(DERIVATIONS)


REQUIRED = {
    *(f"lemma-{n}" for n in range(1, 6)),
    *(f"prop-{n}" for n in range(1, 7)),
    *(f"eq-{n}" for n in (6, 14, 16, 17, 20, 22)),
    "tweedie",
    *(f"eq-2-{name}" for name in SCHEDULES),
}


@pytest.mark.parametrize("label", sorted(REQUIRED))
def test_no_statement_is_missing_and_each_has_an_exponent_to_get_wrong(label):
    assert any(name.endswith("power") for name in numbers_of(label))
    assert any(words in derivation(label).generality for words in ("any ", "d = "))


def test_misprints_are_the_known_ones():
    assert {label for label in DERIVATIONS if derivation(label).printed_residual is not None} == MISPRINTED


@pytest.mark.parametrize("label", sorted(MISPRINTED))
def test_misprint_leaves_a_residual(label):
    result = derivation(label)
    assert result.erratum
    values = [Point(3).evaluate(entry) for entry in result.printed_residual]
    assert max(abs(v) for v in values) > mpf(10) ** -20


def test_printed_sign_of_f_is_off_by_twice_f():
    f = sympy.Symbol("f", real=True)
    for label in ("eq-22", "eq-51"):
        assert derivation(label).printed_residual == -2 * f * sympy.eye(2)


@pytest.mark.parametrize("label", ["prop-1", "prop-3"])
def test_fisher_is_the_numeric_hessian(label, point):
    alpha, sigma = point.real("alpha"), point.real("sigma")
    F = hessian(lambda *x: -mixture_log_density(x, point.atoms(2), point.weights(), alpha, sigma), point.x(2))
    assert_close(claimed(label, point), [*F[0], *F[1]])


@pytest.mark.parametrize(("label", "d"), [("prop-5", 3), ("eq-16", 2), ("eq-17", 3)])
def test_trace_is_the_numeric_laplacian(label, d, point):
    alpha, sigma = point.real("alpha"), point.real("sigma")
    F = hessian(lambda *x: -mixture_log_density(x, point.atoms(d), point.weights(), alpha, sigma), point.x(d))
    assert_close(claimed(label, point), [sum(F[k][k] for k in range(d))])


@pytest.mark.parametrize("label", ["eq-27", "eq-35"])
def test_score_is_the_numeric_gradient(label, point):
    alpha, sigma = point.real("alpha"), point.real("sigma")

    def log_density(*x):
        return mixture_log_density(x, point.atoms(2), point.weights(), alpha, sigma)

    assert_close(claimed(label, point), [derivative(log_density, point.x(2), *unit(2, k)) for k in range(2)])


@pytest.mark.parametrize("label", ["prop-2", "prop-4", "tweedie"])
def test_optimal_prediction_is_the_weighted_mean(label, point):
    alpha, sigma, x = point.real("alpha"), point.real("sigma"), point.x(2)
    # One atom at a time, by the definition of the transition kernel.
    masses = [
        mpmath.exp(mixture_log_density(x, [y], [w], alpha, sigma))
        for y, w in zip(point.atoms(2), point.weights(), strict=True)
    ]
    columns = zip(*point.atoms(2), strict=True)
    mean = [mpmath.fdot(masses, column) / mpmath.fsum(masses) for column in columns]
    assert_close(claimed(label, point), mean)


def log_density_in_time(point):
    def function(t, *x):
        levels = point.schedule("alpha", t), point.schedule("sigma", t)
        return mixture_log_density(x, point.atoms(2), point.weights(), *levels)

    return function


def velocity(point, t, x):
    """The PF-ODE at x, all of it by numeric differentiation."""
    f = mpmath.diff(lambda s: mpmath.log(point.schedule("alpha", s)), t)
    g2 = mpmath.diff(lambda s: point.schedule("sigma", s) ** 2, t) - 2 * f * point.schedule("sigma", t) ** 2
    log_density = log_density_in_time(point)
    score = [derivative(log_density, [t, *x], 0, *unit(2, k)) for k in range(2)]
    return [f * a - g2 / 2 * s for a, s in zip(x, score, strict=True)]


def test_likelihood_along_the_flow_is_the_numeric_total_derivative(point):
    t, x = point.real("t"), point.x(2)
    h, log_density = velocity(point, t, x), log_density_in_time(point)
    path = mpmath.diff(lambda s: log_density(t + s, *(a + s * b for a, b in zip(x, h, strict=True))), 0)
    assert_close(claimed("eq-14", point), [path])
    assert_close(claimed("eq-14-partial", point), [derivative(log_density, [t, *x], 1, 0, 0)])


def test_continuity_equation_is_the_numeric_time_derivative(point):
    t, x = point.real("t"), point.x(2)
    slope = derivative(lambda *z: mpmath.exp(log_density_in_time(point)(*z)), [t, *x], 1, 0, 0)
    assert_close(claimed("eq-5", point), [slope])


def test_transport_matrix_is_the_numeric_jacobian_of_the_flow(point):
    # eq-22 has symbols for f and g^2 at one time, so the velocity here has numbers for them.
    alpha, sigma, f, g2 = (point.real(name) for name in ("alpha", "sigma", "f", "g^2"))
    F = hessian(lambda *x: -mixture_log_density(x, point.atoms(2), point.weights(), alpha, sigma), point.x(2))
    B = [-f * (a == b) - g2 / 2 * F[a][b] for a in range(2) for b in range(2)]
    assert_close(claimed("eq-22", point), B)


def test_uniform_segment_is_the_numeric_integral(point):
    alpha, sigma = point.real("alpha"), point.real("sigma")
    ends = [point.real("a"), point.real("b")]

    def log_density(x):
        return mpmath.log(mpmath.quad(lambda y: mpmath.exp(-((x - alpha * y) ** 2) / (2 * sigma**2)), ends))

    assert_close(claimed("prop-3-uniform", point), [-mpmath.diff(log_density, point.x(1)[0], 2)])


@pytest.mark.parametrize("label", ["prop-3-gaussian", "gaussian"])
def test_gaussian_is_the_inverse_of_its_covariance(label, point):
    alpha, sigma = point.real("alpha"), point.real("sigma")
    precision = mpmath.matrix(2, 2)
    for a in range(2):
        for b in range(2):
            precision[a, b] = point.evaluate(PRECISION[a, b])
    F = (alpha**2 * precision**-1 + sigma**2 * mpmath.eye(2)) ** -1
    assert_close(claimed(label, point), list(F))


NUMERIC_SCHEDULES = {
    "vp-linear": VPLinear(),
    "vp-cosine": VPCosine(),
    "sub-vp": SubVP(),
    "ve": VEGeometric(),
    "edm": EDM(),
    "rectified-flow": RectifiedFlow(),
}


@pytest.mark.parametrize("name", NUMERIC_SCHEDULES)
def test_numeric_schedule_is_the_symbolic_one(name):
    numeric, symbolic = NUMERIC_SCHEDULES[name], SCHEDULES[name]
    parameters = {key: sympy.Float(value, 60) for key, value in vars(numeric).items() if key != "name"}
    for t in (0.125, 0.5, 0.875):
        values = {"t": sympy.Rational(t), **parameters}
        for quantity in ("alpha", "sigma", "f", "g2"):
            expression = getattr(symbolic, quantity)
            expected = expression.subs({s: values[s.name] for s in expression.free_symbols})
            assert getattr(numeric, quantity)(t) == pytest.approx(float(expected), rel=1e-13)


def test_importing_the_oracles_does_not_import_sympy():
    code = "import sys, afi_reference; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
