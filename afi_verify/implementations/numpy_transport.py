"""The map of the probability-flow ODE between two times and its Jacobian (Theorem 1), in NumPy and SciPy.

``T_{s,T}`` takes ``x_s`` along ``dx/dt = f x - g^2/2 grad log q_t(x)`` (eq. 5) to time T, for the diffused mixture of
Diracs ``q_t`` (eq. 10). It is computed in the coordinates ``n = x / sigma``, ``a = alpha / sigma``, in which eq. 5 is

    dn/da = E[x_0 | n, a]

whatever the schedule: of the schedule only alpha and sigma at both ends remain. So all schedules with the same
log-SNR at both ends have the same map, up to the scale of x.

Common to all functions: ``x`` has shape (B, *event_shape) and ``data`` (N, *event_shape), d values each; ``schedule``
has the methods ``alpha``, ``sigma``, ``f`` and ``g2`` of a time (floats); ``t_start`` may be before or after ``t_end``;
``weights`` has shape (N,), is not negative and need not sum to one, and None means uniform. Arithmetic is in float64,
results are in the dtype of ``x``; no input is changed. ``tolerance`` is that of one step of the integration.
"""

import itertools
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TOLERANCE = 1e-12


class Schedule(Protocol):
    """The functions of time in ``x_t = alpha(t) x_0 + sigma(t) noise``."""

    def alpha(self, t: Any) -> Any:
        """Signal scale."""

    def sigma(self, t: Any) -> Any:
        """Noise scale."""

    def f(self, t: Any) -> Any:
        """Drift ``d log(alpha) / dt``."""

    def g2(self, t: Any) -> Any:
        """Squared diffusion ``d sigma^2 / dt - 2 f sigma^2``."""


class _Atoms:
    """Centred atoms and log weights: the posterior at one point."""

    def __init__(self, x: Array, data: Array, weights: Array | None) -> None:
        if not np.issubdtype(x.dtype, np.floating) or x.ndim < 2:
            raise ValueError(f"x must be floating point of shape (B, *event_shape), not {x.dtype} {x.shape}.")
        if data.shape[1:] != x.shape[1:] or not len(data):
            raise ValueError(f"data must have shape (N, *{x.shape[1:]}) with N > 0, not {data.shape}.")
        mass = np.ones(len(data)) if weights is None else np.asarray(weights, dtype=np.float64)
        if mass.shape != (len(data),) or not (mass >= 0).all() or not (mass > 0).any():
            raise ValueError(f"weights must have shape ({len(data)},), no negative and one positive entry.")
        atoms = np.asarray(data, dtype=np.float64).reshape(len(data), -1)[mass > 0]
        # The flow of moved atoms is the moved flow, and small numbers have small roundings.
        self.centre = atoms.mean(axis=0)
        self.atoms = atoms - self.centre
        self.log_weights = np.log(mass[mass > 0])

    def posterior(self, n: Array, a: float) -> tuple[Array, Array]:
        """Return the weights (N,) and the mean (d,) of the atoms given ``n = x / sigma`` (d,), a = alpha / sigma."""
        logits = self.log_weights - 0.5 * np.square(n - a * self.atoms).sum(axis=1)
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
        return weights, weights @ self.atoms

    def covariance(self, weights: Array, mean: Array) -> Array:
        """Return the posterior covariance (d, d), from centred residuals."""
        residuals = np.sqrt(weights)[:, None] * (self.atoms - mean)
        return residuals.T @ residuals


def _levels(schedule: Schedule, t_start: float, t_end: float) -> tuple[float, float, float, float]:
    levels = [float(scale(t)) for t in (t_start, t_end) for scale in (schedule.alpha, schedule.sigma)]
    if not all(0 < level < np.inf for level in levels):
        raise ValueError(
            f"the flow needs 0 < alpha and 0 < sigma at both ends; they are {levels[:2]} at t = {t_start} and "
            f"{levels[2:]} at t = {t_end}. Stop a little short of the end."
        )
    return levels[0], levels[1], levels[2], levels[3]


def _integrate(
    slope: Callable[[float, Array], Array], start: float, end: float, state: Array, tolerance: float
) -> Array:
    # Here, because importing this module should not take what importing scipy.integrate takes.
    from scipy.integrate import solve_ivp

    if start == end:
        return state
    solution = solve_ivp(slope, (start, end), state, method="DOP853", rtol=tolerance, atol=tolerance, t_eval=[end])
    if not solution.success:
        raise RuntimeError(f"the flow was stopped between {start} and {end}: {solution.message}")
    final: Array = solution.y[:, -1]
    return final


