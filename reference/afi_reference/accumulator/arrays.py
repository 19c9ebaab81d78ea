"""What the array API leaves open: the namespace of an array, and fast accurate sums of squares."""

import types
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""An array of NumPy, torch, CuPy or JAX."""

BLOCK = 1024
"""Longest run of numbers whose squares are summed in sequence, which costs a rounding for each few of them."""


def namespace(array: Array) -> Any:
    """Return the array API namespace of ``array``.

    Raises
    ------
    TypeError
        If it is not an array.
    """
    if isinstance(array, np.ndarray):
        return np
    # Lazily, because NumPy's arrays do without it.
    import array_api_compat

    xp: types.ModuleType = array_api_compat.array_namespace(array)
    return xp


def like(values: Any, reference: Array) -> Array:
    """Return ``values`` as an array of the namespace, dtype and device of ``reference``."""
    xp = namespace(reference)
    if xp is np:
        return np.asarray(values, dtype=reference.dtype)
    if isinstance(values, np.ndarray) and not values.flags.writeable:
        values = values.copy()  # torch shares memory with NumPy, and warns where it must not write
    import array_api_compat

    return xp.asarray(values, dtype=reference.dtype, device=array_api_compat.device(reference))


def unit_roundoff(array: Array) -> float:
    """Return the largest relative error of rounding to the dtype of ``array``."""
    return float(namespace(array).finfo(array.dtype).eps) / 2


def squared_norms(rows: Array) -> Array:
    """Return the squared norm of each row, shape (N,), without a temporary array of the size of ``rows``."""
    xp = namespace(rows)
    if "torch" not in xp.__name__:
        return xp.vecdot(rows, rows)
    # torch multiplies rows one by one in vecdot, five times slower; its norm adds up in sequence.
    count, dimension = rows.shape
    whole = dimension // BLOCK * BLOCK
    total = xp.linalg.vector_norm(rows[:, whole:], axis=1) ** 2
    if whole:
        blocks = xp.reshape(rows[:, :whole], (count, -1, BLOCK))
        total += xp.sum(xp.linalg.vector_norm(blocks, axis=2) ** 2, axis=1)
    return total
