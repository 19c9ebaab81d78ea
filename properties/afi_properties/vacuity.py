"""The vacuity meter: how well the cases of a claim tell its truth from its wrong formulas.

A case that no wrong formula would fail proves nothing. A case's margin is the distance from the truth to the nearest
wrong formula, in multiples of the limit: below 1 the formula would pass.

``python -m afi_properties.vacuity [float32 [CASES [SEED]]]`` prints, for each claim and dimension, the share of cases
with a margin above 10.
"""

import collections
import dataclasses
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from afi_properties.catalogue import CLAIMS
from afi_properties.claim import Claim
from afi_properties.judgement import find_truth, margins_of
from afi_properties.known_jacobian import skew_eps_for
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Array, Problem
from afi_properties.strategies import Demand, stratified_problems

WIDE = 10.0
"""A margin above this is a wide one: the case would also tell a formula that is ten times less wrong."""


@dataclasses.dataclass(frozen=True)
class CaseMargin:
    """What one case can tell."""

    dimension: int
    margin: float  # against the nearest formula
    nearest: str  # that formula; empty where no formula can differ on the case


def case_margin(dimension: int, margins: Mapping[str, Array]) -> CaseMargin:
    """Return the margin of a case from those of its points, (B,) by formula.

    A formula fails a case if it fails one of its points, so of each formula the best point counts. Where no formula can
    differ, or no point is representable, the margin is 0.
    """
    best = {name: float(margin.max()) for name, margin in margins.items()}
    nearest = min(best, key=best.__getitem__, default="")
    return CaseMargin(dimension, best.get(nearest, 0.0), nearest)


@dataclasses.dataclass(frozen=True)
class MarginSummary:
    """The margins of a claim's cases of one dimension."""

    dimension: int
    cases: int
    wide: int  # cases with a margin above 10
    telling: int  # cases with a margin above 1
    median: float
    hardest: str  # the formula that most of the cases without a wide margin are nearest to; empty if there are none


def summarise(cases: Iterable[CaseMargin]) -> tuple[MarginSummary, ...]:
    """Summarise margins by dimension, lowest first."""
    groups: dict[int, list[CaseMargin]] = {}
    for case in cases:
        groups.setdefault(case.dimension, []).append(case)
    return tuple(_summary(dimension, groups[dimension]) for dimension in sorted(groups))


def _summary(dimension: int, cases: list[CaseMargin]) -> MarginSummary:
    narrow = collections.Counter(case.nearest for case in cases if not case.margin > WIDE)
    return MarginSummary(
        dimension=dimension,
        cases=len(cases),
        wide=sum(case.margin > WIDE for case in cases),
        telling=sum(case.margin > 1 for case in cases),
        median=float(np.median([case.margin for case in cases])),
        hardest=narrow.most_common(1)[0][0] if narrow else "",
    )


DIMENSIONS = (1, 2, 16, 256, 4096)
"""Where the margins of each claim are measured, as far as it is checked there."""


def problems_in(claim: Claim, dimension: int, count: int, seed: int) -> Iterator[Problem]:
    """Yield at least ``count`` problems as profile ``ci`` draws them for ``claim``, of the sizes with ``dimension``."""
    demand = Demand(family=claim.family, largest_dimension=claim.largest_dimension, eps_kinds=claim.eps_kinds)
    sizes = sum(size[2] == dimension for size in demand.sizes())
    key = zlib.crc32(f"{seed}/{claim.role}/{claim.family}".encode())
    return stratified_problems(demand, -(-count // sizes), key, dimension=dimension)


def measure(claim: Claim, problem: Problem, dtype: str) -> CaseMargin:
    """Return the margin of ``problem`` for code in float64 or float32 that asks for what the claim names first.

    Raises
    ------
    ValueError
        If NumPy has no such precision.
    """
    if dtype not in ("float64", "float32"):
        raise ValueError(f"dtype must be float64 or float32, not {dtype!r}.")
    values = {
        name: value if name in ("alpha", "sigma", "t") else value.astype(dtype).astype(np.float64)
        for name, value in problem.values.items()
    }
    skew = None
    if problem.eps_kind == "skew":
        skew = skew_eps_for(problem.values["x"], problem.values["sigma"], problem.seed)
    truth = find_truth(claim, values, problem, skew, PRECISIONS[dtype])
    return case_margin(problem.dimension, margins_of(claim, values, skew, truth))


_COSTLY = 20  # cases of a mixture in 256 dimensions, each of which takes up to a second


def main(arguments: Sequence[str]) -> None:
    """Print the table of margins: claim, dimension, cases above 10 of all, the hardest formula to tell."""
    dtype = arguments[0] if arguments else "float32"
    count, seed = (int(arguments[k]) if len(arguments) > k else default for k, default in ((1, 40), (2, 0)))
    for claim in CLAIMS:
        for dimension in DIMENSIONS:
            if claim.wrong and dimension <= claim.largest_dimension:
                costly = claim.family == "gaussian-mixture" and dimension > 16
                cases = problems_in(claim, dimension, _COSTLY if costly else count, seed)
                (row,) = summarise(measure(claim, problem, dtype) for problem in cases)
                print(
                    f"{claim.role} {claim.family} {dtype} d={dimension}: {row.wide}/{row.cases} above 10, "
                    f"median {row.median:.3g}, hardest: {row.hardest or '-'}",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
