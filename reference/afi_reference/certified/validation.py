"""What the certified oracles accept, and what they say about the rest."""

import math
from typing import Any

import numpy as np
from flint import arb

from afi_reference.certified.exact import EXACT_BITS, as_exact_array, exact_numbers
from afi_reference.certified.precision import working_precision
from afi_reference.distribution import Array

_WEIGHT_TOLERANCE = 1e-6


def as_rows(values: Any, name: str) -> Array:
    """Return ``values`` as an exact array of shape (N, d) with N and d at least 1.

    Raises
    ------
    ValueError
        If the shape is different.
    """
    array = as_exact_array(values, name)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{name} must have shape (N, d), one row per component and N, d >= 1; got {array.shape}. "
            "Flatten the events first: images.reshape(len(images), -1)."
        )
    return array


def as_weights(weights: Any, count: int) -> Array:
    """Return the weights as an exact array of shape (count,): ones if there are none.

    They are not rescaled: the law is normalised by their exact sum.

    Raises
    ------
    ValueError
        If the shape is different, a weight is negative, or they do not sum to 1 within 1e-6.
    """
    if weights is None:
        return np.ones(count)
    array = as_exact_array(weights, "weights")
    if array.shape != (count,):
        raise ValueError(f"weights must have shape ({count},), one per component; got {array.shape}.")
    if (array < 0).any():
        raise ValueError(f"weights must not be negative; the smallest is {array.min()}.")
    # A sum beyond float64 is no weight's business; fsum raises OverflowError there.
    total = math.fsum(array.tolist()) if array.max() < 2 else math.inf
    if abs(total - 1) > _WEIGHT_TOLERANCE:
        raise ValueError(
            f"weights must sum to 1 within {_WEIGHT_TOLERANCE} (what float32 rounding leaves); they sum to "
            f"{total}. Divide them by their sum: weights / weights.sum()."
        )
    return array


def merge_duplicates(rows: Array, weights: Array) -> tuple[Array, list[arb]]:
    """Drop the rows without weight and give each distinct row the exact sum of its weights.

    Where only one row is left, a covariance is then zero by construction, with radius zero.

    Returns
    -------
    rows
        The distinct rows, shape (N', d).
    weights
        Their weights, balls of radius zero.
    """
    kept = weights > 0
    distinct, owner = np.unique(rows[kept], axis=0, return_inverse=True)
    totals = [arb(0)] * len(distinct)
    with working_precision(EXACT_BITS):
        for row, weight in zip(owner.ravel().tolist(), exact_numbers(weights[kept]), strict=True):
            totals[row] += weight
    return distinct, totals


def as_covariances(values: Any, count: int, dimension: int) -> Array:
    """Return the covariances as an exact array of shape (count, dimension, dimension).

    Eigenvalues that are negative by no more than the rounding of a singular matrix are let through.

    Raises
    ------
    ValueError
        If the shape is different, or a matrix is not symmetric or not positive semi-definite.
    """
    array = as_exact_array(values, "covariances")
    if array.shape != (count, dimension, dimension):
        raise ValueError(
            f"covariances must have shape ({count}, {dimension}, {dimension}), one matrix per mean; got {array.shape}."
        )
    if not np.array_equal(array, array.transpose(0, 2, 1)):
        raise ValueError("covariances must be symmetric to the last bit; pass (C + C.transpose(0, 2, 1)) / 2.")
    for index, matrix in enumerate(array.astype(np.float64)):
        eigenvalues = np.linalg.eigvalsh(matrix)
        rounding = 16 * dimension * np.finfo(np.float64).eps * np.abs(eigenvalues).max()
        if eigenvalues.min() < -rounding:
            raise ValueError(
                f"covariances[{index}] is not positive semi-definite: it has the eigenvalue {eigenvalues.min()}."
            )
    return array


def as_batch(x: Any, dimension: int, name: str) -> tuple[Array, bool]:
    """Return ``x`` as an exact array of shape (B, d), and whether it was a single point of shape (d,).

    Raises
    ------
    ValueError
        If the shape is neither.
    """
    array = as_exact_array(x, name)
    if array.ndim not in (1, 2) or array.shape[-1] != dimension:
        raise ValueError(
            f"{name} must have shape ({dimension},) for one point or (B, {dimension}) for a batch; got {array.shape}."
        )
    return np.atleast_2d(array), array.ndim == 1


def as_limits(max_precision: Any, time_limit: Any) -> tuple[int, float]:
    """Return the limits as an int and a float (inf for no time limit).

    Raises
    ------
    ValueError
        If ``max_precision`` is not an integer of at least 2, or ``time_limit`` not positive.
    """
    if max_precision != int(max_precision) or max_precision < 2:
        raise ValueError(f"max_precision is a number of bits, an integer >= 2; got {max_precision}.")
    seconds = math.inf if time_limit is None else float(time_limit)
    if not seconds > 0:
        raise ValueError(f"time_limit is a positive number of seconds, or None for no limit; got {time_limit}.")
    return int(max_precision), seconds
