"""Find the highest point of a function and the distance over which it changes there."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from afi_reference.distribution import Array

Gain: TypeAlias = Callable[[Array, Array], Array]
"""``gain(place, offsets)``: how much higher the function is at ``place + offsets``, from (m,), (N, m) to (N,)."""

_HALVINGS = 2.0 ** -np.arange(0, 60)


def climb(gain: Gain, start: Array, low: Array, high: Array) -> Array:
    """Climb from ``start`` to a maximum within the bounds, trying steps of every size along the axes."""
    place = start
    for _ in range(400):
        targets = np.clip(place + _steps(high - low), low, high)
        rises = gain(place, targets - place)
        best = int(np.argmax(rises))
        if not rises[best] > 0.01:  # a hundredth of a nat from the top is close enough to find the peak's cells
            break
        place = targets[best]
    return place


def scale_at(gain: Gain, place: Array, low: Array, high: Array) -> float:
    """Return the shortest distance along an axis over which the function changes by a nat."""
    shortest = float((high - low).max())
    for axis in range(len(place)):
        for sign in (-1, 1):
            offsets = np.zeros((len(_HALVINGS), len(place)))
            offsets[:, axis] = sign * _HALVINGS * (high - low)[axis]
            targets = place + offsets
            within = np.asarray(((targets >= low) & (targets <= high)).all(axis=1))
            changes = np.abs(gain(place, offsets * within[:, None]))
            changed = np.logical_and(within, changes > 1)
            # A change that no step is too small for is a jump, where there is no scale to resolve.
            if changed.any() and not changed[-1]:
                shortest = min(shortest, float(np.abs(offsets[changed, axis]).min()))
    return shortest


def _steps(extent: Array) -> Array:
    axes = np.concatenate([np.diag(extent), -np.diag(extent)])
    return (_HALVINGS[:, None, None] * axes).reshape(-1, len(extent))