def transport_map(
    x: Array,
    data: Array,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    weights: Array | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Array:
    """Follow the probability-flow ODE from ``t_start`` to ``t_end`` (eq. 21).

    Returns
    -------
    Array
        Shape and dtype of ``x``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``x`` is not floating point, alpha or sigma is not positive at an end, or the weights
        are negative or all zero.
    RuntimeError
        If the integration cannot go on.
    """
    atoms = _Atoms(x, data, weights)
    alpha, sigma, alpha_end, sigma_end = _levels(schedule, t_start, t_end)

    def slope(log_a: float, n: Array) -> Array:
        a = np.exp(log_a)
        return a * atoms.posterior(n, a)[1]

    ends = np.log(alpha / sigma), np.log(alpha_end / sigma_end)
    result = np.empty((len(x), x[:1].size))
    for b, point in enumerate(x.reshape(len(x), -1).astype(np.float64)):
        state = (point - alpha * atoms.centre) / sigma
        result[b] = alpha_end * atoms.centre + sigma_end * _integrate(slope, *ends, state, tolerance)
    return result.reshape(x.shape).astype(x.dtype)


def theorem_1_matrix(x: Array, t: float, data: Array, schedule: Schedule, weights: Array | None = None) -> Array:
    """Return the matrix B of Theorem 1 at time ``t`` (eq. 22 with the sign of f corrected).

    ``B = -(f + g^2 / (2 sigma^2)) I + alpha^2 g^2 / (2 sigma^4) Cov[x_0 | x]``: minus the Jacobian of the velocity of
    eq. 5. The Jacobian of ``T_{t,T}`` obeys ``A' = A B``, ``A(T) = I`` (eq. 51); eq. 22 and 51 print f for -f.

    Returns
    -------
    Array
        Shape (B, d, d), dtype of ``x``, symmetric.

    Raises
    ------
    ValueError
        As :func:`transport_map`.
    """
    atoms = _Atoms(x, data, weights)
    result = np.empty((len(x), x[:1].size, x[:1].size))
    for b, point in enumerate(x.reshape(len(x), -1).astype(np.float64)):
        result[b] = -_velocity_and_jacobian(point, t, atoms, schedule)[1]
    return result.astype(x.dtype)


def _velocity_and_jacobian(x: Array, t: float, atoms: _Atoms, schedule: Schedule) -> tuple[Array, Array]:
    """Return the velocity of eq. 5 at ``x - alpha centre`` (d,), and ``-B`` (d, d)."""
    alpha, sigma, f, g2 = (float(part(t)) for part in (schedule.alpha, schedule.sigma, schedule.f, schedule.g2))
    half_rate = g2 / 2 / sigma**2
    weights, mean = atoms.posterior((x - alpha * atoms.centre) / sigma, alpha / sigma)
    moved = x - alpha * atoms.centre
    velocity = f * x + half_rate * (moved - alpha * mean)
    covariance = atoms.covariance(weights, mean)
    return velocity, (f + half_rate) * np.eye(len(x)) - half_rate * (alpha / sigma) ** 2 * covariance


def transport_jacobian(
    x: Array,
    data: Array,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    weights: Array | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Array:
    """Jacobian of :func:`transport_map` by the fundamental matrix along the trajectory (eq. 50 to 53, corrected).

    Follows ``x_t`` and ``M' = -B(t, x_t) M``, ``M(t_start) = I`` in the schedule's own time. ``M(t_end)`` is the
    transpose of the fundamental matrix C of eq. 52, ``C' = B C``, ``C(t_end) = I``, at ``t_start``: eq. 53 omits the
    transposition. Rows belong to ``x_end``, columns to ``x_start``. It is not symmetric in general.

    Returns
    -------
    Array
        Shape (B, d, d), dtype of ``x``.

    Raises
    ------
    ValueError, RuntimeError
        As :func:`transport_map`.
    """
    atoms = _Atoms(x, data, weights)
    moved = x.reshape(len(x), -1) - _levels(schedule, t_start, t_end)[0] * atoms.centre
    d = x[:1].size
    # The flow of the centred atoms: an offset of the data would set the scale of the step control.
    atoms.centre = np.zeros(d)

    def slope(t: float, state: Array) -> Array:
        velocity, jacobian = _velocity_and_jacobian(state[:d], t, atoms, schedule)
        return np.concatenate([velocity, (jacobian @ state[d:].reshape(d, d)).ravel()])

    result = np.empty((len(x), d, d))
    for b, point in enumerate(moved):
        state = np.concatenate([point, np.eye(d).ravel()])
        result[b] = _integrate(slope, float(t_start), float(t_end), state, tolerance)[d:].reshape(d, d)
    return result.astype(x.dtype)


def transport_jacobian_by_differences(
    x: Array,
    data: Array,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    weights: Array | None = None,
    *,
    step: float = 0.02,
    levels: int = 6,
) -> Array:
    """Jacobian of :func:`transport_map` by central differences, extrapolated to step 0 (Richardson).

    Parameters
    ----------
    x, data, schedule, t_start, t_end, weights
        As in every function here.
    step
        The largest step, in units of sigma at ``t_start``; each level halves it.
    levels
        How many steps; the error is of the order ``step^(2 levels)``, plus that of the map over the smallest step.

    Returns
    -------
    Array
        Shape (B, d, d), dtype of ``x``.

    Raises
    ------
    ValueError, RuntimeError
        As :func:`transport_map`.
    """
    d = x[:1].size
    points = x.reshape(len(x), -1).astype(np.float64)
    sigma = _levels(schedule, t_start, t_end)[1]
    table: list[Array] = []
    for level in range(levels):
        h = step * sigma / 2**level
        moved = np.concatenate([points[:, None] + h * np.eye(d), points[:, None] - h * np.eye(d)], axis=1)
        ends = transport_map(
            moved.reshape(-1, *x.shape[1:]), data, schedule, t_start, t_end, weights, tolerance=3e-14
        ).reshape(len(x), 2, d, d)
        table.append((ends[:, 0] - ends[:, 1]).swapaxes(1, 2) / (2 * h))
    for order in range(1, levels):
        table = [(4**order * fine - coarse) / (4**order - 1) for coarse, fine in itertools.pairwise(table)]
    return table[0].astype(x.dtype)


def asymmetry(jacobian: Array) -> Array:
    """Return ``|J - J^T| / |J|`` in Frobenius norms, (B, d, d) to (B,): 0 if and only if J is symmetric."""
    difference = jacobian - jacobian.swapaxes(-1, -2)
    flat = (*jacobian.shape[:-2], -1)
    return np.asarray(
        np.linalg.norm(difference.reshape(flat), axis=-1) / np.linalg.norm(jacobian.reshape(flat), axis=-1)
    )


def transport_is_optimal(
    x: Array,
    data: Array,
    schedule: Schedule,
    t_start: float,
    t_end: float,
    weights: Array | None = None,
    *,
    tolerance: float = 1e-6,
) -> Array:
    """Tell at which points the Jacobian of :func:`transport_map` allows it to be optimal (Theorem 1, corrected).

    The map is the Monge map between ``q_start`` and ``q_end`` for the squared distance if and only if its Jacobian is
    symmetric and positive semi-definite at *every* x: symmetric everywhere is what makes it a gradient, definite what
    makes that of a convex function. Theorem 1 as printed asks for definiteness alone. One point that fails proves
    that the map is not optimal; points that pass prove nothing about others.

    Parameters
    ----------
    x, data, schedule, t_start, t_end, weights
        As in every function here.
    tolerance
        What counts as zero: of :func:`asymmetry`, and of the least eigenvalue over the largest.

    Returns
    -------
    Array
        Shape (B,), bool.

    Raises
    ------
    ValueError, RuntimeError
        As :func:`transport_map`.
    """
    # In float64 also for float32 points: its rounding would be a thousand times the tolerance of the integration.
    jacobian = transport_jacobian(x.astype(np.float64), data, schedule, t_start, t_end, weights)
    symmetric = asymmetry(jacobian) <= tolerance
    eigenvalues = np.linalg.eigvalsh((jacobian + jacobian.swapaxes(1, 2)) / 2)
    definite = eigenvalues[:, 0] >= -tolerance * np.abs(eigenvalues).max(axis=1)
    return np.asarray(symmetric & definite)
