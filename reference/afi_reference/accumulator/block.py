"""One block of atoms: two products of matrices, the second of which finds the atoms in cache.

The sums of a run of blocks are kept apart from the state's and as the products give them, about the centre of the data.
They are moved to the anchors once, at the end of the run: about the anchors they would take several passes over arrays
of the size of the points for each block.
"""

import dataclasses

from afi_reference.accumulator.arrays import Array, add_product, is_mutable, is_on_cpu, namespace, squared_norms
from afi_reference.accumulator.state import Frame, State

CACHE_BYTES = 32 * 2**20
"""What a block of atoms should take: little enough for the last level cache, and enough to be worth the couple of dozen
operations on small arrays that it costs."""

COPY_BYTES = 2 * 2**20
"""The same where atoms have to be centred: the copy is most of the memory needed beyond the inputs."""

ACCELERATOR_BYTES = 128 * 2**20
"""The same where the time to start an operation matters more than caches."""

LONGEST = 8192
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
    """Sums over a run of blocks, relative to the anchors' weight, about the centre of the data.

    What is small is kept block by block, to be summed at the end: an operation takes a while, however small.
    """

    moments: Array  # (B or 2B, d): sums of w y, then of w <y - anchor, v> y
    weights: tuple[Array, ...]  # (B or 2B, n): w, then w <y - anchor, v>
    squares: tuple[Array, ...]  # (n,): |y|^2


def block_rows(state: State) -> int:
    """Return how many atoms make a block."""
    batch, dimension = state.anchor.shape
    row_bytes = dimension * state.anchor.itemsize
    if not is_on_cpu(state.anchor):
        return max(8, min(ACCELERATOR_BYTES // row_bytes, 16 * LONGEST))
    rows = copied_rows(state) if state.shifted else CACHE_BYTES // row_bytes
    # The sums should be smaller than the block, and so should be the logits of the whole batch.
    rows = max(rows, min(8 * batch, 512, CACHE_BYTES // row_bytes))
    return max(8, min(rows, LONGEST, max(64, CACHE_BYTES // (32 * batch))))


def copied_rows(state: State) -> int:
    """Return how many atoms to copy at a time."""
    return max(8, min(LONGEST, COPY_BYTES // (state.anchor.shape[1] * state.anchor.itemsize)))


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
    # First the product, which takes longer and hides the time to fetch the atoms.
    # This way around it is faster than its transpose.
    overlaps = (centred @ frame.rows.T).T
    return Block(atoms, centred, squared_norms(centred), log_weights, overlaps)


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
    batch = mass.shape[0]
    weighted = mass
    if frame.rows.shape[0] > batch:
        along = block.overlaps[batch:, :] - frame.anchor_overlap[batch:, None]
        weighted = namespace(mass).concat([mass, mass * along])
    if sums is None:
        nothing = namespace(mass).zeros_like(frame.rows)
        return Sums(add_product(nothing, weighted, block.centred), (weighted,), (block.squares,))
    moments = add_product(sums.moments, weighted, block.centred)
    return Sums(moments, (*sums.weights, weighted), (*sums.squares, block.squares))


def fold(state: State, frame: Frame, sums: Sums) -> State:
    """Return the state with the sums of a run of blocks, moved to its anchors; ``sums`` is used up."""
    xp = namespace(state.anchor)
    batch = state.anchor.shape[0]
    weighted = xp.concat(sums.weights, axis=1)
    weights = xp.sum(weighted, axis=1)
    steps = xp.concat(sums.squares)[None, :] - frame.anchor_square[:, None]
    second = xp.sum(weighted[:batch, :] * steps, axis=1)
    kinds = (-1, *frame.anchor.shape)  # all at once, since the anchors are those of either kind
    moments = xp.reshape(sums.moments, kinds)
    moments -= xp.reshape(weights, kinds[:2])[:, :, None] * frame.anchor
    second -= 2 * xp.sum(moments[0, :, :] * frame.anchor, axis=1)
    moments += xp.reshape(state.moments, kinds)
    return dataclasses.replace(
        state,
        normaliser=state.normaliser + weights[:batch],
        moments=xp.reshape(moments, sums.moments.shape),
        second=state.second + second,
    )


def shifted_sums(sums: Sums, before: Frame, after: Frame, gain: Array) -> Sums:
    """Return the sums relative to other anchors, whose logits exceed the former ones' by ``gain``, shape (B,)."""
    xp = namespace(gain)
    batch = gain.shape[0]
    scale = xp.exp(-gain)[:, None]
    masses = [weighted[:batch, :] * scale for weighted in sums.weights]
    moments = sums.moments[:batch, :]
    moments *= scale
    if sums.moments.shape[0] == batch:
        return dataclasses.replace(sums, moments=moments, weights=tuple(masses))
    step = (after.anchor_overlap - before.anchor_overlap)[batch:, None]
    alongs = [weighted[batch:, :] * scale - mass * step for weighted, mass in zip(sums.weights, masses, strict=True)]
    operators = sums.moments[batch:, :]
    operators *= scale
    operators -= step * moments
    weights = tuple(xp.concat(pair) for pair in zip(masses, alongs, strict=True))
    # Both halves were changed in place where arrays can be.
    changed = sums.moments if is_mutable(sums.moments) else xp.concat([moments, operators])
    return dataclasses.replace(sums, moments=changed, weights=weights)
