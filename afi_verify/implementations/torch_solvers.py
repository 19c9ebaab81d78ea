"""Solvers of the probability-flow ODE (eq. 5 and 6), and of whatever is integrated along with it.

The flow ``dx/dt = f(t) x + g2(t) / (2 sigma(t)) eps(x, t)`` and all that travels with it (the log-determinant of
eq. 14, the adjoint state of eq. 18) have one form: a component y is driven by

    ``dy/dt = c f(t) y + g2(t) / 2 N(t, state)``,

c = 1 for x, 0 for the log-determinant, -1 for the adjoint state. With ``w = y / alpha^c`` and the ratio
``r = sigma / alpha`` the linear part is gone, and time is only a name for r:

    ``dw / d log r = sigma^2 alpha^(-c) N``,

because ``g2 dt / 2 = sigma^2 d log r``. A solver is a rule for one step of the one form or of the other:

============== =====  ==================================================================================
``"euler"``   1      explicit Euler in t, on the equations as they are written
``"ddim"``    1      for x Euler in r, exact where eps is constant; for the rest Euler in log r
``"heun"``    2      the explicit trapezoidal rule in r (Karras et al. 2022, Algorithm 1)
``"dpm2"``    2      midpoint in log r; for x with the exponential integrator of DPM-Solver-2 (Lu et al. 2022)
``"adaptive"`` 5(4)   Dormand and Prince's pair in log r; its steps follow from ``tolerance``, not ``num_steps``
============== =====  ==================================================================================

(the middle column is the order of convergence). Time may run either way.

Conventions of all ``torch_*`` modules about trajectories: ``x`` has shape (B, *event_shape); ``t``, ``t_start`` and
``t_end`` are Python floats; ``eps_fn(x, t)`` returns the shape of ``x``; ``schedule`` has ``alpha(t)``, ``sigma(t)``,
``f(t)`` and ``g2(t)``, functions of floats (and, if it likes, ``time_of_log_snr``). The numbers of a schedule are
Python floats; arithmetic is in the dtype and on the device of ``x``. No input is changed, and no graph is recorded.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

EpsFn = Callable[[Tensor, Any], Tensor]
State = tuple[Tensor, ...]

SOLVERS = ("euler", "ddim", "heun", "dpm2", "adaptive")
ORDERS = {"euler": 1, "ddim": 1, "heun": 2, "dpm2": 2}
"""Order of convergence, as the steps become shorter."""

SPACINGS = ("log_snr", "time")


class Schedule(Protocol):
    """What is asked of a noise schedule: ``x_t = alpha x_0 + sigma noise``, with the f and g of eq. 2."""

    def alpha(self, t: Any) -> Any:
        """Signal scale."""
        ...

    def sigma(self, t: Any) -> Any:
        """Noise scale."""
        ...

    def f(self, t: Any) -> Any:
        """``d log(alpha) / dt``."""
        ...

    def g2(self, t: Any) -> Any:
        """``d sigma^2 / dt - 2 f sigma^2``."""
        ...


@dataclass(frozen=True)
class System:
    """What is integrated: one entry per component of the state, x first.

    Attributes
    ----------
    drive
        ``drive(state, t)`` returns N for each component: ``(eps / sigma, ...)``.
    alpha_powers
        The c of each component.
    ratio_powers
        The power of r that the right-hand side in log r is nearly proportional to, which ``"ddim"`` and ``"dpm2"``
        integrate exactly.
        1 for x, whose right-hand side is ``r eps``; 0 where nothing better is known.
    """

    drive: Callable[[State, float], State]
    alpha_powers: tuple[int, ...]
    ratio_powers: tuple[int, ...]


@dataclass(frozen=True)
class Level:
    """The numbers of a schedule at one time."""

    t: float
    alpha: float
    sigma: float

    @property
    def log_ratio(self) -> float:
        """``log r``, minus half of log-SNR."""
        return math.log(self.sigma) - math.log(self.alpha)


def level_at(schedule: Schedule, t: float) -> Level:
    """Return the noise level at ``t``.

    Raises
    ------
    ValueError
        If alpha or sigma is not positive there: the flow has no density to begin or end with.
    """
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    if not (0 < alpha < math.inf and 0 < sigma < math.inf):
        raise ValueError(
            f"the flow needs 0 < alpha and 0 < sigma, but at t = {t} they are {alpha} and {sigma}. "
            "Start and end a little short of there."
        )
    return Level(t, alpha, sigma)


def solve_flow(
    x: Tensor,
    eps_fn: EpsFn,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    num_steps: int = 50,
    *,
    solver: str = "heun",
    spacing: str = "log_snr",
    tolerance: float = 1e-6,
) -> Tensor:
    """Follow the flow (eq. 6) from ``x`` at ``t_start`` to ``t_end``; see the module for the solvers.

    Returns
    -------
    Tensor
        Shape, dtype and device of ``x``.

    Raises
    ------
    ValueError
        If an argument is unusable.
    """
    system = System(lambda state, t: (eps_fn(state[0], t) / float(schedule.sigma(t)),), (1,), (1,))
    return integrate(
        system, (x,), schedule, t_start, t_end, num_steps, solver=solver, spacing=spacing, tolerance=tolerance
    )[0]


def integrate(
    system: System,
    state: State,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    num_steps: int = 50,
    *,
    solver: str = "heun",
    spacing: str = "log_snr",
    tolerance: float = 1e-6,
) -> State:
    """Integrate a system along the flow.

    Parameters
    ----------
    state
        The components at ``t_start``: x, (B, *event_shape), first; others have the batch first, too.
    num_steps
        Number of steps, for all solvers but ``"adaptive"``.
    spacing
        ``"log_snr"``: steps are equally long in log-SNR; ``"time"``: in t.
    tolerance
        Of ``"adaptive"``: largest error estimate of one step, relative to the root mean square of a component of one
        sample (or to 1 where that is less). The whole batch takes the same steps, those that its worst sample needs.

    Returns
    -------
    tuple of Tensor
        The components at ``t_end``.

    Raises
    ------
    ValueError
        If an argument is unusable, or the adaptive solver's steps become too short to go on.
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver={solver!r} is not known; choose one of: {', '.join(SOLVERS)}.")
    with torch.no_grad():
        if solver == "adaptive":
            return _adaptive(system, state, schedule, t_start, t_end, tolerance)
        levels = [level_at(schedule, t) for t in step_times(schedule, t_start, t_end, num_steps, spacing)]
        for here, there in itertools.pairwise(levels):
            if solver == "euler":
                state = _euler(system, state, schedule, here, there)
            elif solver == "ddim":
                slopes = _drive(system, state, here)
                state = _moved(system, state, slopes, here, there, _exponential(system, here, there, here))
            elif solver == "heun":
                state = _heun(system, state, here, there)
            else:
                state = _midpoint(system, state, schedule, here, there)
    return state


