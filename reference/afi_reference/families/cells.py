"""Adaptive quadrature of one peaked function in one or two dimensions, kept as nodes for any further moment."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from afi_reference.distribution import Array
from afi_reference.families.quadrature import gauss_kronrod

LogFunction: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""From offsets (N, m) to logarithms (N,), below about 0, and to the sizes (N,) of the terms that were added up."""

TOLERANCE = 1e-15
"""Cells are split until the sum of their errors is this part of the integral."""

INITIAL_CELLS = {1: 32, 2: 8}
"""Per axis. What is narrower than a few hundredths of a cell must be announced by a landmark."""

POINTS = 2**16
"""Of the density, at a time."""

ISOTROPIC = 16.0
"""A cell is halved along the axis of the largest error alone where that is so much above the other."""

MUCH_BETTER = 0.01
"""Cells whose error is that part of the largest have time: what has hardly been seen yet comes first."""

MUCH_WIDER = 4.0
"""A cell's nodes see what is that many times narrower than what the nodes of a smaller cell see."""

SEEN = 1e-9
"""Cells with less than this part of the integral lead nowhere."""

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
    rounding: Array  # (C, n): what rounding of the logarithm makes of the weights
    roughness: Array  # (C, m): the same difference along each axis alone, of absolute values over the lines

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

    Raises
    ------
    ValueError
        If the landmarks alone take more cells.
    """
    smallest = (high - low).max() * DEEPEST
    cells = _graded(_grid(low, high, landmarks, most_cells), landmarks, smallest, most_cells)
    nodes = _evaluate(function, cells)
    while len(cells) < most_cells:
        wanted = _axes_to_split(nodes, cells, smallest, most_cells - len(cells))
        split = wanted.any(axis=1)
        if not split.any():
            break
        children = _halved(cells[split], wanted[split])
        fresh = _evaluate(function, children)
        cells = np.concatenate([cells[~split], children])
        nodes = Nodes(
            *(
                np.concatenate([getattr(nodes, field.name)[~split], getattr(fresh, field.name)])
                for field in dataclasses.fields(Nodes)
            )
        )
    return nodes


def _axes_to_split(nodes: Nodes, cells: Array, smallest: float, room: int) -> Array:
    """Return which cells to split along which axes, shape (C, m), the worst first while there is room for more."""
    excess = _excess(nodes)
    wide = cells[:, 1] - cells[:, 0] > smallest
    rough = nodes.roughness >= nodes.roughness.max(axis=1, keepdims=True) / ISOTROPIC
    wanted = np.where((wide & rough).any(axis=1, keepdims=True), wide & rough, wide)
    wanted &= (excess > max(0.0, excess.max() * MUCH_BETTER))[:, None]
    if cells.shape[2] > 1:
        wanted |= _blind(nodes, cells) & wide
    order = np.argsort(-excess, kind="stable")
    grown = np.cumsum(2 ** wanted[order].sum(axis=1) - 1)
    wanted[order[grown > room]] = False
    return wanted


def _blind(nodes: Nodes, cells: Array) -> Array:
    """Return which cells would not see along which axes a ridge that leaves a cell beside them, shape (C, m).

    A ridge is as wide as the cells that follow it. Where it goes on into a cell that is much wider across it, it may
    pass between the nodes.
    """
    masses = nodes.weights.sum(axis=1)
    low, high = cells[:, 0], cells[:, 1]
    blind = np.zeros(low.shape, dtype=bool)
    narrow = np.flatnonzero(masses > SEEN * masses.sum())
    for start in range(0, len(narrow), 128):
        some = narrow[start : start + 128]
        touching = np.ones((len(some), len(cells)), dtype=bool)
        for axis in range(low.shape[1]):
            touching &= (low[some, axis, None] <= high[:, axis]) & (low[:, axis] <= high[some, axis, None])
        rows, beside = np.nonzero(touching)
        left, right = some[rows], beside
        beyond = (low[left] < high[right]) & (low[right] < high[left])  # an axis along their common face
        wider = (high - low)[right] > MUCH_WIDER * (high - low)[left]
        np.logical_or.at(blind, right, beyond & wider)
    return blind


def _excess(nodes: Nodes) -> Array:
    """Return by how much each cell's error, in the total or a scaled moment, is above its share, shape (C,)."""
    total = nodes.weights.sum()
    if not total > 0:
        return np.ones(len(nodes.weights))
    centred = nodes.offsets - (nodes.weights[:, :, None] * nodes.offsets).sum(axis=(0, 1)) / total
    spread = np.sqrt((nodes.weights[:, :, None] * centred**2).sum(axis=(0, 1)) / total)
    scaled = centred / np.maximum(spread, np.finfo(np.float64).tiny)
    worst = np.zeros(len(nodes.weights))
    for values in (1.0, *np.moveaxis(scaled, 2, 0), *np.moveaxis(scaled**2, 2, 0)):
        error = np.abs((nodes.differences * values).sum(axis=1))
        rounding = (nodes.rounding * np.abs(values)).sum(axis=1)
        worst = np.maximum(worst, np.where(error > rounding, error, 0))
    return worst - TOLERANCE * total / len(worst)


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
    logs, terms = (part.reshape(offsets.shape[:2]) for part in in_parts(function, offsets.reshape(-1, dimension)))
    values = np.exp(logs) * half.prod(axis=1)[:, None]
    weights = values * outer[0]
    rounding = np.where(weights > 0, weights * 4 * np.finfo(np.float64).eps * (1 + terms / 4), 0)
    lines = values.reshape(len(cells), *[len(nodes)] * dimension)
    roughness = [np.abs(np.moveaxis(lines, 1 + axis, -1) @ (kronrod - gauss)) for axis in range(dimension)]
    if dimension == 2:
        roughness = [along @ kronrod for along in roughness]
    return Nodes(offsets, weights, values * (outer[0] - outer[1]), rounding, np.stack(roughness, axis=1))


