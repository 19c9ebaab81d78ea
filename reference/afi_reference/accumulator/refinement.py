"""Pairs of point and atom that products of matrices cannot resolve, computed again from differences.

A distance from products carries the rounding of ``|x|^2 + alpha^2 |y|^2``. Where the distance is much smaller,
its digits are lost; but then the noise is low, and few atoms are near enough to matter. No array of shape
(B, N, d) is ever formed: one point at a time.
"""

import dataclasses
import math
from typing import TYPE_CHECKING

from afi_reference.accumulator.arrays import Array, namespace, squared_norms, unit_roundoff
from afi_reference.accumulator.guard import NEGLIGIBLE, RESOLVED
from afi_reference.accumulator.state import Frame, State

if TYPE_CHECKING:
    from afi_reference.accumulator.block import Block


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs to compute again."""

    mask: Array  # (B, n)
    atoms: dict[int, Array]  # for each point that has any, the indices of its atoms


def find_unresolved(state: State, frame: Frame, block: "Block", logits: Array) -> Pairs | None:
    """Return the pairs that matter and that products do not resolve; None if there are none."""
    xp = namespace(logits)
    query = state.query
    alpha, sigma = query.alpha[:, None], query.sigma[:, None]
    batch, dimension = query.x.shape
    sizes = alpha**2 * block.squares
    doubled = 2 * alpha * block.overlaps[:batch, :]
    distances = frame.point_square[:, None] - doubled + sizes
    # What products round: x.y and |y|^2 in logits, |y|^2 in moments.
    rounded = sizes + xp.sqrt(sizes * frame.point_square[:, None])
    unresolved = (rounded > RESOLVED * distances) | (sizes > RESOLVED * dimension * sigma**2)
    if not bool(xp.any(unresolved)):
        return None
    anchor_sizes = alpha**2 * frame.anchor_square[:, None]
    rounded += anchor_sizes + xp.sqrt(anchor_sizes * frame.point_square[:, None])
    # Errors of sums of d terms grow like sqrt(d): a bound to select by, not one to report.
    error = 4 * unit_roundoff(logits) * math.sqrt(dimension) / sigma**2 * rounded
    best = xp.max(logits, axis=1)
    seen = state.normaliser > 0
    best = xp.where(seen & (best < 0), xp.zeros_like(best), best)[:, None]
    # Without an atom of positive weight so far, -inf is not greater than -inf.
    mask = unresolved & (logits > best - (NEGLIGIBLE + error))
    if not bool(xp.any(mask)):
        return None
    atoms = {}
    for point in range(batch):
        (indices,) = xp.nonzero(mask[point, :])
        if indices.shape[0]:
            atoms[point] = indices
    return Pairs(mask, atoms)


def refine_logits(state: State, block: "Block", logits: Array, pairs: Pairs) -> Array:
    """Return the logits relative to the anchor, shape (B, n), those of ``pairs`` from differences."""
    xp = namespace(logits)
    query = state.query
    rows = []
    for point in range(logits.shape[0]):
        row = logits[point, :]
        if point in pairs.atoms:
            indices = pairs.atoms[point]
            steps = _steps(state, block, point, indices)
            alpha = query.alpha[point]
            noise = query.x[point, :] - alpha * state.anchor[point, :]
            refined = steps @ noise - alpha / 2 * squared_norms(steps)
            refined = refined * (alpha / query.sigma[point] ** 2) - state.level[point]
            if block.log_weights is not None:
                refined += xp.take(block.log_weights, indices, axis=0)
            row = _scattered(row, pairs.mask[point, :], refined)
        rows.append(row)
    return xp.stack(rows)


def refined_sums(state: State, block: "Block", mass: Array, pairs: Pairs) -> tuple[Array, Array, Array]:
    """Return what ``pairs`` add to the normaliser (B,), the moments (B or 2B, d), and the second moments (B,)."""
    xp = namespace(mass)
    query = state.query
    normalisers, firsts, operators, seconds = [], [], [], []
    for point in range(mass.shape[0]):
        nothing = xp.zeros_like(query.x[point, :])
        first, operator, second = nothing, nothing, xp.sum(nothing)
        normaliser = second
        if point in pairs.atoms:
            indices = pairs.atoms[point]
            weights = xp.take(mass[point, :], indices, axis=0)
            steps = _steps(state, block, point, indices)
            normaliser, first, second = xp.sum(weights), weights @ steps, weights @ squared_norms(steps)
            if query.v is not None:
                operator = (weights * (steps @ query.v[point, :])) @ steps
        normalisers.append(normaliser)
        firsts.append(first)
        operators.append(operator)
        seconds.append(second)
    moments = xp.stack(firsts if query.v is None else firsts + operators)
    return xp.stack(normalisers), moments, xp.stack(seconds)


def _steps(state: State, block: "Block", point: int, indices: Array) -> Array:
    """Return atoms minus the anchor of ``point``, shape (k, d)."""
    steps = namespace(indices).take(block.atoms, indices, axis=0)
    steps -= state.anchor[point, :]
    return steps


def _scattered(row: Array, mask: Array, values: Array) -> Array:
    """Return ``row`` with ``values`` where ``mask`` is true, without assigning to an array (JAX has none)."""
    xp = namespace(row)
    positions = xp.cumulative_sum(xp.astype(mask, xp.int32)) - 1
    positions = xp.where(mask, positions, 0 * positions)
    return xp.where(mask, xp.take(values, positions, axis=0), row)