def step_times(
    schedule: Schedule, t_start: float, t_end: float, num_steps: int, spacing: str = "log_snr"
) -> list[float]:
    """Return the ``num_steps + 1`` times between which a solver steps.

    Raises
    ------
    ValueError
        If an argument is unusable.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, not {num_steps}.")
    if spacing not in SPACINGS:
        raise ValueError(f"spacing={spacing!r} is not known; choose one of: {', '.join(SPACINGS)}.")
    parts = [k / num_steps for k in range(1, num_steps)]
    if spacing == "time":
        inner = [t_start + part * (t_end - t_start) for part in parts]
    else:
        first, last = level_at(schedule, t_start).log_ratio, level_at(schedule, t_end).log_ratio
        inner = [time_of_log_ratio(schedule, first + part * (last - first), t_start, t_end) for part in parts]
    return [t_start, *inner, t_end]


def time_of_log_ratio(schedule: Schedule, log_ratio: float, one: float, other: float) -> float:
    """Return the time between ``one`` and ``other`` at which ``log(sigma / alpha)`` is ``log_ratio``."""
    low, high = min(one, other), max(one, other)
    if hasattr(schedule, "time_of_log_snr"):
        return min(max(float(schedule.time_of_log_snr(-2 * log_ratio)), low), high)
    for _ in range(100):
        middle = low + (high - low) / 2
        if middle in (low, high):
            break
        if level_at(schedule, middle).log_ratio < log_ratio:
            low = middle
        else:
            high = middle
    return low + (high - low) / 2


def _drive(system: System, state: State, level: Level) -> State:
    """``dw / d log r`` of each component."""
    drives = system.drive(state, level.t)
    return tuple(n * (level.sigma**2 * level.alpha**-c) for n, c in zip(drives, system.alpha_powers, strict=True))


def _moved(
    system: System, state: State, slopes: State, here: Level, there: Level, steps: Sequence[float] | float
) -> State:
    """Return the state at ``there`` when w changes by ``steps`` (one per component, or one) times the slopes."""
    moved = []
    for k, (y, slope, c) in enumerate(zip(state, slopes, system.alpha_powers, strict=True)):
        step = steps if isinstance(steps, float) else steps[k]
        moved.append((there.alpha / here.alpha) ** c * y + there.alpha**c * step * slope)
    return tuple(moved)


def _ratio_steps(here: Level, there: Level) -> float:
    """Return a step in r, in units of r: what multiplies the slope in log r."""
    return math.expm1(there.log_ratio - here.log_ratio)


def _euler(system: System, state: State, schedule: Schedule, here: Level, there: Level) -> State:
    step = there.t - here.t
    f, half_g2 = float(schedule.f(here.t)), float(schedule.g2(here.t)) / 2
    drives = system.drive(state, here.t)
    return tuple(
        y + step * (c * f * y + half_g2 * n) for y, n, c in zip(state, drives, system.alpha_powers, strict=True)
    )


def _heun(system: System, state: State, here: Level, there: Level) -> State:
    # In r: slopes in log r are those in r times r.
    step, back = _ratio_steps(here, there), -_ratio_steps(there, here)
    first = _drive(system, state, here)
    guess = _moved(system, state, first, here, there, step)
    second = _drive(system, guess, there)
    mean = tuple(step / 2 * a + back / 2 * b for a, b in zip(first, second, strict=True))
    return _moved(system, state, mean, here, there, 1.0)


def _midpoint(system: System, state: State, schedule: Schedule, here: Level, there: Level) -> State:
    log_ratio = (here.log_ratio + there.log_ratio) / 2
    middle = level_at(schedule, time_of_log_ratio(schedule, log_ratio, here.t, there.t))
    first = _drive(system, state, here)
    guess = _moved(system, state, first, here, middle, _exponential(system, here, middle, here))
    return _moved(system, state, _drive(system, guess, middle), here, there, _exponential(system, here, there, middle))


def _exponential(system: System, here: Level, there: Level, known: Level) -> list[float]:
    """Integrals over log r of ``(r / r_known)^power``."""
    flat = there.log_ratio - here.log_ratio
    growing = math.exp(here.log_ratio - known.log_ratio) * math.expm1(flat)
    return [growing if power else flat for power in system.ratio_powers]


# Dormand and Prince 1980, RK5(4)7M.
_NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES: tuple[tuple[float, ...], ...] = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_FIRST_STEP = 0.1  # in log r
_LARGEST_STEP = 2.0
_SMALLEST_STEP = 1e-10


def _adaptive(
    system: System, state: State, schedule: Schedule, t_start: float, t_end: float, tolerance: float
) -> State:
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, not {tolerance}.")
    here, last = level_at(schedule, t_start), level_at(schedule, t_end)
    way = math.copysign(1.0, last.log_ratio - here.log_ratio)
    step = _FIRST_STEP
    # A step's error below the rounding of the arithmetic cannot be seen.
    tolerance = max(tolerance, 8 * torch.finfo(state[0].dtype).eps)
    first = _drive(system, state, here)
    while here.t != last.t:
        left = abs(last.log_ratio - here.log_ratio)
        final = step >= left
        length = way * min(step, left)
        slopes = [first]
        for node, weights in zip(_NODES[1:], _STAGES[1:], strict=True):
            if node == 1 and final:
                level = last
            else:
                t = time_of_log_ratio(schedule, here.log_ratio + node * length, t_start, t_end)
                level = level_at(schedule, t)
            guess = _moved(system, state, _combined(slopes, weights), here, level, length)
            slopes.append(_drive(system, guess, level))
        error = _relative_error(system, state, guess, _combined(slopes, _ERROR), here, level, length) / tolerance
        if error <= 1:
            here, state, first = level, guess, slopes[-1]
        elif step < _SMALLEST_STEP:
            raise ValueError(f"the adaptive solver cannot go on at t = {here.t}: its steps became too short.")
        step = min(min(step, left) * min(5.0, max(0.2, 0.9 * max(error, 1e-10) ** -0.2)), _LARGEST_STEP)
    return state


def _combined(slopes: Sequence[State], weights: Sequence[float]) -> State:
    parts = [(weight, slope) for weight, slope in zip(weights, slopes, strict=True) if weight]
    return tuple(sum(weight * slope[k] for weight, slope in parts) for k in range(len(slopes[0])))  # type: ignore[misc]


def _relative_error(
    system: System, before: State, after: State, slope: State, here: Level, there: Level, length: float
) -> float:
    errors = []
    for y0, y1, error, c in zip(before, after, slope, system.alpha_powers, strict=True):
        size = torch.maximum(_rms(y0), _rms(y1)).clamp(min=1.0)
        errors.append(float((_rms(error) * abs(length) * there.alpha**c / size).max()))
    if any(math.isnan(error) for error in errors):
        raise ValueError(f"the adaptive solver met a number that is not finite between t = {here.t} and {there.t}.")
    return max(errors)


def _rms(y: Tensor) -> Tensor:
    """Root mean square of each sample, (B,)."""
    return y.reshape(len(y), -1).square().mean(dim=1).sqrt()
