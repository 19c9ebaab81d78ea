"""What training converges to: eq. 4 and its parameterisations, Prop. 2, 4 and 6.

Given the noisy point, each loss is a quadratic function of the prediction there, so its minimiser is found by
differentiating the loss itself.
"""

import sympy
from sympy import Expr, ImmutableMatrix

from afi_reference.symbolic.algebra import gradient, split_totals
from afi_reference.symbolic.data import (
    ALPHA,
    ANY_DENSITY,
    ANY_DIMENSION,
    ANY_DIRACS,
    INDEX,
    SIGMA,
    Data,
    diracs,
    general,
    normalisation,
)
from afi_reference.symbolic.derivation import Derivation, derive

_LOSS_WEIGHT = sympy.Symbol("lambda", positive=True)
_DIMENSION = sympy.Symbol("d", integer=True, positive=True)


def predictions(
    *, y_alpha_power: int = 1, y_sigma_power: int = 1, v_alpha_power: int = 1, v_norm_power: int = 1
) -> Derivation:
    """Derive how an error of the noise prediction reads as an error of the y- and of the v-prediction."""
    x0, noise, noise_hat, v_hat = sympy.symbols("x_0 epsilon epsilon_theta v_theta", real=True)
    x, v = ALPHA * x0 + SIGMA * noise, ALPHA * noise - SIGMA * x0
    y_hat = (x - SIGMA * noise_hat) / ALPHA
    # v-prediction knows x: the noise it implies solves the definitions of x and v for the noise.
    a, b = sympy.symbols("a b", real=True)
    system = [ALPHA * a + SIGMA * b - x, ALPHA * b - SIGMA * a - v_hat]
    noise_from_v = sympy.solve(system, [a, b])[b]

    def claimed(v_power: int, norm_power: int) -> ImmutableMatrix:
        y_factor = ALPHA**y_alpha_power / SIGMA**y_sigma_power
        v_factor = ALPHA**v_power / (ALPHA**2 + SIGMA**2) ** norm_power
        return ImmutableMatrix([(y_factor * (x0 - y_hat)) ** 2, (v_factor * (v - v_hat)) ** 2])

    return derive(
        "eq-4-predictions",
        "the loss in y- and v-prediction",
        ImmutableMatrix([(noise - noise_hat) ** 2, (noise - noise_from_v) ** 2]),
        claimed(v_alpha_power, v_norm_power),
        printed=claimed(0, 0),
        erratum="Section 2.1 replaces |eps - eps_theta| by |v - v_theta|. The two differ by the factor"
        " alpha/(alpha^2 + sigma^2), which is alpha on variance-preserving schedules.",
        latex=r"|\varepsilon - \varepsilon_\theta| = \frac{\alpha_t}{\sigma_t} |x_0 - y_\theta|"
        r" = \frac{\alpha_t}{\alpha_t^2 + \sigma_t^2} |v - v_\theta|",
        generality="any prediction; entry by entry, so any d; any alpha and sigma",
    )


def prop_2(*, kernel_power: int = 1, mean_factor: int = 1) -> Derivation:
    """Derive the minimiser of the score-matching loss for Diracs (eq. 29 and 30)."""
    return _optimal_mean("prop-2", diracs(), ANY_DIRACS, r"\sum_i w_i y_i", kernel_power, mean_factor)


def prop_4(*, kernel_power: int = 1, mean_factor: int = 1) -> Derivation:
    """Derive the minimiser of the score-matching loss for any initial distribution (eq. 37 and 38)."""
    mean = r"\int w(y)\, y \,\mathrm{d}q_0"
    return _optimal_mean("prop-4", general(), ANY_DENSITY, mean, kernel_power, mean_factor)


def eq_29(*, alpha_power: int = 2, sigma_power: int = 4) -> Derivation:
    """Derive the derivative of the score-matching loss by the y-prediction."""
    data = diracs()
    risk, u = _score_risk(data)

    def claimed(sigma_power: int) -> ImmutableMatrix:
        factor = 2 * _LOSS_WEIGHT * ALPHA**alpha_power / SIGMA**sigma_power * normalisation(2, SIGMA)
        return ImmutableMatrix(
            [factor * data.total(data.mass * data.kernel * (a - b)) for a, b in zip(u, data.y, strict=True)]
        )

    return derive(
        "eq-29",
        "the derivative of the loss of eq. 4 by the y-prediction",
        gradient(risk, u),
        claimed(sigma_power),
        printed=claimed(2),
        erratum="Eq. 29 and 37 weight |y_theta - y_i|^2 by alpha^2/sigma^2, which belongs to the noise loss;"
        " the score loss of eq. 4 gives alpha^2/sigma^4. The minimiser is the same.",
        latex=r"\frac{\partial\mathcal{L}}{\partial y_\theta} = 2 A_t \lambda_t \frac{\alpha_t^2}{\sigma_t^4}"
        r" \sum_i w_i v_i (y_\theta - y_i)",
        generality=f"{ANY_DIRACS}; {ANY_DIMENSION}",
    )


