"""``afi-verify replay``: one case again, by its id, and everything that is known of it."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from afi_properties.catalogue import RELATIONS
from afi_properties.claim import AnyClaim, Claim
from afi_properties.claims.trace_head import ACCEPTABLE
from afi_properties.convergence import RESOLUTION, STEPS
from afi_properties.judgement import LIMIT
from afi_properties.problem import Array, Problem
from afi_properties.relation import MODELS, Relation
from afi_properties.strategies import problem_from_id
from afi_properties.trajectory import TrajectoryClaim
from afi_properties.transport_cases import transport_problems
from afi_verify.adapter import Adapter
from afi_verify.backends import load_backend
from afi_verify.errors import UnusableError
from afi_verify.examination import Finding, Kind, examine
from afi_verify.handing import Subject
from afi_verify.known_failures import NO_ORACLE
from afi_verify.limits import Limits
from afi_verify.loading import load_adapters
from afi_verify.planning import make_plan, teams
from afi_verify.relation_checks import team_of
from afi_verify.relation_examination import RelationFinding, examine_relation
from afi_verify.relation_team import Team
from afi_verify.scouting import look_into
from afi_verify.stochastic_checks import EstimateFinding, examine_estimates
from afi_verify.training_checks import TrainingFinding, examine_training
from afi_verify.trajectory_examination import TrajectoryFinding, examine_trajectory, knows_epsilon_alone
from afi_verify.worker_handle import DiedError, Worker

SHIPPED = "shipped"
"""Stands for the implementations that come with afi-verify, where a file is asked for."""

_KINDS = {
    Kind.RIGHT: "right",
    Kind.INACCURATE: "inaccurate",
    Kind.UNDECIDED: "undecided",
    Kind.ERROR: "error",
    Kind.WRONG: "wrong",
}

AnyFinding: TypeAlias = Finding | RelationFinding | TrajectoryFinding | EstimateFinding | TrainingFinding

_MOST_NUMBERS = 8
_MOST_FORMULAS = 5


def replay(
    file: str,
    what: str,
    case: str,
    data: Array | None = None,
    weights: Array | None = None,
    *,
    load: Callable[[str], list[Adapter]] = load_adapters,
) -> list[tuple[Subject | Team, AnyFinding]]:
    """Examine one case again.

    Parameters
    ----------
    file
        A Python file with adapters, or ``"shipped"``.
    what
        A role (``fisher_trace``) or a relation (``linearity``), for all adapters that provide it, or the id of a check
        (``my-afi/float32/fisher_trace/prop-5/dirac``).
    case
        The id of a case.
    data, weights
        For a case on data of your own.
    load
        Imports the file.

    Returns
    -------
    list
        What each adapter's function, or functions, did on it; never empty.

    Raises
    ------
    UnusableError
        If the file, the role or the case id is unusable, or they do not fit together.
    """
    adapters = _shipped() if file == SHIPPED else load(file)
    try:
        atoms = None if data is None else data.reshape(len(data), -1)
        problem = problem_from_id(case, atoms, weights)
    except ValueError as error:
        raise UnusableError(f"{error}") from None
    family = _family(problem)
    found: list[tuple[Subject | Team, AnyFinding]] = []
    for adapter in adapters:
        for (role, provided_family), provided in adapter.functions.items():
            claim = provided.claim
            if provided_family != family or what not in (role, _check_id(adapter, role, claim.label, problem)):
                continue
            # Which cases a claim is checked on is told by the kind of their id.
            if family != "unknown" and _kind_of(claim) == _kind_of_case(problem):
                subject = Subject(adapter, load_backend(adapter.backend, adapter.dtype, adapter.device), provided)
                misfit = _misfit(subject, problem)
                if misfit:
                    raise UnusableError(f"case {case} {misfit}: the {role} of {adapter.name!r} is not checked on such.")
                found.append((subject, _examine(subject, problem)))
        for relation in RELATIONS:
            if what in (relation.label, f"{adapter.name}/{adapter.dtype}/relation/{relation.label}/{NO_ORACLE}"):
                found += _relations(adapter, relation, family, problem, atoms)
    if not found:
        known = sorted({f"{role} ({family})" for adapter in adapters for role, family in adapter.functions})
        raise UnusableError(
            f"{file} has no function for {what!r} on {family} data, which case {case} is. It has: {', '.join(known)}."
        )
    return found


def _family(problem: Problem) -> str:
    return "gaussian-mixture" if "means" in problem.values else "dirac" if "data" in problem.values else "unknown"


def _check_id(adapter: Adapter, role: str, label: str, problem: Problem) -> str:
    return f"{adapter.name}/{adapter.dtype}/{role}/{label}/{problem.scenario}"


def _kind_of(claim: AnyClaim) -> str:
    """Return which kind of case a claim is checked on, as the ids of cases name it; one noise level is the usual."""
    if isinstance(claim, TrajectoryClaim):
        return "transport" if claim.cases is transport_problems else "flow"
    if isinstance(claim, Claim) and claim.random:
        return "training" if claim.answer == "head" else "estimate"
    return ""


def _kind_of_case(problem: Problem) -> str:
    word = (problem.id or "").split("_")[1]
    word = "flow" if word == "skewflow" else word
    return word if word in ("flow", "transport", "training", "estimate") else ""


def _examine(subject: Subject, problem: Problem) -> AnyFinding:
    examiners: dict[str, Callable[[Subject, Problem], AnyFinding]] = {
        "flow": examine_trajectory,
        "transport": examine_trajectory,
        "training": examine_training,
        "estimate": examine_estimates,
        "": examine,
    }
    return examiners[_kind_of_case(problem)](subject, problem)


def _relations(
    adapter: Adapter, relation: Relation, family: str, problem: Problem, samples: Array | None
) -> Iterator[tuple[Team, RelationFinding]]:
    """Yield what each set of the adapter's functions that the relation ties together did."""
    plan = make_plan(profile="quick", seed=0, scenarios=[NO_ORACLE], roles=[], data=samples, weights=None)
    if MODELS.index(adapter.model) < MODELS.index(relation.model):
        return
    for provided_family, roles in teams(relation, adapter, plan):
        if provided_family == family and _kind_of_case(problem) == "":
            team = team_of(relation, adapter, family, roles)
            misfits = [_misfit(subject, problem) for subject in team.subjects.values()]
            if not any(misfits):
                yield team, examine_relation(team, problem)


