"""Running a relation: over drawn problems where the data are handed over, else at points of several noise levels."""

import dataclasses
import math
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.building import build_problem
from afi_properties.problem import Problem
from afi_properties.relation import Relation
from afi_properties.strategies import Demand, stratified_choices
from afi_properties.unknown_data import BATCHES, LOG_SNRS, points_problem
from afi_verify.adapter import Adapter
from afi_verify.backends import load_backend
from afi_verify.examination import Kind
from afi_verify.excuses import Excuses
from afi_verify.handing import Subject
from afi_verify.outcome import VERDICTS, acquit, result_of, weightiest
from afi_verify.planning import Check, Plan, teams
from afi_verify.relation_examination import RelationFinding, examine_relation
from afi_verify.relation_team import Team
from afi_verify.results import CheckResult, Counterexample

MOST_EXTENDED = 5
"""How many times as many cases as planned are tried before a relation is called vacuous."""


def look_for_violations(
    check: Check, plan: Plan, stop: Callable[[RelationFinding], bool] = lambda _: False
) -> list[RelationFinding]:
    """Examine case after case, for each set of roles and family of data of which the relation can be stated.

    The first finding for which ``stop`` is true is the last.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
    relation = check.claim
    assert isinstance(relation, Relation)
    findings: list[RelationFinding] = []
    stated = teams(relation, check.adapter, plan)
    for family, roles in stated:
        team = team_of(relation, check.adapter, family, roles)
        about = "" if len(stated) == 1 else f" ({' and '.join(roles)}, {family} data)"
        own: list[RelationFinding] = []
        for number, problem in enumerate(_problems(team, family, plan)):
            if number >= relation.cases * plan.profile.rounds and _all_told(own):
                break
            finding = examine_relation(team, problem)
            margins = {name + about: margin for name, margin in finding.margins.items()}
            own.append(dataclasses.replace(finding, margins=margins))
            if stop(own[-1]):
                return findings + own
        findings += own
    return findings


def _all_told(findings: list[RelationFinding]) -> bool:
    """Whether some case tells each of the relation's mistakes from the truth."""
    names = {name for finding in findings for name in finding.margins}
    return all(any((f.margins.get(name, np.zeros(1)) > 1).any() for f in findings) for name in names)


def conclude_relation(check: Check, plan: Plan, findings: list[RelationFinding]) -> CheckResult:
    """Return the result of a relation that found ``findings``, with the simplest of them as counterexample."""
    excuses = Excuses.of(check, plan)
    if all(finding.kind is Kind.RIGHT for finding in findings):
        return acquit(check, findings)
    blamed, known = excuses.blamed(findings)
    decisive = weightiest(blamed)
    alike = [finding for finding in blamed if finding.kind is decisive.kind]
    result = result_of(
        check,
        VERDICTS[decisive.kind],
        f"{decisive.message} So in {len(alike)} of {len(findings)} cases.",
        findings,
        simplest=_describe(min(alike, key=_complexity)),
        worst=_describe(decisive),
    )
    return excuses.apply(result, blamed, known)


def team_of(relation: Relation, adapter: Adapter, family: str, roles: tuple[str, ...]) -> Team:
    """Return the functions of an adapter for some roles.

    Raises
    ------
    UnusableError
        If the adapter's backend cannot be used here.
    """
    backend = load_backend(adapter.backend, adapter.dtype, adapter.device)
    subjects = {role: Subject(adapter, backend, adapter.functions[role, family]) for role in roles}
    return Team(relation, roles, subjects)


def _problems(team: Team, family: str, plan: Plan) -> Iterator[Problem]:
    """Yield the planned number of problems, then more in case those cannot tell right from wrong."""
    relation = team.relation
    count = relation.cases * plan.profile.rounds
    # Every set of roles has draws of its own, the same for every adapter and dtype, so that they can be compared.
    seed = zlib.crc32(f"{plan.seed}/{relation.label}/{team.roles}/{family}".encode())
    if family == "unknown":
        yield from _of_unknown_data(team, plan, MOST_EXTENDED * count, seed)
        return
    demand = _demand(team, family)
    choices = list(stratified_choices(demand, -(-count // len(demand.sizes())), seed))
    for index in np.linspace(0, len(choices) - 1, min(count, len(choices))).round().astype(int):
        yield build_problem(choices[index])
    more = (MOST_EXTENDED - 1) * count
    for choice in list(stratified_choices(demand, -(-more // len(demand.sizes())), seed + 1))[:more]:
        yield build_problem(choice)


def _demand(team: Team, family: str) -> Demand:
    subjects = list(team.subjects.values())
    adapter, claims = subjects[0].adapter, [subject.claim for subject in subjects]
    return Demand(
        family=family,
        weights=all(subject.asks_for("weights") for subject in subjects),
        variance_preserving=any(subject.asks_for("alpha_bar") for subject in subjects),
        per_sample_noise=adapter.per_sample_noise,
        dimension=math.prod(adapter.event_shape) if adapter.event_shape else None,
        largest_dimension=min(team.relation.largest_dimension, *(claim.largest_dimension for claim in claims)),
        most_atoms=team.relation.most_atoms,
        smallest_dimension=team.relation.smallest_dimension,
        fewest_atoms=team.relation.fewest_atoms,
        eps_kinds=tuple(kind for kind in claims[0].eps_kinds if all(kind in claim.eps_kinds for claim in claims)),
    )


def _of_unknown_data(team: Team, plan: Plan, count: int, seed: int) -> Iterator[Problem]:
    """Yield problems without data: points noised from the user's samples, or from a standard normal distribution."""
    event = next(iter(team.subjects.values())).adapter.event_shape
    assert event is not None
    dimension = math.prod(event)
    samples = plan.own_data.atoms if plan.own_data is not None else None
    if samples is not None and samples.shape[1] != dimension:
        samples = None
    for index in range(count):
        batch, log_snr = BATCHES[index % len(BATCHES)], LOG_SNRS[index % len(LOG_SNRS)]
        hand_over = team.relation.needs_samples
        yield points_problem(batch, dimension, log_snr, seed, index, samples, hand_over=hand_over)


def _complexity(finding: RelationFinding) -> tuple[int, int, int]:
    problem = finding.problem
    return problem.batch * problem.dimension, problem.atoms, problem.batch


def _describe(finding: RelationFinding) -> Counterexample:
    problem, point = finding.problem, finding.worst_point
    error = None if math.isnan(finding.errors[point]) else float(finding.errors[point])
    return Counterexample(
        case=f"{problem!r} ({' and '.join(finding.roles)})",
        batch=problem.batch,
        atoms=problem.atoms,
        dimension=problem.dimension,
        log_snr=float(problem.log_snr[point]),
        error=error,
        message=finding.message,
        script=finding.script(),
        id=problem.id or "",
    )
