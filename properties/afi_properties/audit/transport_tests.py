"""Tests of the cited theorems of A.9 and A.10, and of the algebra around the fundamental matrix."""

import itertools
from fractions import Fraction

import numpy as np
import sympy
from scipy.optimize import linear_sum_assignment, linprog

from afi_properties.audit.entry import Method, Outcome
from afi_properties.audit.evidence import exact, symbolic
from afi_properties.audit.instances import Instance, Posterior, column, inner
from afi_reference.distribution import Array


def speed_limit(instance: Instance, *, factor: int) -> bool:
    """Whether the Jacobian of the velocity is proven to leave its range, which makes the flow well-posed.

    F lies between 1/sigma^2 - factor alpha^2 D^2/sigma^4 and 1/sigma^2, D the radius of the data.
    """
    p = Posterior(instance)
    v = column(instance.v)
    radius = max(sum(c * c for c in atom) for atom in instance.atoms)
    value, size = (v.transpose() * p.fisher * v)[0, 0], inner(v, v)
    high = size / p.sigma**2
    low = high - factor * p.alpha**2 * radius / p.sigma**4 * size
    return bool(value < low) or bool(value > high)


def one_atom_map(cases: int, *, drift_sign: int) -> Outcome:
    """Hold the matrix B against the map of one atom, known in closed form: rectified flow from t = 1/4 to 1/2.

    The Jacobian is sigma_T / sigma_s = 2. With B = (+-f - g^2 / (2 sigma^2)) I it is minus the integral of B that
    counts: g^2 / (2 sigma^2) = d log(sigma / alpha), so the exponential is (sigma/alpha)_T / (sigma/alpha)_s times, for
    the sign -1 of f, alpha_T / alpha_s; for +1, alpha_s / alpha_T.
    """
    ratio = Fraction(1, 2) / Fraction(1, 2) / (Fraction(1, 4) / Fraction(3, 4))
    alphas = Fraction(1, 2) / Fraction(3, 4)
    value = ratio * (alphas if drift_sign == -1 else 1 / alphas)
    return exact(value == 2, f"one atom, rectified flow from 1/4 to 1/2: the Jacobian is 2, that of B {value}")


def monge_is_kantorovich(cases: int, *, targets: int) -> Outcome:
    """Compare Monge's and Kantorovich's problem for four atoms of weight 1/4 and ``targets`` atoms of equal weight."""
    generator = np.random.default_rng(4)
    for _ in range(5):
        x, y = generator.standard_normal((4, 2)), generator.standard_normal((targets, 2))
        cost = ((x[:, None] - y) ** 2).sum(-1)
        # A map sends each atom to one target, and every target must receive 1/targets.
        maps = [m for m in itertools.product(range(targets), repeat=4) if _balanced(m, targets)]
        if not maps:
            return exact(False, f"4 atoms onto {targets}: no map has the right image measure")
        monge = min(sum(cost[i, j] for i, j in enumerate(m)) / 4 for m in maps)
        if abs(monge - _kantorovich(cost)) > 1e-9:
            return Outcome(False, (Method.NUMERIC,), "the minima differ")
    return Outcome(True, (Method.NUMERIC,), f"4 atoms onto {targets}: both problems have the same minimum, five times")


def normal_laws(cases: int, *, slope: int) -> Outcome:
    """Compare the cost of the affine map with this sign of slope between two normal laws with the least of any plan.

    Any plan with covariance c costs (m_1 - m_2)^2 + s_1^2 + s_2^2 - 2 c, and c is at most s_1 s_2 (Cauchy-Schwarz).
    """
    z, m1, m2 = sympy.symbols("z m_1 m_2", real=True)
    s1, s2 = sympy.symbols("s_1 s_2", positive=True)
    square = sympy.Poly((m1 + s1 * z - (m2 + slope * s2 * z)) ** 2, z)
    cost = square.coeff_monomial(1) + square.coeff_monomial(z**2)  # z is standard normal
    least = (m1 - m2) ** 2 + (s1 - s2) ** 2
    return symbolic(sympy.expand(cost - least) == 0, "normal laws on the line: the monotone map costs as the best plan")


def discrete(cases: int, *, distinct: bool) -> Outcome:
    """Whether the two problems differ on all discrete measures, or just where four atoms cannot be mapped evenly."""
    same = [monge_is_kantorovich(cases, targets=targets).holds for targets in (4, 2, 3)]
    return exact(
        not any(same) if distinct else same == [True, True, False], f"4 atoms onto 4, 2, 3: same minimum {same}"
    )


def _balanced(images: tuple[int, ...], targets: int) -> bool:
    return all(images.count(j) * targets == len(images) for j in range(targets))


