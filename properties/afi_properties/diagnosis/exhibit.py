"""One case as evidence: what was handed over, what came back, and what is true."""

import dataclasses
import functools

import numpy as np

from afi_properties.claim import Claim
from afi_properties.inputs import Inputs
from afi_properties.judgement import LIMIT, Truth, norms
from afi_properties.precision import Precision
from afi_properties.problem import Array, Problem

EXPLAINED = 1e-3
"""A formula explains an answer if it leaves at most this share of the deviation from the truth, or rounding."""

TELLING = 100.0
"""An answer supports a formula if the formula explains all but a hundredth of a deviation that is no rounding."""


SUPPORTING = 4
"""Fewer points agree with some formula by chance, where rounding is a part of their deviation."""


@dataclasses.dataclass(frozen=True, eq=False)
class Exhibit:
    """One case; only points whose truth is representable and whose answer is finite are looked at."""

    claim: Claim
    problem: Problem
    inputs: Inputs
    answer: Array  # (B, ...)
    truth: Truth
    precision: Precision

    def __post_init__(self) -> None:
        flat = self.answer.reshape(len(self.answer), -1)
        usable = self.truth.representable & np.isfinite(flat).all(axis=1)
        with np.errstate(all="ignore"):
            deviation = norms(np.asarray(self.answer - self.truth.answer))
        object.__setattr__(self, "usable", usable)
        object.__setattr__(self, "deviation", np.where(usable, deviation, 0))
        object.__setattr__(self, "wrong", usable & (deviation > LIMIT * self.truth.attainable))

    usable: Array = dataclasses.field(init=False)  # (B,) bool
    deviation: Array = dataclasses.field(init=False)  # (B,) from the truth
    wrong: Array = dataclasses.field(init=False)  # (B,) bool

    @property
    def size(self) -> int:
        """How many numbers a formula has to work through."""
        return int(self.inputs.x.size * self.problem.atoms)

    @functools.cached_property
    def _true_size(self) -> Array:
        return norms(self.truth.answer)

    def rounding(self, candidate: Array) -> Array:
        """Return the deviation from ``candidate`` (B, ...) that is no more than rounding, shape (B,)."""
        size = norms(candidate)
        with np.errstate(all="ignore"):
            stretched = self.truth.attainable * np.maximum(1, np.nan_to_num(size / self._true_size, nan=1, posinf=1))
        return np.asarray(LIMIT * (stretched + self.precision.unit_roundoff * size))

    def nearly(self, candidate: Array) -> bool:
        """Whether ``candidate`` (B, ...) leaves so little of the deviations that rounding may be all of it."""
        left = norms(np.asarray(self.answer - candidate))
        bound = np.where(self.wrong, 0.1 * self.deviation, 1e-2 * norms(self.truth.answer))
        return bool((left <= bound)[self.usable].all())

    def rounded(self, draw: int) -> "Exhibit":
        """Return the same case with its points and noise levels rounded at random."""
        rng = np.random.default_rng(draw)
        unit = self.precision.unit_roundoff
        changed = {
            name: value * (1 + unit * rng.uniform(-1, 1, value.shape))
            for name in ("x", "alpha", "sigma")
            for value in [getattr(self.inputs, name)]
        }
        return dataclasses.replace(self, inputs=dataclasses.replace(self.inputs, **changed))

    def fit(self, candidate: Array, slack: Array | float = 0.0) -> "Fit":
        """Say how well a wrong formula's answer (B, ...) accounts for what came back; ``slack`` is added rounding."""
        with np.errstate(all="ignore"):
            left = norms(np.asarray(self.answer - np.asarray(candidate, dtype=self.truth.answer.dtype)))
            rounding = self.rounding(candidate) + slack
            left = np.where(np.isnan(left), np.inf, left)
            explained = left <= np.maximum(rounding, EXPLAINED * self.deviation)
            telling, supporting = (
                self.wrong & explained & (self.deviation > TELLING * np.maximum(left, least))
                for least in (rounding, rounding / LIMIT)
            )
        wrong, right = self.wrong, self.usable & ~self.wrong
        return Fit(
            explained=int((wrong & explained).sum()),
            missed=int((wrong & ~explained).sum()),
            contradicted=int((right & ~explained).sum()),
            telling=int(telling.sum()),
            supporting=int(supporting.sum()),
        )


@dataclasses.dataclass(frozen=True)
class Fit:
    """Numbers of points: wrong ones that a formula explains or misses, right ones that it contradicts.

    Of the wrong ones, ``telling`` are those that it explains to a hundredth although rounding could be as much as ever
    passes, ``supporting`` those where it leaves a hundredth, with rounding as it usually is.
    """

    explained: int = 0
    missed: int = 0
    contradicted: int = 0
    telling: int = 0
    supporting: int = 0

    @property
    def convinces(self) -> bool:
        """Whether so many points agree with the formula that chance is excluded."""
        return self.telling > 0 or self.supporting >= SUPPORTING

    def __add__(self, other: "Fit") -> "Fit":
        return Fit(
            self.explained + other.explained,
            self.missed + other.missed,
            self.contradicted + other.contradicted,
            self.telling + other.telling,
            self.supporting + other.supporting,
        )
