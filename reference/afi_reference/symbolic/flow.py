"""The diffused density in time: eq. 2, 5, 6 and 14, each from the definition of the density."""

import sympy
from sympy import Expr, ImmutableMatrix

from afi_reference.symbolic.algebra import gradient
from afi_reference.symbolic.data import (
    ANY_DENSITY,
    ANY_DIMENSION,
    ANY_DIRACS,
    SIGMA,
    Data,
    coordinates,
    diracs,
    general,
    kernel,
    normalisation,
)
from afi_reference.symbolic.derivation import Derivation, derive

TIME = sympy.Symbol("t", real=True)
ALPHA_T = sympy.Function("alpha", positive=True)(TIME)
SIGMA_T = sympy.Function("sigma", positive=True)(TIME)

_ANY_SCHEDULE = "any differentiable alpha(t), sigma(t) (undetermined functions)"


def drift(alpha: Expr, t: Expr) -> Expr:
    """Return f of eq. 2.

    Parameters
    ----------
    alpha : Expr
        The signal level as a function of time.
    t : Expr
        The time.

    Returns
    -------
    Expr
        ``d log(alpha) / dt``.
    """
    return sympy.log(alpha).diff(t)


def squared_diffusion(alpha: Expr, sigma: Expr, t: Expr) -> Expr:
    """Return g^2 of eq. 2.

    Parameters
    ----------
    alpha, sigma : Expr
        The noise level as a function of time.
    t : Expr
        The time.

    Returns
    -------
    Expr
        ``d sigma^2 / dt - 2 d log(alpha)/dt sigma^2``.
    """
    return (sigma**2).diff(t) - 2 * drift(alpha, t) * sigma**2


F_T = drift(ALPHA_T, TIME)
G2_T = squared_diffusion(ALPHA_T, SIGMA_T, TIME)


def eq_2(*, drift_factor: int = 1, diffusion_factor: int = 1) -> Derivation:
    """Derive the Fokker-Planck equation of the SDE for the transition kernel (eq. 1 and 2)."""
    x, y = coordinates(2), tuple(sympy.symbols("y_1:3", real=True))
    density = normalisation(2, SIGMA_T) * kernel(x, y, ALPHA_T, SIGMA_T)
    f, g2 = drift_factor * F_T, diffusion_factor * G2_T
    flux = ImmutableMatrix([f * c * density - g2 * density.diff(c) / 2 for c in x])
    return derive(
        "eq-2",
        "the SDE of eq. 2 has the transition kernel of eq. 1",
        density.diff(TIME),
        -_divergence(flux, x),
        latex=r"\partial_t q_{t|0} = -\nabla\cdot(f x\, q_{t|0}) + \tfrac{1}{2} g^2 \Delta q_{t|0},"
        r"\quad f = \frac{\mathrm{d}\log\alpha_t}{\mathrm{d}t},"
        r"\quad g^2 = \frac{\mathrm{d}\sigma_t^2}{\mathrm{d}t} - 2 f \sigma_t^2",
        generality=f"{_ANY_SCHEDULE}; d = 2",
    )


def eq_2_log_snr(*, sigma_power: int = 2, diffusion_factor: int = 1) -> Derivation:
    """Derive g^2 from the slope of the log-SNR."""
    return derive(
        "eq-2-log-snr",
        "the diffusion coefficient is the slope of the log-SNR",
        sympy.log(ALPHA_T**2 / SIGMA_T**2).diff(TIME),
        -diffusion_factor * G2_T / SIGMA_T**sigma_power,
        latex=r"\frac{\mathrm{d}}{\mathrm{d}t} \log\frac{\alpha_t^2}{\sigma_t^2} = -\frac{g^2}{\sigma_t^2}",
        generality=_ANY_SCHEDULE,
    )


