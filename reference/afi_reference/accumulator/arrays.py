"""What the array API leaves open: the namespace of an array, and fast accurate sums of squares."""

import sys
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = Any
"""An array of NumPy, torch, CuPy or JAX."""

_NAMESPACES: dict[type, Any] = {np.ndarray: np}
"""Of the types of arrays met so far: to ask array_api_compat takes longer than a small operation."""

BLOCK = 1024
"""Longest run of numbers whose squares are summed in sequence, which costs a rounding for each few of them."""

SHORT = 32
"""Terms of a product that torch adds up at a time on one thread: short sums are half as long again as fast there."""


def namespace(array: Array) -> Any:
    """Return the array API namespace of ``array``.

    Raises
    ------
    TypeError
        If it is not an array.
    """
    kind = type(array)
    if kind not in _NAMESPACES:
        if isinstance(array, np.ndarray):
            return np
        # Lazily, because NumPy's arrays do without it.
        import array_api_compat

        _NAMESPACES[kind] = array_api_compat.array_namespace(array)
    return _NAMESPACES[kind]


def like(values: Any, reference: Array) -> Array:
    """Return ``values`` as an array of the namespace, dtype and device of ``reference``."""
    xp = namespace(reference)
    if xp is np:
        return np.asarray(values, dtype=reference.dtype)
    if type(values) is type(reference) and values.dtype == reference.dtype and values.device == reference.device:
        return values
    if isinstance(values, np.ndarray) and not values.flags.writeable:
        values = _writeable(values)
    import array_api_compat

    return xp.asarray(values, dtype=reference.dtype, device=array_api_compat.device(reference))


def mask_like(mask: npt.NDArray[np.bool_], reference: Array) -> Array:
    """Return a mask on the host as an array of the namespace and device of ``reference``."""
    xp = namespace(reference)
    if xp is np:
        return mask
    import array_api_compat

    return xp.asarray(mask, device=array_api_compat.device(reference))


def on_host(array: Array) -> npt.NDArray[np.float64]:
    """Return the numbers of a small array in NumPy's float64."""
    return np.asarray(array.tolist(), dtype=np.float64)


def is_on_cpu(array: Array) -> bool:
    """Whether the processor holds the array, not an accelerator."""
    if isinstance(array, np.ndarray):
        return True
    import array_api_compat

    return "cpu" in str(array_api_compat.device(array)).lower()


def is_mutable(array: Array) -> bool:
    """Whether operations in place change the array itself, and not a copy as JAX's do."""
    return isinstance(array, np.ndarray) or not hasattr(array, "at")


def rows_of(array: Array, numbers: npt.NDArray[np.int64]) -> Array:
    """Return the rows of these numbers; the last one for -1."""
    xp = namespace(array)
    numbers = numbers % array.shape[0]
    if xp is np:
        return array[numbers]
    import array_api_compat

    return xp.take(array, xp.asarray(numbers, device=array_api_compat.device(array)), axis=0)


def add_product(total: Array, left: Array, right: Array) -> Array:
    """Return ``total + left @ right``, in place where the namespace can: ``total`` is used up."""
    if hasattr(total, "addmm_"):
        torch = sys.modules["torch"]  # loaded, as there is a tensor; the oracles themselves do not need it
        # Several threads would wait for one another after each piece, on a busy machine for milliseconds.
        piece = SHORT if torch.get_num_threads() == 1 and is_on_cpu(total) else right.shape[0]
        for begin in range(0, right.shape[0], piece):
            total.addmm_(left[:, begin : begin + piece], right[begin : begin + piece, :])
        return total
    total += left @ right
    return total


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
    total = 0.0
    if whole:
        runs = rows[:, :whole].reshape(count, -1, BLOCK)
        total = xp.linalg.vector_norm(runs, axis=2).square().sum(1)
    if whole < dimension:
        total = total + xp.linalg.vector_norm(rows[:, whole:], axis=1).square()
    return total


class _View:
    """Memory described to NumPy, kept alive by what describes it."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.owner = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _writeable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the same memory as an array that may be written to, which torch insists on. Nobody writes to atoms."""
    return np.asarray(_View(array))
