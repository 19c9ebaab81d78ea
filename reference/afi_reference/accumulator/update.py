"""One chunk of atoms: two products of matrices, and again from differences what they cannot resolve."""

import dataclasses

from afi_reference.accumulator import refinement
from afi_reference.accumulator.arrays import Array, like, namespace, squared_norms
from afi_reference.accumulator.state import Frame, State, gain, reanchored

MAX_MOVES = 6
"""Anchors settle in one or two moves; more happen only where products of matrices resolve nothing."""

FAR_FROM_ZERO = 4.0
"""Data are centred, at the cost of a copy of each chunk, if that shrinks their squares by this factor."""

COPY_BYTES = 3 * 2**19
"""Atoms centred at a time: few, since the copy is most of the memory needed beyond the inputs."""


@dataclasses.dataclass(frozen=True, eq=False)
class Chunk:
    """A chunk of atoms with its products."""

    atoms: Array  # (n, d), as given
    centred: Array  # (n, d)
    squares: Array  # (n,): squared norms of the centred atoms
    log_weights: Array | None  # (n,); None where all are 0
    overlaps: Array  # (B or 2B, n): products with the rows of the frame


def update(state: State, atoms: Array, weights: Array | None = None) -> State:
    """Return the state after some more atoms.

    Parameters
    ----------
    atoms
        Shape (n, d).
    weights
        Prior weights, shape (n,), not negative; 1 each by default. They need not sum to 1 over all chunks:
        :func:`finish` divides by their sum.

    Raises
    ------
    ValueError
        If a shape does not fit or a weight is negative.
    """
    dimension = state.anchor.shape[1]
    if atoms.ndim != 2 or atoms.shape[1] != dimension:
        raise ValueError(f"atoms must have shape (n, {dimension}), as x has; got {tuple(atoms.shape)}.")
    if atoms.shape[0] == 0:
        return state
    atoms = like(atoms, state.anchor)
    log_weights, total = _log_weights(weights, atoms)
    if state.centre is None:
        state = _with_centre(state, atoms, log_weights)
    rows = max(1, COPY_BYTES // (dimension * state.anchor.itemsize))
    if not state.shifted:
        rows = atoms.shape[0]
    for begin in range(0, atoms.shape[0], rows):
        part = slice(begin, begin + rows)
        state = _with_chunk(state, atoms[part, :], None if log_weights is None else log_weights[part])
    return dataclasses.replace(state, total_weight=state.total_weight + total)


def _with_chunk(state: State, atoms: Array, log_weights: Array | None) -> State:
    xp = namespace(atoms)
    chunk, frame = _products(state, atoms, log_weights)

    empty = state.normaliser == 0
    for moves_left in reversed(range(MAX_MOVES)):
        logits = relative_logits(state, frame, chunk)
        again = refinement.find_unresolved(state, frame, chunk, logits) if state.query.accurate else None
        if again is not None:
            logits = refinement.refine_logits(state, chunk, logits, again)
        best = xp.max(logits, axis=1)
        # Between atoms of similar weight a move gains nothing; a first anchor that is no atom may be too good.
        moves = xp.isfinite(best) & ((best > 1) | (empty & (best < -1)))
        if not bool(xp.any(moves)):
            break
        index = xp.argmax(logits, axis=1)
        candidates = xp.take(atoms, index, axis=0)
        level = xp.zeros_like(state.level) if log_weights is None else xp.take(log_weights, index, axis=0)
        # Products alone may mistake a worse atom for a better one.
        moves = moves & (empty | (gain(state, candidates, level) > 0))
        if not moves_left or not bool(xp.any(moves)):
            break
        anchor = xp.where(moves[:, None], candidates, state.anchor)
        state = reanchored(state, anchor, xp.where(moves, level, state.level))
        frame = make_frame(state)
    # Without refinement, rounding alone can move logits by more than exp can take.
    astray = xp.isfinite(best) & ((best > 1) | (empty & (best < -1)))
    logits -= xp.where(astray, best, 0 * state.level)[:, None]
    return _add(state, frame, chunk, logits, again)


def relative_logits(state: State, frame: Frame, chunk: Chunk) -> Array:
    """Return the logits of a chunk's atoms minus that of the anchor, shape (B, n), from products alone."""
    query = state.query
    batch = query.x.shape[0]
    ratio = (query.alpha / query.sigma**2)[:, None]
    logits = chunk.overlaps[:batch, :] - frame.anchor_overlap[:batch, None]
    logits -= (query.alpha / 2)[:, None] * (chunk.squares - frame.anchor_square[:, None])
    logits *= ratio
    if chunk.log_weights is None:
        logits -= state.level[:, None]
    else:
        logits += chunk.log_weights - state.level[:, None]
    return logits


def make_frame(state: State) -> Frame:
    """Return what a chunk needs of the query and the anchors."""
    xp = namespace(state.anchor)
    query = state.query
    anchor, x = state.anchor, query.x
    if state.shifted:
        anchor, x = anchor - state.centre, x - query.alpha[:, None] * state.centre
    rows, anchors = x, anchor
    if query.v is not None:
        rows, anchors = xp.concat([x, query.v]), xp.concat([anchor, anchor])
    return Frame(rows, anchors, squared_norms(x), squared_norms(anchor), xp.sum(rows * anchors, axis=1))


def _products(state: State, atoms: Array, log_weights: Array | None) -> tuple[Chunk, Frame]:
    frame = state.frame or make_frame(state)
    centred = atoms - state.centre if state.shifted else atoms
    return Chunk(atoms, centred, squared_norms(centred), log_weights, frame.rows @ centred.T), frame


def _add(state: State, frame: Frame, chunk: Chunk, logits: Array, again: refinement.Pairs | None) -> State:
    xp = namespace(logits)
    batch = logits.shape[0]
    mass = xp.exp(logits)
    if not bool(xp.any(mass != 0)):
        # In many dimensions most chunks hold no atom of the posterior: the second product would add zeros.
        return dataclasses.replace(state, frame=frame)
    products = mass if again is None else xp.where(again.mask, 0 * mass, mass)
    weighted = products
    if state.query.v is not None:
        along = chunk.overlaps[batch:, :] - frame.anchor_overlap[batch:, None]
        weighted = xp.concat([products, products * along])
    moments = weighted @ chunk.centred
    moments -= xp.sum(weighted, axis=1)[:, None] * frame.anchors
    second = xp.sum(products * (chunk.squares - frame.anchor_square[:, None]), axis=1)
    second -= 2 * xp.sum(frame.anchors[:batch, :] * moments[:batch, :], axis=1)
    if again is not None:
        more, more_second = refinement.refined_sums(state, chunk, mass, again)
        moments += more
        second += more_second
    moments += state.moments
    return dataclasses.replace(
        state,
        frame=frame,
        normaliser=state.normaliser + xp.sum(mass, axis=1),
        moments=moments,
        second=state.second + second,
    )


def _log_weights(weights: Array | None, atoms: Array) -> tuple[Array | None, float]:
    count = atoms.shape[0]
    if weights is None:
        return None, float(count)
    xp = namespace(atoms)
    weights = like(weights, atoms)
    if weights.shape != (count,):
        raise ValueError(f"weights must have shape ({count},), one per atom; got {tuple(weights.shape)}.")
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
        anchor=xp.where(empty[:, None], anchor, state.anchor),
        level=xp.where(empty, level, state.level),
        centre=mean,
        shifted=shifted,
        frame=None,
    )