def _kantorovich(cost: Array) -> float:
    n, m = cost.shape
    rows = [np.repeat(np.eye(n)[i], m) for i in range(n)] + [np.tile(np.eye(m)[j], n) for j in range(m)]
    marginals = [1 / n] * n + [1 / m] * m
    return float(linprog(cost.ravel(), A_eq=np.array(rows), b_eq=marginals).fun)


def gradient_is_optimal(cases: int, *, convex: bool) -> Outcome:
    """Whether maps that are gradients of convex functions (or have a rotation in them) are optimal on their samples."""
    generator = np.random.default_rng(7)
    for _ in range(20):
        x = generator.standard_normal((30, 2))
        root, slopes = generator.standard_normal((2, 2)), generator.standard_normal((3, 2))
        matrix = root @ root.T + (0 if convex else 3) * np.array([[0, 1], [-1, 0]])
        weights = np.exp(x @ slopes.T)
        image = x @ matrix.T + weights @ slopes / weights.sum(1, keepdims=True)
        cost = ((x[:, None] - image) ** 2).sum(-1)
        rows, columns = linear_sum_assignment(cost)
        if cost[rows, columns].sum() < np.trace(cost) * (1 - 1e-12):
            return Outcome(False, (Method.NUMERIC,), "another assignment of 30 samples to their images is cheaper")
    return Outcome(
        True, (Method.CITED, Method.PROPERTY), "quadratics plus log-sum-exp: no cheaper assignment, 20 times"
    )


def second_moments(cases: int, *, measure: str) -> Outcome:
    """Whether the second moment that Brenier's theorem assumes finite is so for a standard normal law."""
    x = sympy.Symbol("x", real=True)
    density = sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi) if measure == "mu" else sympy.S.One
    moment = sympy.integrate(x**2 * density, (x, -sympy.oo, sympy.oo))
    return symbolic(bool(moment.is_finite), f"∫|x|² is {moment}")


def has_potential(cases: int, *, closed: bool) -> Outcome:
    """Whether the potential along rays reproduces a polynomial field whose Jacobian is (not) symmetric."""
    x, y, s = sympy.symbols("x y s", real=True)
    a = sympy.symbols("a_0:9", real=True)
    monomials = [x**i * y**j for i in range(4) for j in range(4 - i) if i + j]
    potential = sum((c * m for c, m in zip(a, monomials, strict=True)), sympy.S.Zero)
    field = [potential.diff(x), potential.diff(y)]
    if not closed:
        field = [field[0] - y, field[1] + x]
    along = sum((f.subs({x: s * x, y: s * y}, simultaneous=True) * c for f, c in zip(field, (x, y), strict=True)), 0)
    u = sympy.integrate(sympy.expand(along), (s, 0, 1))
    holds = all(sympy.expand(u.diff(c) - f) == 0 for c, f in zip((x, y), field, strict=True))
    return symbolic(holds, "any polynomial field of degree two in the plane; potential by integration along rays")


def quadratic_convexity(cases: int, *, factor: int) -> Outcome:
    """Derive the convexity defect of a quadratic function: factor lambda (1 - lambda) / 2 times the form at x - y."""
    x = sympy.Matrix(sympy.symbols("x_1:3", real=True))
    y = sympy.Matrix(sympy.symbols("y_1:3", real=True))
    p, q, r, t = sympy.symbols("p q r lambda", real=True)
    form = sympy.Matrix([[p, q], [q, r]])

    def value(z: sympy.Matrix) -> sympy.Expr:
        return (z.T * form * z)[0] / 2

    defect = t * value(x) + (1 - t) * value(y) - value(t * x + (1 - t) * y)
    holds = sympy.expand(defect - factor * t * (1 - t) * value(x - y)) == 0
    return symbolic(holds, "quadratic functions: the convexity defect is λ(1-λ) times the form, so their signs agree")


def liouville(cases: int, *, trace_factor: int) -> Outcome:
    """Derive det C' = tr B det C from C' = B C, for undetermined B and C."""
    t = sympy.Symbol("t", real=True)
    C = sympy.Matrix(2, 2, lambda i, j: sympy.Function(f"C_{i}{j}")(t))
    B = sympy.Matrix(2, 2, lambda i, j: sympy.Function(f"B_{i}{j}")(t))
    slopes = dict(zip(C.diff(t), B * C, strict=True))
    residual = C.det().diff(t).xreplace(slopes) - trace_factor * B.trace() * C.det()
    return symbolic(sympy.expand(residual) == 0, "det C' = tr B det C; any B, d = 2: C never becomes singular")


def start_of_jacobian(cases: int, *, time: str) -> Outcome:
    """Whether A(t) = d T_{t,T} / d x_t is the identity at T (or s): one atom, rectified flow, s = 1/4, T = 1/2."""
    sigma = {"s": Fraction(1, 4), "T": Fraction(1, 2)}
    jacobian = sigma["T"] / sigma[time]
    return exact(jacobian == 1, f"one atom: A({time}) = σ_T/σ_{time} = {jacobian}")