def told_by_worker(
    file: str, what: str, case: str, data: Array | None, weights: Array | None, limits: Limits
) -> tuple[list[str], bool]:
    """Do what :func:`replay` does in a worker process; return the lines that tell of it, and whether all is right.

    Raises
    ------
    UnusableError
        As :func:`replay` does, and if the process does not survive the import of the file.
    """
    with contextlib.closing(Worker(limits)) as worker:
        found = look_into(file, worker)
        if found.problem:
            raise UnusableError("\n".join([found.problem, *_printed(found.output)]))
        try:
            reply, output = worker.request("replay", file, what, case, data, weights)
        except DiedError as death:
            return [f"error: {death}", *_printed(death.output)], False
    if "unusable" in reply:
        raise UnusableError(reply["unusable"])
    return [*reply["lines"], *_printed(output)], bool(reply["right"])


def _printed(output: str) -> list[str]:
    return ["it printed:", *(f"  | {line}" for line in output.splitlines())] if output else []


def _misfit(subject: Subject, problem: Problem) -> str | None:
    """Return why a run would not hand the problem to the function, if it would not."""
    adapter, claim, values = subject.adapter, subject.provided.claim, problem.values
    if adapter.event_shape and math.prod(adapter.event_shape) != problem.dimension:
        return f"has points of {problem.dimension} numbers, and its event_shape is {adapter.event_shape}"
    if isinstance(claim, Claim) and problem.dimension > claim.largest_dimension:
        return f"has dimension {problem.dimension}, and it is checked up to {claim.largest_dimension}"
    if isinstance(claim, Claim) and problem.eps_kind not in claim.eps_kinds:
        return f"has the {problem.eps_kind} epsilon"
    if isinstance(claim, TrajectoryClaim) and problem.eps_kind not in claim.eps_kinds:
        return f"has the {problem.eps_kind} epsilon"
    if isinstance(claim, TrajectoryClaim) and problem.eps_kind != "exact" and not knows_epsilon_alone(subject):
        return f"has the {problem.eps_kind} epsilon, and it knows more of the data than that"
    if not problem.shares_noise and not adapter.per_sample_noise and _kind_of_case(problem) != "training":
        return "has a noise level per point"
    weighted = "weights" in values and np.ptp(values["weights"]) > 0
    # Of a trajectory, who asks for neither atoms nor weights is handed functions that know both.
    needs_weights = isinstance(claim, Claim) or subject.asks_for("data", "means")
    if weighted and needs_weights and not subject.asks_for("weights"):
        return "has weights, and it does not ask for them"
    if subject.asks_for("alpha_bar") and not np.allclose(values["alpha"] ** 2 + values["sigma"] ** 2, 1):
        return "is not variance preserving, and it asks for alpha_bar"
    return None