def prop_6(*, kernel_power: int = 1, dimension_power: int = 1) -> Derivation:
    """Derive the minimiser of the loss of Algorithm 1 (eq. 43)."""
    data, target = diracs(), _squared_norm() / _DIMENSION
    u = sympy.Symbol("t_theta", real=True)
    risk = data.total(data.mass * normalisation(2, SIGMA) * data.kernel * (u - target) ** 2)
    return derive(
        "prop-6",
        "the optimal trace head",
        _minimiser(risk, u),
        data.expectation(_squared_norm(), kernel_power) / _DIMENSION**dimension_power,
        latex=r"t_\theta^*(x_t, t) = \frac{1}{d} \sum_i w_i \|y_i\|^2",
        generality=f"{ANY_DIRACS} and any norms; {ANY_DIMENSION}",
    )


def eq_42(*, kernel_power: int = 1, dimension_power: int = 1) -> Derivation:
    """Derive the derivative of the loss of Algorithm 1, given the noisy point, by the prediction."""
    data = diracs()
    u = sympy.Symbol("t_theta", real=True)
    scale = normalisation(2, SIGMA)
    expected = data.total(data.mass * scale * data.kernel * (u - _squared_norm() / _DIMENSION) ** 2)

    def claimed(kernel_power: int) -> Expr:
        error = u - _squared_norm() / _DIMENSION**dimension_power
        return data.total(data.mass * scale * data.kernel**kernel_power * error**2).diff(u)

    return derive(
        "eq-42",
        "the loss of Algorithm 1, given the noisy point",
        expected.diff(u),
        claimed(kernel_power),
        printed=claimed(0),
        erratum="Eq. 42 lacks the kernel v_i(x_t, t); minimised as printed it gives the unweighted mean"
        " of the squared norms. The next line of the proof has the kernel.",
        latex=r"\arg\min_{t_\theta} \sum_i w_i (2\pi\sigma_t^2)^{-d/2} v_i(x_t, t)"
        r" \left| t_\theta(x_t, t) - \tfrac{1}{d}\|y_i\|^2 \right|^2",
        generality=f"{ANY_DIRACS} and any norms; {ANY_DIMENSION}",
    )


def _squared_norm() -> Expr:
    # A name of its own: coordinates that are absorbed into the mass count in the norm as well.
    return sympy.IndexedBase("n")[INDEX]


def _score_risk(data: Data) -> tuple[Expr, tuple[Expr, ...]]:
    """Return eq. 4 given the noisy point, as a function of the y-prediction."""
    u = tuple(sympy.symbols(f"u_1:{len(data.y) + 1}", real=True))
    target = gradient(sympy.log(data.kernel), data.x)
    noise = [(a - data.alpha * b) / data.sigma for a, b in zip(data.x, u, strict=True)]
    errors = [-e / data.sigma - s for e, s in zip(noise, target, strict=True)]
    loss = _LOSS_WEIGHT * sum((error**2 for error in errors), sympy.S.Zero)
    return data.total(data.mass * normalisation(len(u), data.sigma) * data.kernel * loss), u


def _minimiser(risk: Expr, u: Expr) -> Expr:
    """Return where the slope of a quadratic risk vanishes; its curvature is a total of positive terms."""
    slope = split_totals(risk.diff(u))
    return -slope.subs(u, 0) / slope.diff(u)


def _optimal_mean(
    label: str, data: Data, generality: str, mean: str, kernel_power: int, mean_factor: int
) -> Derivation:
    risk, u = _score_risk(data)
    return derive(
        label,
        "the optimal y-prediction is the posterior mean",
        ImmutableMatrix([_minimiser(risk, coordinate) for coordinate in u]),
        mean_factor * ImmutableMatrix([data.expectation(b, kernel_power) for b in data.y]),
        latex=rf"y_\theta^*(x_t, t) = {mean}",
        generality=f"{generality}; {ANY_DIMENSION}",
    )
