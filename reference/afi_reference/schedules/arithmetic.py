"""One arithmetic for floats, NumPy, torch and JAX: the array namespace of a value, and shared formulas."""

import math
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from afi_reference.schedules.schedule import Array


def is_numpy(value: Any) -> bool:
    """Whether ``value`` is a number, a NumPy array or a nested sequence of numbers."""
    return isinstance(value, int | float | np.generic | np.ndarray | list | tuple)


def as_floats(value: Any, name: str) -> npt.NDArray[Any]:
    """Return ``value`` as a NumPy array of its own float dtype; integers become float64.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    """
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        return array.astype(np.float64)
    if array.dtype.kind != "f":
        raise TypeError(f"{name} must be real numbers; got an array of dtype {array.dtype}.")
    return array


def namespace(value: Any, name: str) -> tuple[ModuleType, Array]:
    """Return the array namespace of a torch, JAX or other array, and the array with a float dtype.

    Raises
    ------
    TypeError
        If ``value`` is neither a number nor an array, or is complex or boolean.
    """
    # array_api_compat is no dependency of the oracles: only arrays that are not NumPy's need it.
    import array_api_compat

    xp: ModuleType = array_api_compat.array_namespace(value)
    if xp.isdtype(value.dtype, "integral"):
        return xp, value * 1.0
    if not xp.isdtype(value.dtype, "real floating"):
        raise TypeError(f"{name} must be real numbers; got an array of dtype {value.dtype}.")
    return xp, value


def like(value: Any, result: Any) -> Array:
    """Return the NumPy ``result`` as what ``value`` was: a float, a NumPy scalar or an array."""
    if isinstance(value, np.ndarray | list | tuple):
        return np.asarray(result)
    if isinstance(value, np.generic):
        return result[()]
    return float(result)


def require_between(values: npt.NDArray[Any], low: Array, high: Array, name: str) -> None:
    """Check that all values lie in [low, high].

    Raises
    ------
    ValueError
        If one does not, or is NaN.
    """
    inside = (values >= low) & (values <= high)
    if not inside.all():
        bad = values[~inside].flat[0]
        raise ValueError(f"{name} must be between {float(low)!r} and {float(high)!r}; got {bad}.")


def positive(name: str, value: Any) -> float:
    """Return ``value`` as a float.

    Raises
    ------
    ValueError
        If it is not positive and finite.
    """
    number = float(value)
    if not (0 < number < math.inf):
        raise ValueError(f"{name} must be positive and finite; got {value!r}.")
    return number


def logistic_roots(xp: ModuleType, lam: Array) -> tuple[Array, Array]:
    """``(sqrt(sigmoid(lam)), sqrt(sigmoid(-lam)))``, each to a few ulp however small it is."""
    # `where` instead of `abs`, whose derivative at 0 is 0 in torch and JAX: here the branches join smoothly.
    signal = lam >= 0
    small = xp.exp(-xp.where(signal, lam, -lam) / 2)
    norm = xp.sqrt(1 + small * small)
    one = xp.ones_like(lam)
    return xp.where(signal, one, small) / norm, xp.where(signal, small, one) / norm


def softplus(xp: ModuleType, x: Array) -> Array:
    """``log(1 + exp(x))``, to a few ulp for every x, without overflow."""
    return xp.logaddexp(x, xp.zeros_like(x))


def half_pi(xp: ModuleType, t: Array) -> Array:
    """pi/2 in the precision of ``t``, which ``math.pi`` does not have when ``t`` is longdouble."""
    return 2 * xp.atan(xp.ones_like(t))
