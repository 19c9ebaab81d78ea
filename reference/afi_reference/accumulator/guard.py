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

MARGIN = 1.05
"""For atoms somewhat larger than those so far, so that the guard need not reckon with each block's largest anew."""


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

    all_seen: bool = False
    largest: float = -1.0  # squared norm of an atom that the ceiling reckons with
    ceiling: Numbers = dataclasses.field(default_factory=lambda: np.empty(0))

    def must_look_closer(self, best: Numbers, largest: float) -> bool:
        """Whether an anchor has to move, or a pair of point and atom may matter that products do not resolve.

        Parameters
        ----------
        best
            The largest logit of a block for each point.
        largest
            The largest squared norm of the block's atoms.
        """
        if not largest <= self.largest:
            self._reckon_with(MARGIN * largest)
        if not (best > self.ceiling).any():
            drift = self._drift
            return not self.all_seen and bool((~np.isfinite(self.best) & (best < -drift) & (best > -np.inf)).any())
        return bool((best[best > self.ceiling] < np.inf).any())

    def _reckon_with(self, largest: float) -> None:
        """Compute the ceiling of logits, above which a block is not ordinary, for atoms of this size and smaller."""
        self.largest = largest
        self.all_seen = bool(np.isfinite(self.best).all())
        self.ceiling = np.full(self.alpha.shape, self._drift)
        if not self.accurate:
            return
        size = self.alpha**2 * largest
        with np.errstate(invalid="ignore", over="ignore"):
            rounded = size + np.sqrt(size * self.point_square)
            # A logit is (anchor_distance - distance) / (2 sigma^2), plus what prior weights add.
            resolved = (self.anchor_distance - rounded / RESOLVED) / (2 * self.variance) - self.handicap
            resolved[size > RESOLVED * self.dimension * self.variance] = -np.inf
            rounded += self.anchor_size + np.sqrt(self.anchor_size * self.point_square)
            matters = np.where(np.isfinite(self.best), -(NEGLIGIBLE + self.error * rounded), -np.inf)
        self.ceiling = np.fmin(self.ceiling, np.fmax(resolved, matters))

    @property
    def _drift(self) -> float:
        return DRIFT if self.dimension >= MANY else 1.0

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
            if not self.all_seen:
                self._reckon_with(self.largest)

    def moves(self) -> npt.NDArray[np.bool_]:
        """Whether each anchor should give way to the likeliest atom of the run.

        A first one, the mean, may weigh more than any atom: the less the noise, the less it is worth then.
        """
        return (self.leader >= 0) & ((self.best > 1) | (~self.seen & (self.best < -self._drift)))


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
