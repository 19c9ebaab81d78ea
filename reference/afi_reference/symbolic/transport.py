"""The Jacobian of the flow: the adjoint state (eq. 18), the matrix B of Theorem 1 (eq. 22, 51 to 53)."""

from functools import cache

import sympy
from sympy import Expr, ImmutableMatrix

from afi_reference.symbolic.algebra import jacobian
from afi_reference.symbolic.data import ALPHA, ANY_DIMENSION, ANY_DIRACS, SIGMA, diracs
from afi_reference.symbolic.derivation import Derivation, derive
from afi_reference.symbolic.flow import ALPHA_T, F_T, TIME

_ANY_FLOW = "any flow (undetermined Jacobians); d = 2"
_DRIFT, _DIFFUSION = sympy.symbols("f g^2", real=True)


def eq_18(*, sign: int = -1, transposed: int = 1) -> Derivation:
    """Derive the adjoint ODE from the chain rule."""
    forward, slope = _fundamental_matrix()
    terminal = ImmutableMatrix(sympy.symbols("l_1:3", real=True))
    # x_t as a function of x_0 has the Jacobian `forward`, so x_0 as a function of x_t has its inverse.
    adjoint = forward.inv().T * terminal
    return derive(
        "eq-18",
        "the adjoint ODE",
        _along_the_flow(adjoint, forward, slope),
        sign * (slope.T if transposed == 1 else slope) * adjoint,
        latex=r"\frac{\mathrm{d}\lambda_t}{\mathrm{d}t}"
        r" = -\left(\frac{\partial h}{\partial x_t}\right)^\top \lambda_t",
        generality=_ANY_FLOW,
    )


def eq_22(*, drift_sign: int = -1, alpha_power: int = 2, sigma_power: int = 4, outer: int = 1) -> Derivation:
    """Derive B from A(t), the Jacobian of the map to the end, by its logarithmic derivative."""
    data = diracs()
    logarithmic_derivative, slope = _logarithmic_derivative()
    velocity = _DRIFT * ImmutableMatrix(data.x) - _DIFFUSION / 2 * data.score()
    entries = dict(zip(slope, jacobian(velocity, data.x), strict=True))

    def claimed(drift_sign: int) -> ImmutableMatrix:
        identity = drift_sign * _DRIFT - _DIFFUSION / (2 * SIGMA**2)
        factor = ALPHA**alpha_power * _DIFFUSION / (2 * SIGMA**sigma_power)
        return ImmutableMatrix(identity * sympy.eye(2) + factor * data.covariance(outer))

    return derive(
        "eq-22",
        "the matrix B of Theorem 1",
        logarithmic_derivative.xreplace(entries),
        claimed(drift_sign),
        printed=claimed(1),
        erratum="Eq. 22 and 51 print f for -f. The printed B multiplies the fundamental matrix by"
        " (alpha_s / alpha_T)^2: definiteness survives, determinants do not.",
        latex=r"B(t, x) = -\left[f + \frac{g^2}{2\sigma_t^2}\right] I"
        r" + \frac{\alpha_t^2 g^2}{2\sigma_t^4} \left[\sum_i w_i y_i y_i^\top"
        r" - \left(\sum_i w_i y_i\right) \left(\sum_i w_i y_i\right)^\top\right]",
        generality=f"{ANY_DIRACS}; {ANY_DIMENSION}; any f and g^2",
    )


def eq_51(*, drift_sign: int = -1, score_sign: int = 1) -> Derivation:
    """Derive the ODE of A(t) for any score."""
    logarithmic_derivative, slope = _logarithmic_derivative()
    hessian = ImmutableMatrix(2, 2, sympy.symbols("s_1:3_1:3", real=True))
    velocity_jacobian = ImmutableMatrix(_DRIFT * sympy.eye(2) - _DIFFUSION / 2 * hessian)
    entries = dict(zip(slope, velocity_jacobian, strict=True))

    def claimed(drift_sign: int) -> ImmutableMatrix:
        return ImmutableMatrix(drift_sign * _DRIFT * sympy.eye(2) + score_sign * _DIFFUSION / 2 * hessian)

    return derive(
        "eq-51",
        "the ODE of the Jacobian of the map to the end",
        logarithmic_derivative.xreplace(entries),
        claimed(drift_sign),
        printed=claimed(1),
        erratum="The sign of f flips from the second to the third line of eq. 51; the third and fourth also"
        " write the score where its Jacobian, the Hessian of log q_t, is meant.",
        latex=r"\frac{\mathrm{d}A}{\mathrm{d}t} = -A \frac{\partial h}{\partial x_t}"
        r" = -f A + \frac{g^2}{2} A \nabla^2 \log q_t",
        generality="any Hessian of the log density; any f and g^2; d = 2",
    )


