"""Some more atoms: block by block, each small enough that the second product still finds it in cache."""

import dataclasses

import numpy as np

from afi_reference.accumulator import refinement
from afi_reference.accumulator.arrays import Array, like, mask_like, namespace, on_host, rows_of, squared_norms
from afi_reference.accumulator.block import (
    Block,
    Sums,
    add,
    block_rows,
    copied_rows,
    fold,
    make_block,
    make_frame,
    relative_logits,
    shifted_sums,
)
from afi_reference.accumulator.guard import Guard, make_guard
from afi_reference.accumulator.state import Frame, State, gain, reanchored

MAX_MOVES = 6
"""Anchors settle in one or two moves; more happen only where products of matrices resolve nothing."""

FAR_FROM_ZERO = 4.0
"""Data are centred, at the cost of a copy of each block, if that shrinks their squares by this factor."""

FOLD = 16
"""Blocks summed in sequence before their sum is added to the state: rounding grows with the length of a sum."""


def update(state: State, atoms: Array, weights: Array | None = None, *, block: int | None = None) -> State:
    """Return the state after some more atoms.

    Parameters
    ----------
    atoms
        Shape (n, d).
    weights
        Prior weights, shape (n,), not negative; 1 each by default. They need not sum to 1 over all calls:
        :func:`finish` divides by their sum.
    block
        Atoms at a time. By default as many as the cache holds.

    Raises
    ------
    ValueError
        If a shape does not fit or a weight is negative.
    """
    count, dimension = atoms.shape if atoms.ndim == 2 else (0, None)
    if dimension != state.anchor.shape[1]:
        raise ValueError(f"atoms must have shape (n, {state.anchor.shape[1]}), as x has; got {tuple(atoms.shape)}.")
    if weights is not None and tuple(weights.shape) != (count,):
        raise ValueError(f"weights must have shape ({count},), one per atom; got {tuple(weights.shape)}.")
    if state.centre is None and count:
        # Before the size of blocks is chosen, which depends on whether they have to be copied.
        few = slice(0, block or copied_rows(state))
        log_weights, _ = _log_weights(None if weights is None else weights[few], state.anchor)
        state = _with_centre(state, like(atoms[few, ...], state.anchor), log_weights)
    begin = 0
    while begin < count:
        rows = block or block_rows(state)
        end = begin + FOLD * rows
        part = None if weights is None else weights[begin:end]
        state = _with_blocks(state, atoms[begin:end, ...], part, rows)
        begin = end
    return state


def _with_blocks(state: State, atoms: Array, weights: Array | None, rows: int) -> State:
    """Return the state after a run of blocks."""
    log_weights, total = _log_weights(weights, state.anchor)
    if weights is None:
        total = float(atoms.shape[0])
    frame = state.frame or make_frame(state)
    guard = make_guard(state, frame, log_weights)
    sums: Sums | None = None
    for begin in range(0, atoms.shape[0], rows):
        part = slice(begin, begin + rows)
        block = make_block(
            state, frame, like(atoms[part, ...], state.anchor), None if log_weights is None else log_weights[part]
        )
        logits = relative_logits(frame, block)
        best, largest = _extremes(logits, block)
        if guard.must_look_closer(best, largest):
            if sums is not None:
                state, frame = _folded(state, frame, sums, guard, atoms, log_weights)
            state, frame = _with_care(state, frame, block)
            guard, sums = make_guard(state, frame, log_weights), None
        elif guard.weighs(best):
            sums = add(sums, frame, block, namespace(logits).exp(logits))
            guard.note(best, begin, logits)
    if sums is not None:
        state, frame = _folded(state, frame, sums, guard, atoms, log_weights)
    return dataclasses.replace(state, frame=frame, total_weight=state.total_weight + total)


def _extremes(logits: Array, block: Block) -> tuple[np.ndarray, float]:
    """Return the largest logits for each point, and the largest squared norm, on the host: one transfer."""
    xp = namespace(logits)
    values = on_host(xp.concat([xp.max(logits, axis=1), xp.max(block.squares)[None]]))
    return values[:-1], float(values[-1])


