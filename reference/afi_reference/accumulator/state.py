"""What is known after some of the atoms, and how two such states become one."""

import dataclasses

from afi_reference.accumulator.arrays import Array, like, namespace


@dataclasses.dataclass(frozen=True, eq=False)
class Query:
    """The points at which moments are wanted."""

    x: Array  # (B, d)
    alpha: Array  # (B,)
    sigma: Array  # (B,)
    v: Array | None  # (B, d): directions of the operator
    accurate: bool  # compute again what products of matrices cannot resolve


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """What a block needs of the query and the anchors, relative to the centre of the data."""

    rows: Array  # (B or 2B, d): points, then directions
    anchor: Array  # (B, d)
    point_square: Array  # (B,)
    anchor_square: Array  # (B,)
    anchor_overlap: Array  # (B or 2B,): products of rows and anchors
    offset: Array  # (B, 1): what the anchor's own logit takes from a product with a point
    half_alpha: Array  # (B, 1)
    precision: Array  # (B, 1): alpha / sigma^2


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """Weighted sums over the atoms seen so far, each point's about its own anchor.

    The anchor is an atom of nearly the largest posterior weight (within a factor e), or near none that
    weighs more. Its own weight is the unit of all sums: no sum overflows, none vanishes, and where one atom
    holds all the mass the sums hold the small rest with all its digits.
    """

    query: Query
    anchor: Array  # (B, d)
    level: Array  # (B,): log prior weight of the anchor
    normaliser: Array  # (B,): sum of w; 0 where no atom has been seen
    moments: Array  # (B or 2B, d): sums of w (y - anchor), then of w <y - anchor, v> (y - anchor)
    second: Array  # (B,): sum of w |y - anchor|^2
    total_weight: float  # of the prior; uniform atoms count 1 each
    centre: Array | None  # (d,): near the data; None until the first chunk
    shifted: bool  # whether it is subtracted before products
    frame: Frame | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "frame": None}  # large, and cheap to make again


def start(
    x: Array,
    alpha: Array | float,
    sigma: Array | float,
    v: Array | None = None,
    *,
    centre: Array | None = None,
    accurate: bool = True,
) -> State:
    """Return the state before any atom.

    Parameters
    ----------
    x
        Points, shape (B, d), of a real floating dtype: that of all computations.
    alpha, sigma
        Noise levels: numbers, or shape (B,).
    v
        Directions for the product with the Fisher information, shape (B, d).
    centre
        A point near the data, shape (d,). By default the mean of the first chunk if that is far from zero.
    accurate
        Whether to compute again from differences what products of matrices cannot resolve.

    Raises
    ------
    ValueError
        If a shape does not fit, or a noise level is not positive.
    """
    xp = namespace(x)
    if x.ndim != 2 or not xp.isdtype(x.dtype, "real floating"):
        raise ValueError(f"x must have shape (B, d) and a real floating dtype; got {x.shape}, {x.dtype}.")
    batch, dimension = x.shape
    levels = []
    for name, value in (("alpha", alpha), ("sigma", sigma)):
        level = like(value, x)
        if level.shape not in ((), (1,), (batch,)):
            raise ValueError(f"{name} must be a number or have shape ({batch},); got {tuple(level.shape)}.")
        if not bool(xp.all(level > 0)):
            raise ValueError(f"{name} must be positive: at t = 0 stop at a small positive time instead.")
        levels.append(xp.broadcast_to(level, (batch,)))
    if v is not None:
        v = like(v, x)
        if v.shape != x.shape:
            raise ValueError(f"v must have the shape of x, {tuple(x.shape)}; got {tuple(v.shape)}.")
    if centre is not None:
        centre = like(centre, x)
        if centre.shape != (dimension,):
            raise ValueError(f"centre must have shape ({dimension},); got {tuple(centre.shape)}.")
    zeros = xp.zeros_like(levels[0])
    return State(
        query=Query(x, levels[0], levels[1], v, accurate),
        anchor=x / levels[0][:, None],
        level=zeros,
        normaliser=zeros,
        # Without memory: sums are only ever added to others.
        moments=xp.broadcast_to(xp.zeros_like(x[:1, :1]), (batch if v is None else 2 * batch, dimension)),
        second=zeros,
        total_weight=0.0,
        centre=centre,
        shifted=centre is not None and bool(xp.any(centre != 0)),
    )


def merge(a: State, b: State) -> State:
    """Return the state after the atoms of both. Associative and commutative up to rounding.

    Raises
    ------
    ValueError
        If the states are not of the same query.
    """
    _check_same_query(a.query, b.query)
    xp = namespace(a.anchor)
    to_b = (b.normaliser > 0) & ((a.normaliser == 0) | (gain(a, b.anchor, b.level) > 0))
    anchor = xp.where(to_b[:, None], b.anchor, a.anchor)
    level = xp.where(to_b, b.level, a.level)
    a, b = reanchored(a, anchor, level), reanchored(b, anchor, level)
    return dataclasses.replace(
        a,
        normaliser=a.normaliser + b.normaliser,
        moments=a.moments + b.moments,
        second=a.second + b.second,
        total_weight=a.total_weight + b.total_weight,
        centre=b.centre if a.centre is None else a.centre,
        shifted=b.shifted if a.centre is None else a.shifted,
    )


def reanchored(state: State, anchor: Array, level: Array) -> State:
    """Return the same sums about another anchor and relative to its weight."""
    xp = namespace(anchor)
    batch = anchor.shape[0]
    empty = state.normaliser == 0
    scale = xp.exp(xp.where(empty, 0 * level, -gain(state, anchor, level)))[:, None]
    move = state.anchor - anchor
    mass = state.normaliser[:, None] * scale
    moments = state.moments * xp.concat([scale] * (state.moments.shape[0] // batch))
    first = moments[:batch, :]
    translated = [first + mass * move]
    if state.query.v is not None:
        v = state.query.v
        along = xp.sum(move * v, axis=1, keepdims=True)
        first_along = xp.sum(first * v, axis=1, keepdims=True)
        translated.append(moments[batch:, :] + along * translated[0] + first_along * move)
    second = state.second * scale[:, 0] + xp.sum(move * (2 * first + mass * move), axis=1)
    return dataclasses.replace(
        state,
        anchor=anchor,
        level=level,
        normaliser=mass[:, 0],
        moments=xp.concat(translated),
        second=second,
        frame=None,
    )


def gain(state: State, anchor: Array, level: Array) -> Array:
    """Return by how much the logit of ``anchor`` exceeds that of the state's anchor, shape (B,).

    From their difference: both logits may be large, and it is their difference that weighs atoms.
    """
    xp = namespace(anchor)
    query = state.query
    step = anchor - state.anchor
    noise = state.anchor + anchor
    noise *= query.alpha[:, None] / -2
    noise += query.x  # that of the point midway between both
    noise *= step
    return xp.sum(noise, axis=1) * (query.alpha / query.sigma**2) + (level - state.level)


def _check_same_query(a: Query, b: Query) -> None:
    if a is b:
        return
    xp = namespace(a.x)
    pairs = [(a.x, b.x), (a.alpha, b.alpha), (a.sigma, b.sigma), (a.v, b.v)]
    for left, right in pairs:
        if left is right:
            continue
        if left is None or right is None or left.shape != right.shape or not bool(xp.all(left == right)):
            raise ValueError("merge needs two states of the same x, alpha, sigma and v.")
