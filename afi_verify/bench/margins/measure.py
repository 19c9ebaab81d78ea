"""The margins of the cases of one claim in one dimension, as profile ``ci`` draws them, without an implementation.

What a margin is a multiple of depends on how the claim is judged: the limit of the rounding error for claims with an
oracle and for relations, the resolution of a limit for claims about trajectories, the excess risk that a test excludes
for training.
"""

import dataclasses
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.catalogue import CLAIMS, RANDOM_CLAIMS, RELATIONS, TRAJECTORY_CLAIMS
from afi_properties.claim import AnyClaim, Claim
from afi_properties.inputs import make_inputs
from afi_properties.known_jacobian import skew_eps_for
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Problem
from afi_properties.relation import Relation
from afi_properties.relation_tolerance import Oracle, tolerance_of_known
from afi_properties.strategies import Demand, stratified_problems
from afi_properties.training import training_problems
from afi_properties.trajectory import TrajectoryClaim, margins_of_trajectory, trajectory_of
from afi_properties.trajectory_cases import LARGEST_DIMENSION
from afi_properties.vacuity import DIMENSIONS, CaseMargin, case_margin, measure, problems_in
from afi_verify.training_checks import mistakes_of

DTYPES = ("float64", "float32")
KNOWN_FAMILIES = ("dirac", "gaussian-mixture")

COSTLY = 20
"""Cases of a mixture in 256 dimensions, each of which takes up to a second."""

OF_A_RELATION = 20
"""Cases of each set of roles and family of data, each of which asks many questions; profile ``ci`` has 8 to 20."""