def _folded(
    state: State, frame: Frame, sums: Sums, guard: Guard, atoms: Array, log_weights: Array | None
) -> tuple[State, Frame]:
    """Return the state with the sums of a run of blocks, and anchors at the likeliest of its atoms."""
    moves = guard.moves()
    if not moves.any():
        return fold(state, frame, sums), frame
    xp = namespace(state.anchor)
    candidates = like(rows_of(atoms, guard.leader), state.anchor)
    level = xp.zeros_like(state.level) if log_weights is None else rows_of(log_weights, guard.leader)
    gains = gain(state, candidates, level)
    # Products alone may mistake a worse atom for a better one.
    moved = mask_like(moves, gains > 0) & ((gains > 0) | mask_like(~guard.seen, gains > 0))
    anchor = candidates if bool(xp.all(moved)) else xp.where(moved[:, None], candidates, state.anchor)
    level = xp.where(moved, level, state.level)
    if guard.seen.any():
        state = reanchored(state, anchor, level)
    else:
        state = dataclasses.replace(state, anchor=anchor, level=level, frame=None)
    before, frame = frame, make_frame(state, frame)
    sums = shifted_sums(sums, before, frame, xp.where(moved, gains, 0 * gains))
    return fold(state, frame, sums), frame


def _moved(state: State, frame: Frame, moves: Array, candidates: Array, level: Array) -> tuple[State, Frame]:
    xp = namespace(candidates)
    anchor = xp.where(moves[:, None], candidates, state.anchor)
    state = reanchored(state, anchor, xp.where(moves, level, state.level))
    return state, make_frame(state, frame)


def _with_care(state: State, frame: Frame, block: Block) -> tuple[State, Frame]:
    """Return the state after a block some of whose atoms may weigh more than the anchors, or be unresolved."""
    xp = namespace(block.atoms)
    empty = state.normaliser == 0
    for moves_left in reversed(range(MAX_MOVES)):
        logits = relative_logits(frame, block)
        again = refinement.find_unresolved(state, frame, block, logits) if state.query.accurate else None
        if again is not None:
            logits = refinement.refine_logits(state, block, logits, again)
        best = xp.max(logits, axis=1)
        # Between atoms of similar weight a move gains nothing; a first anchor that is no atom may be too good.
        moves = xp.isfinite(best) & ((best > 1) | (empty & (best < -1)))
        if not bool(xp.any(moves)):
            break
        index = xp.argmax(logits, axis=1)
        candidates = xp.take(block.atoms, index, axis=0)
        level = xp.zeros_like(state.level) if block.log_weights is None else xp.take(block.log_weights, index, axis=0)
        # Products alone may mistake a worse atom for a better one.
        moves = moves & (empty | (gain(state, candidates, level) > 0))
        if not moves_left or not bool(xp.any(moves)):
            break
        state, frame = _moved(state, frame, moves, candidates, level)
    # Without refinement, rounding alone can move logits by more than exp can take.
    astray = xp.isfinite(best) & ((best > 1) | (empty & (best < -1)))
    logits -= xp.where(astray, best, 0 * state.level)[:, None]

    mass = xp.exp(logits)
    if again is None:
        return fold(state, frame, add(None, frame, block, mass)), frame
    resolved = add(None, frame, block, xp.where(again.mask, 0 * mass, mass))
    state = fold(state, frame, resolved)
    normaliser, moments, second = refinement.refined_sums(state, block, mass, again)
    return dataclasses.replace(
        state,
        normaliser=state.normaliser + normaliser,
        moments=state.moments + moments,
        second=state.second + second,
    ), frame


def _log_weights(weights: Array | None, reference: Array) -> tuple[Array | None, float]:
    if weights is None:
        return None, 0.0
    xp = namespace(reference)
    weights = like(weights, reference)
    if bool(xp.any(weights < 0)):
        raise ValueError(f"weights must not be negative; the smallest is {float(xp.min(weights))}.")
    positive = weights > 0
    ones = xp.ones_like(weights)
    log_weights = xp.where(positive, xp.log(xp.where(positive, weights, ones)), -xp.inf * ones)
    return log_weights, float(xp.sum(weights))


def _with_centre(state: State, atoms: Array, log_weights: Array | None) -> State:
    """Choose the centre, and as first anchor the mean: under much noise it stays the best there is."""
    xp = namespace(atoms)
    # By a product, because torch reduces along the first axis slowly.
    mean = (xp.ones_like(atoms[:, 0])[None, :] @ atoms)[0, :] / atoms.shape[0]
    size = float(xp.mean(squared_norms(atoms)))
    offset = float(xp.sum(mean * mean))
    shifted = size > FAR_FROM_ZERO * (size - offset)
    level = state.level
    if log_weights is not None:
        largest = xp.max(log_weights)
        level = level + xp.where(xp.isfinite(largest), largest, 0 * xp.ones_like(largest))
    anchor = xp.broadcast_to(mean, state.anchor.shape)
    empty = state.normaliser == 0
    return dataclasses.replace(
        state,
        # Without memory of its own where nothing has been seen.
        anchor=xp.where(empty[:, None], anchor, state.anchor) if state.total_weight > 0 else anchor,
        level=xp.where(empty, level, state.level),
        centre=mean,
        shifted=shifted,
        frame=None,
    )
