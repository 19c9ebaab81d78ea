"""Whether a block is ordinary, decided on the host from a few numbers of it, which cost one transfer from a device."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from afi_reference.accumulator.arrays import Array, namespace, on_host, unit_roundoff
from afi_reference.accumulator.state import Frame, State

Numbers = npt.NDArray[np.float64]

RESOLVED = 8.0
"""Products are good enough where what they round is at most so many times the squared distance, and the atom's
square at most so many times that of the noise: the covariance is needed to a rounding of ``sigma^2 d``."""

NEGLIGIBLE = 64.0
"""Atoms whose logit is this far below the largest do not matter, even where 1/sigma^2 is e^20."""

DRIFT = 10.0
"""In many dimensions anchors stay for a run of blocks while no atom's logit exceeds theirs by more: a move takes as
long as a block, and rounding of the distances makes the larger error anyway."""

MANY = 1024
"""Dimensions."""


@dataclasses.dataclass(eq=False)
class Guard:
    """What is known on the host, in float64, about a query and a run of blocks: for each point, shape (B,)."""

    accurate: bool
    dimension: int
    floor: float  # a logit below is that of a weight that underflows
    anchor_distance: Numbers  # squared, of the point and alpha times its anchor
    anchor_size: Numbers  # the anchor's square, times alpha squared
    point_square: Numbers
    alpha: Numbers
    variance: Numbers
    handicap: Numbers  # what prior weights take from a logit at most, relative to the anchor's
    error: Numbers  # of a logit, over the squares that products round
    seen: npt.NDArray[np.bool_]  # whether any atom weighed anything before the run
    best: Numbers  # the largest logit in the run; 0, the anchor's, where one has been seen
    leader: npt.NDArray[np.int64]  # the number of its atom within the run; -1 for the anchor

    def must_look_closer(self, best: Numbers, largest: float) -> bool:
        """Whether an anchor has to move, or a pair of point and atom may matter that products do not resolve.

        Parameters
        ----------
        best
            The largest logit of a block for each point.
        largest
            The largest squared norm of the block's atoms.
        """
        unseen = ~np.isfinite(self.best)
        drift = DRIFT if self.dimension >= MANY else 1.0
        if (np.isfinite(best) & ((best > drift) | (unseen & (best < -drift)))).any():
            return True
        if not self.accurate:
            return False
        size = self.alpha**2 * largest
        with np.errstate(invalid="ignore", over="ignore"):
            # A logit is (anchor_distance - distance) / (2 sigma^2), plus what prior weights add.
            nearest = self.anchor_distance - 2 * self.variance * (best + self.handicap)
            rounded = size + np.sqrt(size * self.point_square)
            resolved = (rounded <= RESOLVED * nearest) & (size <= RESOLVED * self.dimension * self.variance)
            rounded += self.anchor_size + np.sqrt(self.anchor_size * self.point_square)
            matters = (best > -(NEGLIGIBLE + self.error * rounded)) | unseen
        return bool((matters & ~resolved & (best > -np.inf)).any())

    def weighs(self, best: Numbers) -> bool:
        """Whether any atom of a block has a weight: in many dimensions most blocks hold none of the posterior."""
        return not bool((best < self.floor).all())

    def note(self, best: Numbers, begin: int, logits: Array) -> None:
        """Remember the likeliest atoms of a block whose first atom is number ``begin`` of the run."""
        better = best > self.best
        if better.any():
            index = on_host(namespace(logits).argmax(logits, axis=1)).astype(np.int64)
            self.leader = np.where(better, begin + index, self.leader)
            self.best = np.where(better, best, self.best)

    def moves(self) -> npt.NDArray[np.bool_]:
        """Whether each anchor should give way to the likeliest atom of the run; a first one may be too good."""
        return (self.leader >= 0) & ((self.best > 1) | (~self.seen & (self.best < -1)))


def make_guard(state: State, frame: Frame, log_weights: Array | None) -> Guard:
    """Return the guard of a run of blocks, until an anchor moves."""
    xp = namespace(state.anchor)
    query = state.query
    batch, dimension = state.anchor.shape
    numbers = [query.alpha, query.sigma, state.level, state.normaliser]
    numbers += [frame.point_square, frame.anchor_square, frame.anchor_overlap[:batch]]
    alpha, sigma, level, normaliser, point, anchor, overlap = on_host(xp.stack(numbers))
    lightest = 0.0
    if log_weights is not None:
        lightest = float(xp.min(xp.where(xp.isfinite(log_weights), log_weights, xp.zeros_like(log_weights))))
    seen = normaliser > 0
    return Guard(
        accurate=query.accurate,
        dimension=dimension,
        floor=math.log(float(xp.finfo(state.anchor.dtype).smallest_normal)),
        anchor_distance=point - 2 * alpha * overlap + alpha**2 * anchor,
        anchor_size=alpha**2 * anchor,
        point_square=point,
        alpha=alpha,
        variance=sigma**2,
        handicap=level - lightest,
        error=4 * unit_roundoff(state.anchor) * math.sqrt(dimension) / sigma**2,
        seen=seen,
        best=np.where(seen, 0.0, -np.inf),
        leader=np.full(batch, -1),
    )
