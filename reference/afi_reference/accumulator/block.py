"""One block of atoms: two products of matrices, the second of which finds the atoms in cache.

The sums of a run of blocks are kept apart from the state's and as the products give them, about the centre of the data.
They are moved to the anchors once, at the end of the run: about the anchors they would take several passes over arrays
of the size of the points for each block.
"""

import dataclasses

from afi_reference.accumulator.arrays import Array, add_product, is_on_cpu, namespace, squared_norms
from afi_reference.accumulator.state import Frame, State

CACHE_BYTES = 2 * 2**20
"""What a block of atoms should take: the processor's second level cache, or little more."""

ACCELERATOR_BYTES = 128 * 2**20
"""The same where the time to start an operation matters more than caches."""

LONGEST = 2048
"""Most atoms in a block: products of matrices sum in sequence, and rounding grows with the length of a sum."""


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A block of atoms with its products."""

    atoms: Array  # (n, d), as given
    centred: Array  # (n, d)
    squares: Array  # (n,): squared norms of the centred atoms
    log_weights: Array | None  # (n,); None where all are 0
    overlaps: Array  # (B or 2B, n): products with the rows of the frame


@dataclasses.dataclass(frozen=True, eq=False)
class Sums:
    """Sums over a run of blocks, relative to the anchors' weight, about the centre of the data."""

    weights: Array  # (B or 2B,): sums of w, then of w <y - anchor, v>
    moments: Array  # (B or 2B, d): sums of w y, then of w <y - anchor, v> y
    second: Array  # (B,): sum of w (|y|^2 - |anchor|^2)


def block_rows(state: State) -> int:
    """Return how many atoms make a block."""
    batch, dimension = state.anchor.shape
    on_cpu = is_on_cpu(state.anchor)
    row_bytes = dimension * state.anchor.itemsize * (2 if state.shifted else 1)
    rows = (CACHE_BYTES if on_cpu else ACCELERATOR_BYTES) // row_bytes
    # The sums should be smaller than the block, and so should be the logits of the whole batch.
    rows = max(rows, min(8 * batch, 512, 8 * CACHE_BYTES // row_bytes))
    rows = min(rows, max(64, CACHE_BYTES // (4 * batch)), LONGEST if on_cpu else 16 * LONGEST)
    return max(8, rows)


def make_frame(state: State, before: Frame | None = None) -> Frame:
    """Return what a block needs of the query and the anchors; ``before`` is one of the same query and centre."""
    xp = namespace(state.anchor)
    query = state.query
    batch = query.x.shape[0]
    anchor = state.anchor - state.centre if state.shifted else state.anchor
    if before is None:
        x = query.x - query.alpha[:, None] * state.centre if state.shifted else query.x
        rows = x if query.v is None else xp.concat([x, query.v])
        point_square = squared_norms(x)
    else:
        rows, point_square = before.rows, before.point_square
    overlaps = [xp.sum(rows[i : i + batch, :] * anchor, axis=1) for i in range(0, rows.shape[0], batch)]
    precision = query.alpha / query.sigma**2
    return Frame(
        rows=rows,
        anchor=anchor,
        point_square=point_square,
        anchor_square=squared_norms(anchor),
        anchor_overlap=xp.concat(overlaps),
        offset=(overlaps[0] + state.level / precision)[:, None],
        half_alpha=(query.alpha / 2)[:, None],
        precision=precision[:, None],
    )


def make_block(state: State, frame: Frame, atoms: Array, log_weights: Array | None) -> Block:
    """Return a block with the first product."""
    centred = atoms - state.centre if state.shifted else atoms
    return Block(atoms, centred, squared_norms(centred), log_weights, frame.rows @ centred.T)


def relative_logits(frame: Frame, block: Block) -> Array:
    """Return the logits of a block's atoms minus that of the anchor, shape (B, n), from products alone."""
    batch = frame.anchor.shape[0]
    logits = block.overlaps[:batch, :] - frame.offset
    logits -= frame.half_alpha * (block.squares - frame.anchor_square[:, None])
    logits *= frame.precision
    if block.log_weights is not None:
        logits += block.log_weights
    return logits


def add(sums: Sums | None, frame: Frame, block: Block, mass: Array) -> Sums:
    """Return the sums with those of a block, whose atoms weigh ``mass``, shape (B, n); ``sums`` is used up."""
    xp = namespace(mass)
    batch = mass.shape[0]
    weighted = mass
    if frame.rows.shape[0] > batch:
        along = block.overlaps[batch:, :] - frame.anchor_overlap[batch:, None]
        weighted = xp.concat([mass, mass * along])
    weights = xp.sum(weighted, axis=1)
    second = xp.sum(mass * (block.squares - frame.anchor_square[:, None]), axis=1)
    if sums is None:
        return Sums(weights, weighted @ block.centred, second)
    return Sums(sums.weights + weights, add_product(sums.moments, weighted, block.centred), sums.second + second)


def fold(state: State, frame: Frame, sums: Sums | None) -> State:
    """Return the state with the sums of a run of blocks, moved to its anchors; ``sums`` is used up."""
    if sums is None:
        return state
    xp = namespace(state.anchor)
    batch = state.anchor.shape[0]
    second = sums.second
    # One kind of row after the other, as nothing else of this size fits in cache.
    kinds = []
    for begin in range(0, sums.moments.shape[0], batch):
        kind = slice(begin, begin + batch)
        moments = sums.moments[kind, :]
        moments -= sums.weights[kind][:, None] * frame.anchor
        if not begin:
            second = second - 2 * xp.sum(moments * frame.anchor, axis=1)
        moments += state.moments[kind, :]
        kinds.append(moments)
    return dataclasses.replace(
        state,
        normaliser=state.normaliser + sums.weights[:batch],
        moments=xp.concat(kinds),
        second=state.second + second,
    )
