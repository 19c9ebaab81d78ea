"""The noise schedules in closed form, and the proof that f and g^2 belong to alpha and sigma (eq. 2)."""

from dataclasses import dataclass

import sympy
from sympy import Expr, ImmutableMatrix

from afi_reference.symbolic.derivation import Derivation, Derive, derive
from afi_reference.symbolic.flow import drift, squared_diffusion

T = sympy.Symbol("t", positive=True)
BETA_MIN, BETA_MAX = sympy.symbols("beta_min beta_max", positive=True)
SIGMA_MIN, SIGMA_MAX = sympy.symbols("sigma_min sigma_max", positive=True)
OFFSET = sympy.Symbol("s", positive=True)


@dataclass(frozen=True)
class Schedule:
    """A noise schedule as expressions in the time `T` and its parameters.

    Attributes
    ----------
    title : str
        Its name in the literature.
    alpha, sigma : Expr
        The definition.
    f, g2 : Expr
        The coefficients of the SDE of eq. 2 as the literature states them.
    """

    title: str
    alpha: Expr
    sigma: Expr
    f: Expr
    g2: Expr


def _vp(title: str, beta: Expr) -> Schedule:
    tau = sympy.Symbol("tau", positive=True)
    alpha = sympy.exp(-sympy.integrate(beta.subs(T, tau), (tau, 0, T)) / 2)
    return Schedule(title, alpha, sympy.sqrt(1 - alpha**2), -beta / 2, beta)


_LINEAR = BETA_MIN + T * (BETA_MAX - BETA_MIN)
_SCALED_LINEAR = (sympy.sqrt(BETA_MIN) + T * (sympy.sqrt(BETA_MAX) - sympy.sqrt(BETA_MIN))) ** 2
_VP_ALPHA = _vp("", _LINEAR).alpha
_ANGLE = sympy.pi / 2 * (T + OFFSET) / (1 + OFFSET)
_COSINE_ALPHA = sympy.cos(_ANGLE) / sympy.cos(_ANGLE.subs(T, 0))
_COSINE_BETA = sympy.pi / (1 + OFFSET) * sympy.tan(_ANGLE)
_VE_SIGMA = SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** T

SCHEDULES = {
    "vp-linear": _vp("variance preserving, linear beta", _LINEAR),
    "vp-scaled-linear": _vp("variance preserving, linear square root of beta", _SCALED_LINEAR),
    "vp-cosine": Schedule(
        "variance preserving, cosine",
        _COSINE_ALPHA,
        sympy.sqrt(1 - _COSINE_ALPHA**2),
        -_COSINE_BETA / 2,
        _COSINE_BETA,
    ),
    "sub-vp": Schedule(
        "sub-variance preserving, linear beta",
        _VP_ALPHA,
        1 - _VP_ALPHA**2,
        -_LINEAR / 2,
        _LINEAR * (1 - _VP_ALPHA**4),
    ),
    "ve": Schedule(
        "variance exploding, geometric",
        sympy.S.One,
        _VE_SIGMA,
        sympy.S.Zero,
        2 * _VE_SIGMA**2 * sympy.log(SIGMA_MAX / SIGMA_MIN),
    ),
    "edm": Schedule("EDM", sympy.S.One, T, sympy.S.Zero, 2 * T),
    "rectified-flow": Schedule("rectified flow", 1 - T, T, -1 / (1 - T), 2 * T / (1 - T)),
}


def _derivation(name: str) -> Derive:
    schedule = SCHEDULES[name]
    quantities = {
        r"\alpha_t": schedule.alpha,
        r"\sigma_t": schedule.sigma,
        "f": schedule.f,
        "g^2": schedule.g2,
    }

    # An offset for f, because no factor shows where f is zero.
    def coefficients(*, drift_offset: int = 0, diffusion_factor: int = 1, g2_power: int = 1) -> Derivation:
        """Derive f and g^2 of one schedule from its alpha and sigma."""
        derived = drift(schedule.alpha, T), squared_diffusion(schedule.alpha, schedule.sigma, T)
        return derive(
            f"eq-2-{name}",
            f"the coefficients of the SDE: {schedule.title}",
            ImmutableMatrix(derived),
            ImmutableMatrix([schedule.f + drift_offset, diffusion_factor * schedule.g2**g2_power]),
            reduction=sympy.simplify,
            latex=r",\quad ".join(f"{symbol} = {sympy.latex(value)}" for symbol, value in quantities.items()),
            generality="any time and any parameters of the schedule",
        )

    return coefficients


COEFFICIENTS: dict[str, Derive] = {f"eq-2-{name}": _derivation(name) for name in SCHEDULES}
"""One derivation for each schedule."""
