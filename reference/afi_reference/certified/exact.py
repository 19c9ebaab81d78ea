"""Inputs as exact numbers: what the caller's floats say, converted without rounding."""

from typing import Any

import numpy as np
from flint import arb, arb_mat

from afi_reference.distribution import Array, as_float_array

_LARGEST_EXACT_INTEGER = 2**53

# Large enough for sums of products of any two floats, longdouble included, to be exact. A bound, not a cost:
# exact operands use the bits that they need.
EXACT_BITS = 100_000


def as_exact_array(values: Any, name: str) -> Array:
    """Return ``values`` as a finite array of float64 (longdouble stays longdouble) with nothing rounded.

    Parameters
    ----------
    values
        Real numbers of any shape.
    name
        What the caller calls them.

    Returns
    -------
    Array
        The same numbers.

    Raises
    ------
    TypeError
        If they are not booleans, integers or floats that NumPy knows.
    ValueError
        If an entry is not finite, or an integer that float64 cannot hold.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} must hold real floats or integers; got dtype {array.dtype}. Convert it to float64 first "
            "(from bfloat16 and the like this is exact)."
        )
    if array.dtype.kind in "iu":
        fits = (array <= _LARGEST_EXACT_INTEGER) & (array >= -_LARGEST_EXACT_INTEGER)
        if not fits.all():
            raise ValueError(
                f"{name} holds integers beyond 2**53, which float64 would round; scale them down or pass the "
                "floats that you mean."
            )
    return as_float_array(array, name)


def exact_number(value: Any) -> arb:
    """Return one float (float64 or longdouble) as a ball of radius zero."""
    numerator, denominator = value.as_integer_ratio()
    return arb((numerator, 1 - denominator.bit_length()))


def exact_numbers(array: Array) -> list[arb]:
    """Return the entries of an array, in C order, as balls of radius zero."""
    if array.dtype == np.float64:
        return [arb(value) for value in array.ravel().tolist()]
    return [exact_number(value) for value in array.ravel()]


def exact_matrix(array: Array) -> arb_mat:
    """Return an array of shape (m, n) as a matrix of balls of radius zero."""
    return arb_mat(array.shape[0], array.shape[1], exact_numbers(array))


def identity_matrix(d: int) -> arb_mat:
    """Return the identity of shape (d, d)."""
    return arb_mat(d, d, [int(i == j) for i in range(d) for j in range(d)])


def log2_magnitude(array: Array) -> float:
    """Return log2 of the largest absolute entry; -inf if all are zero (or there are none)."""
    largest = np.abs(array).max(initial=0.0)
    return float(np.log2(largest)) if largest > 0 else float("-inf")