OF_A_TRAJECTORY = 12
"""Cases of a claim about trajectories, each with an integration; as many as profile ``ci`` has."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """What is counted as one: a claim, on one family of data, in one precision and dimension."""

    kind: str  # of the claim: one of KINDS
    claim: str  # its role, or the relation's label
    roles: str  # of a relation, joined by "and": what it ties together; else empty
    family: str
    dtype: str  # empty where cases are the same numbers in every precision
    dimension: int
    cases: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Kind:
    """How the margins of one kind of claim are found."""

    cells: Callable[[int, int], Iterator[Cell]]  # of a number of cases and a seed
    margins: Callable[[Cell], Iterator[CaseMargin]]


def cells_of(cases: int, seed: int) -> list[Cell]:
    """Return everything that is to be measured, the precision of the narrower margins first."""
    cells = [cell for kind in KINDS.values() for cell in kind.cells(cases, seed)]
    return sorted(cells, key=lambda cell: cell.dtype == "float64")


def margins_in(cell: Cell) -> Iterator[CaseMargin]:
    """Yield the margin of each case of a cell."""
    return KINDS[cell.kind].margins(cell)


def _oracle_cells(cases: int, seed: int) -> Iterator[Cell]:
    for claim in CLAIMS:
        for dtype in DTYPES:
            for dimension in DIMENSIONS:
                if dimension <= claim.largest_dimension:
                    costly = claim.family == "gaussian-mixture" and dimension > 16
                    count = min(cases, COSTLY) if costly else cases
                    yield Cell("oracle", claim.role, "", claim.family, dtype, dimension, count, seed)


def _oracle_margins(cell: Cell) -> Iterator[CaseMargin]:
    claim = _claim(CLAIMS, cell)
    assert isinstance(claim, Claim)
    for problem in problems_in(claim, cell.dimension, cell.cases, cell.seed):
        yield measure(claim, problem, cell.dtype)


def _relation_cells(cases: int, seed: int) -> Iterator[Cell]:
    for relation in RELATIONS:
        for roles in relation.roles:
            for family in KNOWN_FAMILIES:
                if family not in relation.families or not all(_has(role, family) for role in roles):
                    continue
                for dtype in DTYPES:
                    for dimension in DIMENSIONS:
                        demand = _relation_demand(relation, roles, family)
                        if demand.smallest_dimension <= dimension <= demand.largest_dimension:
                            together = " and ".join(roles)
                            count = min(cases, OF_A_RELATION)
                            yield Cell("relation", relation.label, together, family, dtype, dimension, count, seed)


def _relation_margins(cell: Cell) -> Iterator[CaseMargin]:
    relation = next(relation for relation in RELATIONS if relation.label == cell.claim)
    roles = tuple(cell.roles.split(" and "))
    demand = _relation_demand(relation, roles, cell.family)
    sizes = sum(size[2] == cell.dimension for size in demand.sizes())
    key = zlib.crc32(f"{cell.seed}/{relation.label}/{roles}/{cell.family}".encode())
    claims = {role: _claims_of(role, cell.family) for role in roles}
    handed: dict[str, frozenset[str]] = {role: frozenset() for role in roles}
    for problem in stratified_problems(demand, -(-cell.cases // sizes), key, dimension=cell.dimension):
        skew = None
        if problem.eps_kind == "skew":
            skew = skew_eps_for(problem.values["x"], problem.values["sigma"], problem.seed)
        oracle = Oracle(claims, handed, skew, PRECISIONS[cell.dtype])
        tolerance, _ = tolerance_of_known(relation, roles, problem, oracle)
        yield case_margin(cell.dimension, tolerance.margins if tolerance.representable else {})


def _relation_demand(relation: Relation, roles: tuple[str, ...], family: str) -> Demand:
    claims = [_claims_of(role, family) for role in roles]
    return Demand(
        family=family,
        largest_dimension=min(relation.largest_dimension, *(claim.largest_dimension for claim in claims)),
        most_atoms=relation.most_atoms,
        smallest_dimension=relation.smallest_dimension,
        fewest_atoms=relation.fewest_atoms,
        eps_kinds=tuple(kind for kind in claims[0].eps_kinds if all(kind in claim.eps_kinds for claim in claims)),
    )


def _trajectory_cells(cases: int, seed: int) -> Iterator[Cell]:
    for claim in TRAJECTORY_CLAIMS:
        for dimension in DIMENSIONS:
            if dimension <= LARGEST_DIMENSION:
                yield Cell("trajectory", claim.role, "", claim.family, "", dimension, min(cases, OF_A_TRAJECTORY), seed)


def _trajectory_margins(cell: Cell) -> Iterator[CaseMargin]:
    claim = _claim(TRAJECTORY_CLAIMS, cell)
    assert isinstance(claim, TrajectoryClaim)
    for problem in claim.cases(cell.family, cell.cases, cell.seed, cell.dimension):
        trajectory = trajectory_of(problem)
        right = claim.truth(trajectory).value
        yield case_margin(cell.dimension, margins_of_trajectory(claim, trajectory, right))


def _training_cells(cases: int, seed: int) -> Iterator[Cell]:
    for claim in RANDOM_CLAIMS:
        if claim.wrong:
            for dimension in (1, 2, 16):
                yield Cell("training", claim.role, "", claim.family, "", dimension, cases, seed)


def _training_margins(cell: Cell) -> Iterator[CaseMargin]:
    claim = _claim(RANDOM_CLAIMS, cell)
    assert isinstance(claim, Claim)
    problems = training_problems(True, cell.dimension, cell.cases, cell.seed)
    for number, problem in enumerate(problems):
        rng = np.random.default_rng([cell.seed, 10, number])
        margins = mistakes_of(claim, make_inputs(_numbers(problem)), rng).margins
        yield case_margin(cell.dimension, {name: np.array([margin]) for name, margin in margins.items()})


def _numbers(problem: Problem) -> dict[str, np.ndarray]:
    return {name: value for name, value in problem.values.items() if name != "t"}


def _claim(claims: tuple[AnyClaim, ...], cell: Cell) -> AnyClaim:
    return next(claim for claim in claims if (claim.role, claim.family) == (cell.claim, cell.family))


def _has(role: str, family: str) -> bool:
    return any((claim.role, claim.family) == (role, family) for claim in CLAIMS)


def _claims_of(role: str, family: str) -> Claim:
    return next(claim for claim in CLAIMS if (claim.role, claim.family) == (role, family))


KINDS = {
    "oracle": Kind(_oracle_cells, _oracle_margins),
    "relation": Kind(_relation_cells, _relation_margins),
    "trajectory": Kind(_trajectory_cells, _trajectory_margins),
    "training": Kind(_training_cells, _training_margins),
}
