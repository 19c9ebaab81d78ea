"""Many cases against the bounds: how many violate them, and how close the others come."""

import dataclasses
from collections.abc import Callable

import numpy as np

from afi_properties.bounds.cases import SHAPES, draw_cases
from afi_properties.bounds.errors import BOUNDS, CORRECTED, measure
from afi_properties.bounds.recheck import exceeds

_BLOCK = 20_000
_RECHECKED = 5


@dataclasses.dataclass
class Tally:
    """What a campaign found out about one bound.

    Attributes
    ----------
    cases : int
        How many were drawn.
    violations : int
        Where the error exceeds the bound by more than rounding can explain (or is not a number).
    within_rounding : int
        Where the two agree within rounding: float64 cannot tell them apart.
    rechecked, proven_violations, undecided : int
        How many of those (and of the violations) were decided in ball arithmetic, the first of each block; corrected
        bounds only. The outcome of that.
    tightness : float
        The largest ratio of the error to the bound that is certain in spite of rounding.
    shape : tuple of int
        N and d there.
    """

    cases: int = 0
    violations: int = 0
    within_rounding: int = 0
    rechecked: int = 0
    proven_violations: int = 0
    undecided: int = 0
    tightness: float = 0.0
    shape: tuple[int, int] = (0, 0)


def run_campaign(cases: int, seed: int, listen: Callable[[int], None] = lambda done: None) -> dict[str, Tally]:
    """Hold ``cases`` drawn cases against every bound.

    Parameters
    ----------
    cases : int
        How many; they are spread over the shapes.
    seed : int
        Of the draws.
    listen : callable
        Told how many are done.

    Returns
    -------
    dict of str to Tally
        By the name of the bound.
    """
    tallies = {name: Tally() for name in BOUNDS}
    done = 0
    block = min(_BLOCK, -(-cases // len(SHAPES)))
    round_number = 0
    while done < cases:
        shape = SHAPES[round_number % len(SHAPES)]
        count = min(block, cases - done)
        cases_here = draw_cases(np.random.default_rng([seed, round_number]), count, shape)
        errors = measure(cases_here)
        for name, what in BOUNDS.items():
            error, bound = getattr(errors, what), errors.bounds[name]
            tally = tallies[name]
            inside = error - bound < -errors.rounding
            near = np.abs(error - bound) <= errors.rounding
            tally.cases += count
            tally.violations += int((~(inside | near)).sum())
            tally.within_rounding += int(near.sum())
            if name in CORRECTED:
                for index in np.flatnonzero(~inside)[:_RECHECKED]:
                    verdict = exceeds(cases_here, int(index))[name]
                    tally.rechecked += 1
                    tally.proven_violations += int(verdict is True)
                    tally.undecided += int(verdict is None)
            tightness = float(((error - errors.rounding) / bound).max(initial=0.0))
            if tightness > tally.tightness:
                tally.tightness, tally.shape = tightness, shape
        done += count
        round_number += 1
        listen(done)
    return tallies
