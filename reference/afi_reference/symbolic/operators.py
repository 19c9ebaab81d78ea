"""The Fisher information as an operator and through trained networks: eq. 8, 9, 15, 17, 19 and 20."""

import sympy
from sympy import Expr, ImmutableMatrix

from afi_reference.symbolic.algebra import gradient, jacobian
from afi_reference.symbolic.data import (
    ALPHA,
    ANY_DENSITY,
    ANY_DIMENSION,
    ANY_DIRACS,
    SIGMA,
    coordinates,
    diracs,
    general,
)
from afi_reference.symbolic.derivation import Derivation, derive

_ANY_FIELD = "any differentiable noise prediction (undetermined functions); d = 3"


def eq_8(*, sigma_power: int = 1) -> Derivation:
    """Derive the Fisher information from the Jacobian of the optimal noise prediction."""
    data = general()
    return derive(
        "eq-8",
        "the Fisher information is the scaled Jacobian of the optimal noise prediction",
        data.fisher(),
        jacobian(data.noise(), data.x) / SIGMA**sigma_power,
        latex=r"F_t = \frac{1}{\sigma_t} \frac{\partial \varepsilon(x_t, t)}{\partial x_t}",
        generality=f"{ANY_DENSITY}; {ANY_DIMENSION}",
    )


def eq_9(*, transposed: int = 1) -> Derivation:
    """Derive what the gradient of an inner product with the noise prediction is."""
    x, field, v = _noise_prediction()
    J = jacobian(field, x)

    def claimed(transposed: int) -> ImmutableMatrix:
        return (J.T if transposed == 1 else J) * v / SIGMA

    return derive(
        "eq-9",
        "the gradient of an inner product is a vector-Jacobian product",
        gradient(field.dot(v), x) / SIGMA,
        claimed(transposed),
        printed=claimed(0),
        erratum="Eq. 9 prints the Jacobian where its transpose belongs. The two agree for the exact noise"
        " prediction, not for a trained one.",
        latex=r"\frac{1}{\sigma_t} \frac{\partial \langle\varepsilon_\theta, v\rangle}{\partial x_t}"
        r" = \frac{1}{\sigma_t} \left(\frac{\partial \varepsilon_\theta}{\partial x_t}\right)^\top v",
        generality=_ANY_FIELD,
    )


def eq_15(*, sigma_power: int = 1, component: int = 1) -> Derivation:
    """Derive the trace of the Jacobian by one gradient per dimension."""
    x, field, _ = _noise_prediction()
    rows = [gradient(field.dot(ImmutableMatrix(sympy.eye(len(x))[:, i])), x) for i in range(len(x))]
    # Any other component than the i-th is wrong; the shifted one stands for them.
    picked = sum((row[(i + component - 1) % len(x)] for i, row in enumerate(rows)), sympy.S.Zero)
    return derive(
        "eq-15",
        "the trace of the Jacobian, one gradient per dimension",
        jacobian(field, x).trace() / SIGMA,
        picked / SIGMA**sigma_power,
        erratum="Eq. 15 sums whole gradients, which is a vector; the i-th component of the i-th is meant.",
        latex=r"\frac{1}{\sigma_t} \operatorname{tr} \frac{\partial \varepsilon_\theta}{\partial x_t}"
        r" = \frac{1}{\sigma_t} \sum_i \frac{\partial \langle\varepsilon_\theta, e^{(i)}\rangle}"
        r"{\partial x_t^{(i)}}",
        generality=_ANY_FIELD,
    )


def eq_17(*, alpha_power: int = 2, sigma_power: int = 4, mean_dimension_power: int = 1) -> Derivation:
    """Derive the trace from the optimal trace head and the optimal noise prediction."""
    data = diracs(3)
    d = len(data.y)
    head = data.expectation(sum((y**2 for y in data.y), sympy.S.Zero)) / d
    mean = (ImmutableMatrix(data.x) - SIGMA * data.noise()) / ALPHA

    def claimed(mean_dimension_power: int) -> Expr:
        bracket = head - mean.dot(mean) / d**mean_dimension_power
        return d * (1 / SIGMA**2 - ALPHA**alpha_power / SIGMA**sigma_power * bracket)

    return derive(
        "eq-17",
        "trace matching is exact for the optimal networks",
        data.fisher().trace(),
        claimed(mean_dimension_power),
        printed=claimed(0),
        erratum="Eq. 17 lacks 1/d before the squared norm; t_theta is trained on |x_0|^2 / d.",
        latex=r"\operatorname{tr} F_t = d \left[\frac{1}{\sigma_t^2} - \frac{\alpha_t^2}{\sigma_t^4} \left("
        r"t_\theta - \frac{1}{d} \left\|\frac{x_t - \sigma_t \varepsilon_\theta}{\alpha_t}\right\|^2"
        r"\right)\right]",
        generality=f"{ANY_DIRACS}; d = 3",
    )


def eq_19(*, sigma_power: int = 1) -> Derivation:
    """Derive the adjoint's product with the transposed Jacobian."""
    x, field, adjoint = _noise_prediction()
    return derive(
        "eq-19",
        "the transposed Jacobian times the adjoint state is a gradient",
        gradient(field.dot(adjoint), x) / SIGMA,
        jacobian(field, x).T * adjoint / SIGMA**sigma_power,
        latex=r"\frac{1}{\sigma_t}"
        r" \left(\frac{\partial \varepsilon_\theta}{\partial x_t}\right)^\top \lambda_t"
        r" = \frac{1}{\sigma_t} \frac{\partial \langle\varepsilon_\theta, \lambda_t\rangle}{\partial x_t}",
        generality=_ANY_FIELD,
    )


def eq_20(*, alpha_power: int = 2, sigma_power: int = 4, mean_sign: int = 1) -> Derivation:
    """Derive the inner products of the endpoint operator from its matrix."""
    x0, mean, adjoint = (ImmutableMatrix(sympy.symbols(f"{name}_1:4", real=True)) for name in ("x0", "m", "l"))
    matrix = sympy.eye(3) / SIGMA**2 - ALPHA**2 / SIGMA**4 * (x0 * x0.T - mean * mean.T)
    factor = ALPHA**alpha_power / SIGMA**sigma_power
    return derive(
        "eq-20",
        "the endpoint operator by inner products",
        ImmutableMatrix(matrix).T * adjoint,
        adjoint / SIGMA**2 - factor * x0.dot(adjoint) * x0 + mean_sign * factor * mean.dot(adjoint) * mean,
        latex=r"\left(\frac{1}{\sigma_t^2} I - \frac{\alpha_t^2}{\sigma_t^4} (x_0 x_0^\top"
        r" - \bar y \bar y^\top)\right) \lambda = \frac{1}{\sigma_t^2} \lambda"
        r" - \frac{\alpha_t^2}{\sigma_t^4} \langle x_0, \lambda\rangle x_0"
        r" + \frac{\alpha_t^2}{\sigma_t^4} \langle\bar y, \lambda\rangle \bar y",
        generality="any endpoint, mean and adjoint state; d = 3",
    )


def _noise_prediction() -> tuple[tuple[Expr, ...], ImmutableMatrix, ImmutableMatrix]:
    x = coordinates(3)
    field = ImmutableMatrix([sympy.Function(f"epsilon_{i}", real=True)(*x) for i in range(1, 4)])
    return x, field, ImmutableMatrix(sympy.symbols("v_1:4", real=True))