def in_parts(function: Callable[[Array], tuple[Array, ...]], offsets: Array) -> tuple[Array, ...]:
    """Apply a function to few points (N, m) at a time: what it needs for itself is not known."""
    parts = [function(offsets[start : start + POINTS]) for start in range(0, len(offsets), POINTS)]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _grid(low: Array, high: Array, landmarks: Sequence[Landmark], most_cells: int) -> Array:
    """Return a uniform grid of cells with further lines through the landmarks, shape (C, 2, m).

    Kinks along an axis are on such lines. Where there are too many for a grid only the first landmark has any.
    """
    dimension = len(low)
    through = landmarks if (INITIAL_CELLS[dimension] + len(landmarks)) ** dimension <= most_cells / 4 else landmarks[:1]
    intervals = []
    for axis in range(dimension):
        even = np.linspace(low[axis], high[axis], INITIAL_CELLS[dimension] + 1)
        lines = np.union1d(even, [landmark.place[axis] for landmark in through])
        apart = np.diff(lines) > DEEPEST * (high[axis] - low[axis])  # of lines that differ by rounding one is enough
        lines = np.concatenate([lines[:1], lines[1:-1][apart[:-1]], lines[-1:]])
        intervals.append(np.stack([lines[:-1], lines[1:]], axis=1))
    places = np.meshgrid(*[np.arange(len(i)) for i in intervals], indexing="ij")
    return np.stack([i[p.ravel()] for i, p in zip(intervals, places, strict=True)], axis=2)


def _graded(cells: Array, landmarks: Sequence[Landmark], smallest: float, most_cells: int) -> Array:
    """Split until each cell is no wider than the larger of its distance to a landmark and that one's scale."""
    done = []
    while len(cells):
        widths = cells[:, 1] - cells[:, 0]
        split = np.zeros(widths.shape, dtype=bool)  # by axis: what is narrow enough in one stays so
        for landmark in landmarks:
            gaps = np.maximum(cells[:, 0] - landmark.place, landmark.place - cells[:, 1]).max(axis=1)
            split |= widths > np.maximum(np.maximum(gaps, landmark.scale), smallest)[:, None]
        any_axis = split.any(axis=1)
        done.append(cells[~any_axis])
        cells = _halved(cells[any_axis], split[any_axis])
        count = sum(len(part) for part in done) + len(cells)
        if count > most_cells and len(landmarks) > 1:  # the peak alone is bounded by the halvings
            raise ValueError(
                f"the landmarks of the density take more than most_cells={most_cells} cells at this point; "
                "give fewer of them or a larger most_cells."
            )
    return np.concatenate(done)


def _halved(cells: Array, along: Array) -> Array:
    """Halve each cell along the axes that ``along`` (C, m) names."""
    for axis in range(cells.shape[2]):
        chosen = along[:, axis]
        lower, upper = cells[chosen], cells[chosen]
        lower[:, 1, axis] = upper[:, 0, axis] = (lower[:, 0, axis] + lower[:, 1, axis]) / 2
        cells = np.concatenate([cells[~chosen], lower, upper])
        along = np.concatenate([along[~chosen], along[chosen], along[chosen]])
    return cells