def eq_51_scale(*, alpha_power: int = 2) -> Derivation:
    """Derive what the printed sign of f does to the solution."""
    A = ImmutableMatrix(2, 2, lambda a, b: sympy.Function(f"A_{a}{b}")(TIME))
    B = ImmutableMatrix(2, 2, lambda a, b: sympy.Function(f"B_{a}{b}")(TIME))
    end = sympy.Symbol("alpha_T", positive=True)
    scaled = ImmutableMatrix((ALPHA_T / end) ** alpha_power * A)
    slopes = dict(zip(A.diff(TIME), A * B, strict=True))
    return derive(
        "eq-51-scale",
        "what the printed sign of f does",
        ImmutableMatrix(scaled.diff(TIME).xreplace(slopes)),
        ImmutableMatrix(scaled * (B + 2 * F_T * sympy.eye(2))),
        latex=r"A' = A B \;\Rightarrow\; \left(\frac{\alpha_t^2}{\alpha_T^2} A\right)'"
        r" = \frac{\alpha_t^2}{\alpha_T^2} A \left(B + 2 f I\right)",
        generality="any differentiable alpha(t), A(t) and B(t) (undetermined functions); d = 2",
    )


def eq_53(*, transposed: int = 1) -> Derivation:
    """Derive which of C and its transpose solves the ODE of A."""
    C = ImmutableMatrix(2, 2, lambda a, b: sympy.Function(f"C_{a}{b}")(TIME))
    diagonal_1, diagonal_2, off_diagonal = (sympy.Function(f"B_{k}")(TIME) for k in ("11", "22", "12"))
    B = ImmutableMatrix([[diagonal_1, off_diagonal], [off_diagonal, diagonal_2]])
    slopes = dict(zip(C.diff(TIME), B * C, strict=True))

    def residual(transposed: int) -> ImmutableMatrix:
        A = C.T if transposed == 1 else C
        return ImmutableMatrix(A.diff(TIME).xreplace(slopes) - A * B)

    return derive(
        "eq-53",
        "the Jacobian is the transposed fundamental matrix",
        sympy.zeros(2, 2).as_immutable(),
        residual(transposed),
        printed=residual(0),
        erratum="Eq. 51 gives A' = A B, eq. 52 defines C' = B C, and eq. 53 says A = C. Where B(t) does not"
        " commute with itself over time, A is the transpose of C. Definiteness and symmetry are the same for"
        " both, so Theorem 1 is not touched.",
        latex=r"C' = B C,\ C(T) = I,\ B = B^\top \;\Rightarrow\; \frac{\partial T_{t,T}(x_t)}{\partial x_t}"
        r" = C(t)^\top",
        generality="any symmetric B(t) (undetermined functions); d = 2",
    )


def _fundamental_matrix() -> tuple[ImmutableMatrix, ImmutableMatrix]:
    """Return the Jacobian of the flow from a fixed time to t, and the Jacobian of its velocity at t."""
    forward = ImmutableMatrix(2, 2, lambda a, b: sympy.Function(f"M_{a}{b}")(TIME))
    return forward, ImmutableMatrix(2, 2, sympy.symbols("H_1:3_1:3", real=True))


def _along_the_flow(value: ImmutableMatrix, forward: ImmutableMatrix, slope: ImmutableMatrix) -> ImmutableMatrix:
    """Differentiate by time and insert the variational equation ``M' = H M``."""
    variational = dict(zip(forward.diff(TIME), slope * forward, strict=True))
    return ImmutableMatrix(value.diff(TIME).xreplace(variational))


@cache
def _logarithmic_derivative() -> tuple[ImmutableMatrix, ImmutableMatrix]:
    """Return ``A^-1 A'`` for ``A(t) = M(T) M(t)^-1`` (eq. 50), and the entries of H in it."""
    forward, slope = _fundamental_matrix()
    end = ImmutableMatrix(2, 2, sympy.symbols("E_1:3_1:3", real=True))
    A = end * forward.inv()
    quotient = forward * end.inv() * _along_the_flow(A, forward, slope)
    return ImmutableMatrix(quotient.applyfunc(_cancel)), slope


def _cancel(entry: Expr) -> Expr:
    return sympy.cancel(sympy.together(entry))
