"""Adaptive quadrature of one peaked function in one or two dimensions, kept as nodes for any further moment."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from afi_reference.distribution import Array
from afi_reference.families.quadrature import gauss_kronrod

LogFunction: TypeAlias = Callable[[Array], Array]
"""From offsets (N, m) to logarithms (N,), below about 0."""

TOLERANCE = 1e-15
"""Cells are split until the sum of their errors is this part of the integral."""

INITIAL_CELLS = {1: 32, 2: 8}
"""Per axis. What is narrower than a few hundredths of a cell must be announced by a landmark."""

DEEPEST = 2.0**-48
"""The smallest cell, in parts of the whole."""


@dataclasses.dataclass(frozen=True)
class Landmark:
    """A place where the function changes over a short distance."""

    place: Array  # (m,)
    scale: float


@dataclasses.dataclass(frozen=True)
class Nodes:
    """A cubature rule that fits one function. ``C`` cells of ``n`` nodes each."""

    offsets: Array  # (C, n, m)
    weights: Array  # (C, n): Kronrod's, times the function
    differences: Array  # (C, n): Kronrod's minus Gauss's, times the function

    def integral(self, values: Array) -> tuple[Array, Array]:
        """Integrate the function times ``values`` (C, n); return that and the sum of the cells' errors."""
        return (self.weights * values).sum(), np.abs((self.differences * values).sum(axis=1)).sum()


def fit_nodes(function: LogFunction, low: Array, high: Array, landmarks: Sequence[Landmark], most_cells: int) -> Nodes:
    """Split ``[low, high]`` until the function and its first two moments are integrated.

    Parameters
    ----------
    function
        The logarithm of what is integrated; at most about 0, so that it does not overflow.
    landmarks
        Cells near one are split down to its scale before their errors are believed.
    most_cells
        Where that many are not enough the nodes are those reached: their errors tell.
    """
    cells = _graded(_grid(low, high, landmarks), landmarks, (high - low).max() * DEEPEST)
    nodes = _evaluate(function, cells)
    while len(cells) < most_cells:
        split = _inaccurate(nodes) & ((cells[:, 1] - cells[:, 0]).max(axis=1) > (high - low).max() * DEEPEST)
        if not split.any():
            break
        children = _halved(cells[split])
        fresh = _evaluate(function, children)
        cells = np.concatenate([cells[~split], children])
        nodes = Nodes(
            *(
                np.concatenate([getattr(nodes, field.name)[~split], getattr(fresh, field.name)])
                for field in dataclasses.fields(Nodes)
            )
        )
    return nodes


def _inaccurate(nodes: Nodes) -> Array:
    """Whether each cell's error, in the total or a scaled moment, is above its share, shape (C,)."""
    total = nodes.weights.sum()
    if not total > 0:
        return np.ones(len(nodes.weights), dtype=bool)
    centred = nodes.offsets - (nodes.weights[:, :, None] * nodes.offsets).sum(axis=(0, 1)) / total
    spread = np.sqrt((nodes.weights[:, :, None] * centred**2).sum(axis=(0, 1)) / total)
    scaled = centred / np.maximum(spread, np.finfo(np.float64).tiny)
    worst = np.zeros(len(nodes.weights))
    for values in (1.0, *np.moveaxis(scaled, 2, 0), *np.moveaxis(scaled**2, 2, 0)):
        error = np.abs((nodes.differences * values).sum(axis=1))
        rounding = 4 * np.finfo(np.float64).eps * (nodes.weights * np.abs(values)).sum(axis=1)
        worst = np.maximum(worst, np.where(error > rounding, error, 0))
    return worst > TOLERANCE * total / len(worst)


def _evaluate(function: LogFunction, cells: Array) -> Nodes:
    """Apply the tensor rule to cells of shape (C, 2, m): the lower and the upper corner."""
    dimension = cells.shape[2]
    nodes, kronrod, gauss = gauss_kronrod()
    grid = np.stack(np.meshgrid(*[nodes] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)
    outer = kronrod, gauss
    if dimension == 2:
        outer = np.multiply.outer(kronrod, kronrod).ravel(), np.multiply.outer(gauss, gauss).ravel()
    half = (cells[:, 1] - cells[:, 0]) / 2
    offsets = (cells[:, 0] + half)[:, None] + half[:, None] * grid
    values = np.exp(function(offsets.reshape(-1, dimension))).reshape(offsets.shape[:2])
    values *= half.prod(axis=1)[:, None]
    return Nodes(offsets, values * outer[0], values * (outer[0] - outer[1]))


def _grid(low: Array, high: Array, landmarks: Sequence[Landmark]) -> Array:
    """Return a uniform grid of cells with further lines through the landmarks, shape (C, 2, m)."""
    intervals = []
    for axis in range(len(low)):
        even = np.linspace(low[axis], high[axis], INITIAL_CELLS[len(low)] + 1)
        lines = np.union1d(even, [landmark.place[axis] for landmark in landmarks])
        intervals.append(np.stack([lines[:-1], lines[1:]], axis=1))
    places = np.meshgrid(*[np.arange(len(i)) for i in intervals], indexing="ij")
    return np.stack([i[p.ravel()] for i, p in zip(intervals, places, strict=True)], axis=2)


def _graded(cells: Array, landmarks: Sequence[Landmark], smallest: float) -> Array:
    """Split until each cell is no wider than the larger of its distance to a landmark and that one's scale."""
    done = []
    while len(cells):
        widths = (cells[:, 1] - cells[:, 0]).max(axis=1)
        split = np.zeros(len(cells), dtype=bool)
        for landmark in landmarks:
            gaps = np.maximum(cells[:, 0] - landmark.place, landmark.place - cells[:, 1]).max(axis=1)
            split |= widths > np.maximum(np.maximum(gaps, landmark.scale), smallest)
        done.append(cells[~split])
        cells = _halved(cells[split])
    return np.concatenate(done)


def _halved(cells: Array) -> Array:
    """Halve each cell along every axis."""
    for axis in range(cells.shape[2]):
        lower, upper = cells.copy(), cells.copy()
        lower[:, 1, axis] = upper[:, 0, axis] = (cells[:, 0, axis] + cells[:, 1, axis]) / 2
        cells = np.concatenate([lower, upper])
    return cells
