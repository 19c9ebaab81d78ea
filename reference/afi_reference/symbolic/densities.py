"""Prop. 3 for two densities whose integrals SymPy can do: a uniform segment and a Gaussian in the plane.

Nothing is undetermined here, so these are a check of Prop. 3 that does not differentiate under an integral.
"""

from functools import cache

import sympy
from sympy import Expr, ImmutableMatrix

from afi_reference.symbolic.data import ALPHA, SIGMA, Data, coordinates
from afi_reference.symbolic.derivation import Derivation, derive

LOW, HIGH = sympy.symbols("a b", real=True)
MEAN = ImmutableMatrix(sympy.symbols("mu_1:3", real=True))
_P11, _P22 = sympy.symbols("p_11 p_22", positive=True)
_P12 = sympy.Symbol("p_12", real=True)
PRECISION = ImmutableMatrix([[_P11, _P12], [_P12, _P22]])


def prop_3_uniform(*, alpha_power: int = 2, sigma_power: int = 4, outer: int = 1) -> Derivation:
    """Derive eq. 13 for a uniform segment, from its integrated density and moments."""
    data = _uniform()
    return derive(
        "prop-3-uniform",
        "the Fisher information of a diffused uniform segment",
        -sympy.log(data.total(data.kernel)).diff(data.x[0], 2),
        1 / SIGMA**2 - ALPHA**alpha_power / SIGMA**sigma_power * data.covariance(outer)[0],
        latex=r"q_0 = \mathrm{Uniform}(a, b):\quad F_t = \frac{1}{\sigma_t^2}"
        r" - \frac{\alpha_t^2}{\sigma_t^4} \operatorname{Var}[x_0 \mid x_t]",
        generality="any segment; d = 1; every integral in closed form",
    )


def prop_3_gaussian(*, alpha_power: int = 2, sigma_power: int = 4, outer: int = 1) -> Derivation:
    """Derive eq. 13 for a Gaussian, from its integrated density and moments."""
    data = _gaussian()
    factor = ALPHA**alpha_power / SIGMA**sigma_power
    return derive(
        "prop-3-gaussian",
        "the Fisher information of a diffused Gaussian as a posterior covariance",
        _fisher(data),
        ImmutableMatrix(sympy.eye(2) / SIGMA**2 - factor * data.covariance(outer)),
        latex=r"q_0 = \mathcal{N}(\mu, \Sigma):\quad F_t = \frac{1}{\sigma_t^2} I"
        r" - \frac{\alpha_t^2}{\sigma_t^4} \operatorname{Cov}[x_0 \mid x_t]",
        generality="any mean and covariance; d = 2; every integral in closed form",
    )


def gaussian(*, alpha_power: int = 2, sigma_power: int = 2) -> Derivation:
    """Derive the closed form of the Fisher information of a diffused Gaussian."""
    noisy = ALPHA**alpha_power * PRECISION.inv() + SIGMA**sigma_power * sympy.eye(2)
    return derive(
        "gaussian",
        "the Fisher information of a diffused Gaussian in closed form",
        _fisher(_gaussian()),
        ImmutableMatrix(noisy.inv()),
        latex=r"q_0 = \mathcal{N}(\mu, \Sigma):\quad F_t = (\alpha_t^2 \Sigma + \sigma_t^2 I)^{-1}",
        generality="any mean and covariance; d = 2",
    )


@cache
def _uniform() -> Data:
    y = sympy.Symbol("y_1", real=True)
    u, low, high = sympy.symbols("u u_a u_b", real=True)
    x = coordinates(1)[0]

    @cache
    def total(body: Expr) -> Expr:
        # In the standardised variable SymPy integrates at once what it cannot in y.
        standardised = sympy.expand(body.subs(y, (x + SIGMA * u) / ALPHA) * SIGMA / ALPHA)
        integral = sympy.integrate(sympy.simplify(standardised), (u, low, high))
        return integral.subs({end: (ALPHA * y - x) / SIGMA for end, y in ((low, LOW), (high, HIGH))})

    return Data((y,), sympy.S.One, total)


@cache
def _gaussian() -> Data:
    y = sympy.symbols("y_1:3", real=True)
    offset = ImmutableMatrix(y) - MEAN
    mass = sympy.exp(-(offset.T * PRECISION * offset)[0] / 2)

    @cache
    def total(body: Expr) -> Expr:
        exponentials = [factor for factor in sympy.Mul.make_args(body) if isinstance(factor, sympy.exp)]
        exponent = sum((factor.exp for factor in exponentials), sympy.S.Zero)
        polynomial, constant = body / sympy.Mul(*exponentials), sympy.S.One
        for coordinate in y:
            polynomial, exponent, root = _integrate(polynomial, exponent, coordinate)
            constant *= root
        # One product, so that the roots cancel in every ratio of moments.
        return constant * polynomial * sympy.exp(exponent)

    return Data(y, mass, total)


def _fisher(data: Data) -> ImmutableMatrix:
    # Forced: SymPy cannot know that the roots of the determinants of a definite matrix are positive.
    log_density = sympy.expand_log(sympy.log(data.total(data.mass * data.kernel)), force=True)
    return ImmutableMatrix(-sympy.hessian(log_density, data.x))


@cache
def _moment(power: int) -> tuple[Expr, Expr, Expr]:
    """Integrate ``z^power exp(-p z^2 / 2 + b z)`` over the line, and divide by the integral for power 0."""
    z, b = sympy.symbols("z b", real=True)
    p = sympy.Symbol("p", positive=True)
    integral = sympy.integrate(z**power * sympy.exp(-p * z**2 / 2 + b * z), (z, -sympy.oo, sympy.oo))
    return p, b, sympy.simplify(integral / (sympy.sqrt(2 * sympy.pi / p) * sympy.exp(b**2 / (2 * p))))


def _integrate(polynomial: Expr, exponent: Expr, z: Expr) -> tuple[Expr, Expr, Expr]:
    """Integrate a polynomial times a Gaussian over one coordinate.

    The result is a polynomial and an exponent in the other coordinates, and a constant factor.
    """
    quadratic = sympy.Poly(sympy.expand(exponent), z)
    p = sympy.together(-2 * quadratic.coeff_monomial(z**2))
    b = sympy.together(quadratic.coeff_monomial(z))
    result = sympy.S.Zero
    for (power,), coefficient in sympy.Poly(sympy.expand(polynomial), z).terms():
        p_symbol, b_symbol, ratio = _moment(power)
        result += coefficient * ratio.subs({p_symbol: p, b_symbol: b}, simultaneous=True)
    return result, quadratic.coeff_monomial(1) + b**2 / (2 * p), sympy.sqrt(2 * sympy.pi / p)
