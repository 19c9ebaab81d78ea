"""The one interface of all oracles: a data distribution, diffused to a noise level.

A point at noise level ``(alpha, sigma)`` is ``x_t = alpha * x_0 + sigma * noise`` (eq. 1) with ``x_0`` drawn
from the data distribution. Every quantity here is a function of that point.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
"""A NumPy array of float64, or of longdouble where the inputs are longdouble."""

Noise: TypeAlias = float | npt.NDArray[Any]
"""A scalar, or one value per point, shape (B,)."""

Rounding: TypeAlias = Callable[[Array], Array]
"""Applied once to an intermediate result: how a verdict measures what rounding it costs."""


class Distribution(Protocol):
    """A data distribution whose diffused quantities are known.

    Points ``x`` and directions ``v`` have shape (B, d). ``alpha`` and ``sigma`` are scalars or have shape
    (B,). Results are float64 (longdouble when any input is).
    """

    @property
    def dimension(self) -> int:
        """The dimension d of a data point."""
        ...

    def log_density(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``log q_t(x)`` in nats, shape (B,) (eq. 26 and 34)."""
        ...

    def score(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Gradient of the log density, shape (B, d) (eq. 27 and 35)."""
        ...

    def posterior_mean(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``E[x_0 | x_t = x]``, shape (B, d) (Prop. 2 and 4)."""
        ...

    def posterior_covariance(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``Cov[x_0 | x_t = x]``, shape (B, d, d)."""
        ...

    def posterior_second_moment(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """``E[|x_0|^2 | x_t = x]``, shape (B,): d times the optimal trace head (Prop. 6)."""
        ...

    def fisher(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Fisher information ``-Hessian of log q_t``, shape (B, d, d) (Prop. 1 and 3)."""
        ...

    def fisher_vector_product(self, x: Array, v: Array, alpha: Noise, sigma: Noise) -> Array:
        """Fisher information times ``v``, shape (B, d), without forming the matrix."""
        ...

    def fisher_trace(self, x: Array, alpha: Noise, sigma: Noise) -> Array:
        """Trace of the Fisher information, shape (B,) (Prop. 5)."""
        ...


def as_points(x: Any, dimension: int, name: str = "x") -> Array:
    """Return ``x`` as a float64 (or longdouble) array of shape (B, d).

    Raises
    ------
    ValueError
        If the shape is not (B, d) or an entry is not finite.
    """
    points = as_float_array(x, name)
    if points.ndim != 2 or points.shape[1] != dimension:
        raise ValueError(
            f"{name} must have shape (B, {dimension}): one row per point of the {dimension}-dimensional "
            f"data; got {points.shape}."
        )
    return points


def as_float_array(values: Any, name: str) -> Array:
    """Return ``values`` as a finite array of float64, or of longdouble if it is longdouble already.

    Raises
    ------
    ValueError
        If an entry is NaN or infinite.
    """
    array = np.asarray(values)
    if array.dtype != np.longdouble:
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise ValueError(f"{name} must be finite: {bad} of its {array.size} entries are NaN or infinite.")
    return array


def as_noise_levels(alpha: Noise, sigma: Noise, batch: int) -> tuple[Array, Array]:
    """Return ``alpha`` and ``sigma`` as two arrays of shape (B,).

    Raises
    ------
    ValueError
        If a shape does not fit, or ``alpha <= 0`` or ``sigma <= 0`` somewhere.
    """
    levels = []
    for name, value in (("alpha", alpha), ("sigma", sigma)):
        array = as_float_array(value, name)
        if array.shape not in ((), (1,), (batch,)):
            raise ValueError(f"{name} must be a number or have shape ({batch},); got {array.shape}.")
        if not (array > 0).all():
            raise ValueError(
                f"{name} must be positive: the Fisher information of a diffused distribution needs "
                f"{name} > 0; got {array.min()}. At t = 0 stop at a small positive time instead."
            )
        levels.append(np.broadcast_to(array, (batch,)))
    return levels[0], levels[1]


WEIGHT_SUM_TOLERANCE = 1e-6
"""Weights that come from float32 code sum to 1 only up to its rounding."""


def normalised_weights(weights: Array | None, count: int) -> Array:
    """Return ``weights``, or uniform ones, as an array of shape (count,) that sums to 1.

    Raises
    ------
    ValueError
        If the shape does not fit, a weight is negative, or they do not sum to 1 within 1e-6.
    """
    if weights is None:
        return np.full(count, 1 / np.float64(count))
    array = as_float_array(weights, "weights")
    if array.shape != (count,):
        raise ValueError(f"weights must have shape ({count},), one per component; got {array.shape}.")
    if (array < 0).any():
        raise ValueError(f"weights must not be negative; the smallest is {array.min()}.")
    total = array.sum()
    if abs(total - 1) > WEIGHT_SUM_TOLERANCE:
        raise ValueError(f"weights must sum to 1; they sum to {total}. Divide them by their sum.")
    return array / total