def eq_5(*, drift_factor: int = 1, score_factor: int = 1) -> Derivation:
    """Derive that the probability-flow ODE transports the diffused density (continuity equation)."""
    data = diracs(2, ALPHA_T, SIGMA_T)
    density = data.density()
    velocity = drift_factor * F_T * ImmutableMatrix(data.x) - score_factor * G2_T / 2 * data.score()
    return derive(
        "eq-5",
        "the probability-flow ODE has the marginals of the diffusion",
        density.diff(TIME),
        -_divergence(ImmutableMatrix(density * velocity), data.x),
        latex=r"\partial_t q_t"
        r" + \nabla\cdot\left(\left[f x - \tfrac{1}{2} g^2 \nabla\log q_t\right] q_t\right) = 0",
        generality=f"{ANY_DIRACS}; {_ANY_SCHEDULE}; d = 2",
    )


def eq_6(*, noise_factor: int = 1, sigma_power: int = 1) -> Derivation:
    """Derive the probability-flow ODE in terms of the optimal noise prediction."""
    data = general()
    f, g2 = sympy.symbols("f g^2", real=True)
    x = ImmutableMatrix(data.x)
    return derive(
        "eq-6",
        "the probability-flow ODE by the noise prediction",
        f * x - g2 / 2 * data.score(),
        f * x + noise_factor * g2 / (2 * SIGMA**sigma_power) * data.noise(),
        latex=r"\frac{\mathrm{d}x_t}{\mathrm{d}t} = f x_t + \frac{g^2}{2\sigma_t} \varepsilon(x_t, t)",
        generality=f"{ANY_DENSITY}; {ANY_DIMENSION}; any f and g^2",
    )


def eq_14(*, drift_sign: int = -1, trace_sign: int = -1, g2_power: int = 1) -> Derivation:
    """Derive the slope of the log density along the probability-flow ODE."""
    data, log_density, velocity, claimed = _likelihood(drift_sign, trace_sign, g2_power)
    return derive(
        "eq-14",
        "the log-likelihood along the probability-flow ODE",
        log_density.diff(TIME) + velocity.dot(gradient(log_density, data.x)),
        claimed,
        erratum="Eq. 14 writes the partial derivative for the total one along the ODE; eq-14-partial shows"
        " what is missing at a fixed point. The signs of f and of the trace are right.",
        latex=r"\frac{\mathrm{d}}{\mathrm{d}t} \log q_t(x_t)"
        r" = -f d - \frac{g^2}{2} \operatorname{tr} F_t(x_t)",
        generality=f"{ANY_DIRACS}; {_ANY_SCHEDULE}; d = 2",
    )


def eq_14_partial(*, drift_sign: int = -1, trace_sign: int = -1, transport_sign: int = -1) -> Derivation:
    """Derive the slope of the log density at a fixed point, which eq. 14 denotes."""
    data, log_density, velocity, claimed = _likelihood(drift_sign, trace_sign)
    transport = velocity.dot(gradient(log_density, data.x))
    return derive(
        "eq-14-partial",
        "the log density at a fixed point",
        log_density.diff(TIME),
        claimed + transport_sign * transport,
        printed=claimed,
        erratum="Read literally, the left side of eq. 14 is the derivative at a fixed point; then the inner"
        " product of the velocity and the score is missing on the right.",
        latex=r"\frac{\partial\log q_t(x)}{\partial t} = -f d - \frac{g^2}{2} \operatorname{tr} F_t(x)"
        r" - \left\langle f x - \tfrac{1}{2} g^2 \nabla\log q_t(x), \nabla\log q_t(x)\right\rangle",
        generality=f"{ANY_DIRACS}; {_ANY_SCHEDULE}; d = 2",
    )


def _likelihood(drift_sign: int, trace_sign: int, g2_power: int = 1) -> tuple[Data, Expr, ImmutableMatrix, Expr]:
    data = diracs(2, ALPHA_T, SIGMA_T)
    velocity = F_T * ImmutableMatrix(data.x) - G2_T / 2 * data.score()
    claimed = drift_sign * F_T * len(data.x) + trace_sign * G2_T**g2_power / 2 * data.fisher().trace()
    return data, sympy.log(data.density()), velocity, claimed


def _divergence(field: ImmutableMatrix, x: tuple[Expr, ...]) -> Expr:
    return sum((entry.diff(c) for entry, c in zip(field, x, strict=True)), sympy.S.Zero)