def _shipped() -> list[Adapter]:
    from afi_verify.shipped import ADAPTERS

    return ADAPTERS


def told(found: list[tuple[Subject | Team, AnyFinding]]) -> tuple[list[str], bool]:
    """Return what was found as lines of text, and whether all of it is right."""
    lines = [line for subject, finding in found for line in report_lines(subject, finding)]
    return lines, all(finding.kind is Kind.RIGHT for _, finding in found)


def report_lines(subject: Subject | Team, finding: AnyFinding) -> Iterator[str]:
    """Yield what was returned, expected and attainable, and the margins, as lines of text."""
    problem = finding.problem
    claim = subject.relation if isinstance(subject, Team) else subject.provided.claim
    adapter = next(iter(subject.subjects.values())).adapter if isinstance(subject, Team) else subject.adapter
    roles = " and ".join(subject.roles) if isinstance(subject, Team) else claim.role
    yield f"{_KINDS[finding.kind]}: {adapter.name} {adapter.dtype}, {roles} ({claim.label})"
    yield f"case {problem.id}"
    yield f"  {problem!r}"
    yield f"  must hold: {claim.statement}"
    if finding.message:
        yield f"  {finding.message}"
    if isinstance(finding, TrainingFinding):
        yield f"  excess risk {finding.relative:.3g} of what can be explained; at most {ACCEPTABLE:g} is expected"
        return
    for point in range(problem.batch):
        yield f"point {point}, log-SNR {problem.log_snr[point]:.4g}"
        yield from _point_lines(adapter, finding, point)
        margins = sorted((float(margin[point]), name) for name, margin in finding.margins.items())
        if margins and not math.isnan(finding.errors[point]):
            nearest = ", ".join(f"{name} {margin:.3g}" for margin, name in margins[:_MOST_FORMULAS])
            yield f"  margins    {nearest} (the nearest of {len(margins)} wrong formulas)"


def _point_lines(adapter: Adapter, finding: AnyFinding, point: int) -> Iterator[str]:
    error = finding.errors[point]
    if isinstance(finding, Finding):
        if not finding.truth.representable[point]:
            yield f"  no evidence: {adapter.dtype} cannot represent its truth, or what any way to it needs"
            return
        if finding.answer is not None:
            yield f"  returned   {_numbers(finding.answer[point])}"
        yield f"  expected   {_numbers(finding.truth.answer[point])}"
        yield f"  attainable {finding.truth.attainable[point]:.3g}"
        if finding.answer is not None:
            yield f"  error      {error:.3g} times the attainable; the limit is {LIMIT:g}"
    elif isinstance(finding, TrajectoryFinding):
        if finding.answers:
            steps = STEPS[len(finding.answers) - 1] if len(finding.answers) > 1 else None
            yield f"  returned   {_numbers(finding.answers[-1][point])}{f' with {steps} steps' if steps else ''}"
        yield f"  expected   {_numbers(finding.known.truth.value[point])}"
        if finding.answers and not math.isnan(error):
            yield f"  error      {error / LIMIT:.3g} times what is accepted, {RESOLUTION:g} of the claim's scale"
    elif not math.isnan(error):
        yield f"  error      {error:.3g}; the limit is {LIMIT:g}"


def _numbers(values: Array) -> str:
    flat = np.asarray(values, dtype=np.float64).ravel()
    text = " ".join(f"{number:.17g}" for number in flat[:_MOST_NUMBERS])
    return text + (f" … ({flat.size} numbers)" if flat.size > _MOST_NUMBERS else "")
