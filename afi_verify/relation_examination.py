"""One relation, one adapter's functions, one problem: the two sides agree, or not, or only digits were lost."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping

import numpy as np

from afi_properties.judgement import LIMIT
from afi_properties.known_jacobian import SkewEps, skew_eps_for
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Array, Problem
from afi_properties.relation import Relation, Sides, only
from afi_properties.relation_tolerance import (
    Oracle,
    Tolerance,
    errors_of,
    tolerance_of_known,
    tolerance_of_unknown,
)
from afi_verify.errors import BrokenAnswerError
from afi_verify.examination import Kind
from afi_verify.relation_replay import replay_script
from afi_verify.relation_team import Implementation, Team


@dataclasses.dataclass(frozen=True, eq=False)
class RelationFinding:
    """What one problem showed of a relation; errors and margins are per point, the errors ``nan`` if unknown."""

    roles: tuple[str, ...]
    problem: Problem
    kind: Kind
    message: str  # empty when right
    errors: Array  # (B,) in multiples of the attainable
    margins: Mapping[str, Array]  # by mistake, (B,)
    script: Callable[[], str] = lambda: ""  # writes the script that replays it; empty where it would not fit

    @property
    def worst(self) -> float:
        """Largest error; 0 when there is none."""
        return float(np.nanmax(self.errors)) if not np.isnan(self.errors).all() else 0.0

    @property
    def worst_point(self) -> int:
        """Index of the point with the largest error."""
        return int(np.nanargmax(self.errors)) if not np.isnan(self.errors).all() else 0


def examine_relation(team: Team, problem: Problem) -> RelationFinding:
    """Let a relation ask the functions under test, and compare its two sides."""
    relation, roles = team.relation, team.roles
    skew = None
    if problem.eps_kind == "skew":
        skew = skew_eps_for(problem.values["x"], problem.values["sigma"], problem.seed)
    implementation = Implementation(team, team.dtype, skew)
    known = problem.atoms > 0
    tolerance = _known(team, problem, skew) if known else None
    if tolerance is not None and not tolerance.representable:
        return _finding(team, problem, Kind.RIGHT, "", np.full(len(tolerance.attainable), np.nan), {})
    try:
        sides = relation.compare(implementation, roles, problem)
        if tolerance is None:
            precision = PRECISIONS[team.dtype]
            tolerance = tolerance_of_unknown(relation, roles, problem, implementation, sides, precision)
    except BrokenAnswerError as error:
        return _finding(team, problem, Kind.ERROR, str(error), np.full(problem.batch, np.nan), {})
    errors = errors_of(sides, tolerance)
    margins = tolerance.margins
    bad = ~(errors <= LIMIT)
    if not bad.any():
        return _finding(team, problem, Kind.RIGHT, "", errors, margins)
    message = _words(relation, sides, int(np.argmax(errors)))

    def finding(kind: Kind, message: str) -> RelationFinding:
        found = _finding(team, problem, kind, message, errors, margins)
        point = found.worst_point
        return dataclasses.replace(
            found, script=lambda: replay_script(implementation, problem, point, tolerance.attainable[point])
        )

    if np.isfinite(sides.difference).all():
        message += f", apart by {errors.max():.3g} times what {team.dtype} can attain"
        right = _where_right(team, problem, implementation, sides, tolerance, bad)
        if right is not None:
            return finding(Kind.INACCURATE, f"{message}, but {right}.")
    return finding(Kind.WRONG, f"{message}.")


def _finding(
    team: Team, problem: Problem, kind: Kind, message: str, errors: Array, margins: Mapping[str, Array]
) -> RelationFinding:
    if message and len(team.relation.roles) > 1 and kind is not Kind.ERROR:
        message = f"{' and '.join(team.roles)}: {message}"
    if len(errors) < problem.batch:  # some relations are about one point
        problem = dataclasses.replace(only(problem, np.arange(len(errors))), id=problem.id)
    return RelationFinding(team.roles, problem, kind, message, errors, margins)


def _words(relation: Relation, sides: Sides, point: int) -> str:
    left, right = (_some(np.asarray(side)[point]) for side in (sides.left, sides.right))
    return relation.violated.format(left=left, right=right)


def _some(values: Array) -> str:
    flat = np.asarray(values, dtype=np.float64).ravel()
    text = ", ".join(f"{number:.9g}" for number in flat[:4])
    return text if flat.size == 1 else f"[{text}{', …' if flat.size > 4 else ''}]"


_MOST_KNOWN = 512
_known_tolerances: dict[Hashable, Tolerance] = {}


def _known(team: Team, problem: Problem, skew: SkewEps | None, dtype: str | None = None) -> Tolerance:
    """Return the tolerance by the oracle, computed once for all adapters of a precision."""
    relation, roles, dtype = team.relation, team.roles, dtype or team.dtype
    handed = team.handed
    key = (relation.label, roles, problem.id, dtype, tuple(handed.values()))
    if problem.id is not None and key in _known_tolerances:
        return _known_tolerances[key]
    claims = {role: team.subjects[role].claim for role in roles}
    oracle = Oracle(claims, handed, skew, PRECISIONS[dtype])
    tolerance, _ = tolerance_of_known(relation, roles, problem, oracle)
    if problem.id is not None:
        while len(_known_tolerances) >= _MOST_KNOWN:
            del _known_tolerances[next(iter(_known_tolerances))]
        _known_tolerances[key] = tolerance
    return tolerance


def _where_right(
    team: Team, problem: Problem, implementation: Implementation, sides: Sides, tolerance: Tolerance, bad: Array
) -> str | None:
    """Say in which precision the sides would agree, if in any: see :func:`afi_verify.examination.examine`."""
    relation, roles = team.relation, team.roles
    try:
        if team.dtype != "float64":
            wider = dataclasses.replace(implementation, dtype="float64")
            again = errors_of(relation.compare(wider, roles, problem), tolerance)
            return "they agree in float64" if (again[bad] <= LIMIT).all() else None
        if problem.atoms:
            coarse = _known(team, problem, implementation.skew, "float32")
        else:
            coarse = tolerance_of_unknown(relation, roles, problem, implementation, sides, PRECISIONS["float32"])
    except BrokenAnswerError:
        return None
    return "as near as those of float32 code" if (errors_of(sides, coarse)[bad] <= LIMIT).all() else None
