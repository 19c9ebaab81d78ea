"""Pairs of point and atom that products of matrices cannot resolve, computed again from differences.

A distance from products carries the rounding of ``|x|^2 + alpha^2 |y|^2``. Where the distance is much smaller,
its digits are lost; but then the noise is low, and few atoms are near enough to matter. No array of shape
(B, N, d) is ever formed: one point at a time.
"""

import dataclasses
import math
from typing import TYPE_CHECKING

from afi_reference.accumulator.arrays import Array, namespace, squared_norms, unit_roundoff
from afi_reference.accumulator.state import Frame, State

if TYPE_CHECKING:
    from afi_reference.accumulator.update import Chunk

RESOLVED = 8.0
"""Products are good enough where what they round is at most so many times the squared distance, and the atom's
square at most so many times that of the noise: the covariance is needed to a rounding of ``sigma^2 d``."""

NEGLIGIBLE = 64.0
"""Atoms whose logit is this far below the largest do not matter, even where 1/sigma^2 is e^20."""


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs to compute again."""

    mask: Array  # (B, n)
    atoms: dict[int, Array]  # for each point that has any, the indices of its atoms


def find_unresolved(state: State, frame: Frame, chunk: "Chunk", logits: Array) -> Pairs | None:
    """Return the pairs that matter and that products do not resolve; None if there are none."""
    xp = namespace(logits)
    query = state.query
    alpha, sigma = query.alpha[:, None], query.sigma[:, None]
    batch, dimension = query.x.shape
    sizes = alpha**2 * chunk.squares
    doubled = 2 * alpha * chunk.overlaps[:batch, :]
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


def refine_logits(state: State, chunk: "Chunk", logits: Array, pairs: Pairs) -> Array:
    """Return the logits relative to the anchor, shape (B, n), those of ``pairs`` from differences."""
    xp = namespace(logits)
    query = state.query
    rows = []
    for point in range(logits.shape[0]):
        row = logits[point, :]
        if point in pairs.atoms:
            indices = pairs.atoms[point]
            steps = _steps(state, chunk, point, indices)
            alpha = query.alpha[point]
            noise = query.x[point, :] - alpha * state.anchor[point, :]
            refined = steps @ noise - alpha / 2 * squared_norms(steps)
            refined = refined * (alpha / query.sigma[point] ** 2) - state.level[point]
            if chunk.log_weights is not None:
                refined += xp.take(chunk.log_weights, indices, axis=0)
            row = _scattered(row, pairs.mask[point, :], refined)
        rows.append(row)
    return xp.stack(rows)


def refined_sums(state: State, chunk: "Chunk", mass: Array, pairs: Pairs) -> tuple[Array, Array]:
    """Return what ``pairs`` add to the moments, shape (B or 2B, d), and to the second moments, shape (B,)."""
    xp = namespace(mass)
    query = state.query
    firsts, operators, seconds = [], [], []
    for point in range(mass.shape[0]):
        nothing = xp.zeros_like(query.x[point, :])
        first, operator, second = nothing, nothing, xp.sum(nothing)
        if point in pairs.atoms:
            indices = pairs.atoms[point]
            weights = xp.take(mass[point, :], indices, axis=0)
            steps = _steps(state, chunk, point, indices)
            first, second = weights @ steps, weights @ squared_norms(steps)
            if query.v is not None:
                operator = (weights * (steps @ query.v[point, :])) @ steps
        firsts.append(first)
        operators.append(operator)
        seconds.append(second)
    return xp.stack(firsts if query.v is None else firsts + operators), xp.stack(seconds)


def _steps(state: State, chunk: "Chunk", point: int, indices: Array) -> Array:
    """Return atoms minus the anchor of ``point``, shape (k, d)."""
    steps = namespace(indices).take(chunk.atoms, indices, axis=0)
    steps -= state.anchor[point, :]
    return steps


def _scattered(row: Array, mask: Array, values: Array) -> Array:
    """Return ``row`` with ``values`` where ``mask`` is true, without assigning to an array (JAX has none)."""
    xp = namespace(row)
    positions = xp.cumulative_sum(xp.astype(mask, xp.int32)) - 1
    positions = xp.where(mask, positions, 0 * positions)
    return xp.where(mask, xp.take(values, positions, axis=0), row)
