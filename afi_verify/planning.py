"""What is to be checked: a plan, and the checks that it makes of an adapter."""

import dataclasses
import datetime
import math
from collections.abc import Sequence

import numpy as np

from afi_properties.catalogue import ALL_CLAIMS, RELATIONS, ROLES
from afi_properties.claim import AnyClaim, Claim
from afi_properties.problem import Array
from afi_properties.real_data import load_digits_atoms, noised_problems
from afi_properties.relation import MODELS, Relation
from afi_properties.trajectory import TrajectoryClaim
from afi_properties.trajectory_cases import LARGEST_DIMENSION
from afi_verify.adapter import Adapter
from afi_verify.errors import UnusableError
from afi_verify.known_failures import NO_ORACLE as NO_ORACLE
from afi_verify.profiles import Profile, profile_named

DRAWN_SCENARIOS = ("dirac", "gaussian-mixture")
SCENARIOS = (*DRAWN_SCENARIOS, "digits", NO_ORACLE)
OWN_DATA = "own-data"

LARGEST_MATRIX = 256
"""Largest dimension for which matrices (B, d, d) are checked, where the data or the adapter fix it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Atoms:
    """Real data: atoms (N, d) and their weights (N,), uniform when ``None``."""

    atoms: Array
    weights: Array | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """What to check, how thoroughly, from which seed."""

    profile: Profile
    seed: int
    scenarios: tuple[str, ...]
    roles: tuple[str, ...]
    own_data: Atoms | None
    today: datetime.date = datetime.date.min  # known failures are accepted until a date

    def atoms_of(self, scenario: str) -> Atoms:
        """Return the real data of a scenario."""
        if scenario == "digits":
            return Atoms(load_digits_atoms())
        assert self.own_data is not None
        return self.own_data


@dataclasses.dataclass(frozen=True)
class Check:
    """A claim to be held against an adapter, in one scenario."""

    adapter: Adapter
    claim: AnyClaim | Relation
    scenario: str

    @property
    def id(self) -> str:
        """Unique and readable: adapter/dtype/role/claim/scenario."""
        return f"{self.adapter.name}/{self.adapter.dtype}/{self.claim.role}/{self.claim.label}/{self.scenario}"


def make_plan(
    *,
    profile: str,
    seed: int,
    scenarios: Sequence[str],
    roles: Sequence[str],
    data: Array | None,
    weights: Array | None,
    today: datetime.date = datetime.date.min,
) -> Plan:
    """Return a plan; without ``scenarios``, all of them, or only the own data where there is some.

    ``today`` decides whether a known failure is past its date.

    Raises
    ------
    UnusableError
        If a name is unknown, or the data or their weights are unusable.
    """
    _require_known("scenario", scenarios, SCENARIOS)
    _require_known("role", roles, ROLES)
    if seed < 0:
        raise UnusableError(f"seed must not be negative; got {seed}.")
    if data is None and weights is not None:
        raise UnusableError("weights belong to data: give both, or leave out the weights.")
    chosen = tuple(dict.fromkeys(scenarios))
    own = None
    if data is not None:
        own = _own_data(data, weights)
        chosen = (*(chosen or (NO_ORACLE,)), OWN_DATA)
    return Plan(profile_named(profile), seed, chosen or SCENARIOS, tuple(roles), own, today)


def _own_data(data: Array, weights: Array | None) -> Atoms:
    try:
        atoms = np.asarray(data, dtype=np.float64)
        if atoms.ndim > 2:
            atoms = atoms.reshape(len(atoms), math.prod(atoms.shape[1:]))
        next(noised_problems(OWN_DATA, atoms, weights, seed=0))
    except (TypeError, ValueError) as error:
        raise UnusableError(f"The data cannot be used: {error}") from None
    return Atoms(atoms, weights)


def planned_checks(adapter: Adapter, plan: Plan) -> list[Check]:
    """Return every check that is planned for an adapter, whether or not it provides the role."""
    checks = []
    for claim in ALL_CLAIMS:
        real = [name for name in plan.scenarios if name not in (*DRAWN_SCENARIOS, NO_ORACLE)]
        real = real if claim.family == "dirac" and isinstance(claim, Claim) and not claim.random else []
        drawn = [name for name in plan.scenarios if name == claim.family]
        if not plan.roles or claim.role in plan.roles:
            checks += [Check(adapter, claim, scenario) for scenario in (*drawn, *real)]
    for relation in RELATIONS if NO_ORACLE in plan.scenarios else ():
        if not plan.roles or any(set(roles) <= set(plan.roles) for roles in relation.roles):
            checks.append(Check(adapter, relation, NO_ORACLE))
    return checks


def all_checks_that_run(adapter: Adapter, plan: Plan) -> list[str]:
    """Return the ids of all checks that an adapter's functions can run, whether or not the plan is restricted."""
    everything = dataclasses.replace(plan, scenarios=SCENARIOS, roles=())
    return [check.id for check in planned_checks(adapter, everything) if why_not(check, everything) is None]


def why_not(check: Check, plan: Plan) -> str | None:
    """Return why a check cannot run, as a sentence; ``None`` if it can."""
    adapter, claim = check.adapter, check.claim
    if isinstance(claim, Relation):
        return _why_no_relation(claim, adapter, plan)
    if (claim.role, claim.family) not in adapter.functions:
        return f"The adapter provides no {claim.role} for {claim.family} data."
    dimension = math.prod(adapter.event_shape) if adapter.event_shape else None
    if check.scenario not in DRAWN_SCENARIOS:
        there = plan.atoms_of(check.scenario).atoms.shape[1]
        if dimension not in (None, there):
            shape = adapter.event_shape
            return f"The data have {there} numbers each; the adapter's event_shape {shape} has {dimension}."
        dimension = there
    if isinstance(claim, TrajectoryClaim) and dimension is not None and dimension > LARGEST_DIMENSION:
        return f"Trajectories are followed in up to {LARGEST_DIMENSION} dimensions; here are {dimension}."
    matrix = claim.answer == "matrix" or claim.family == "gaussian-mixture"
    if matrix and dimension is not None and dimension > LARGEST_MATRIX:
        return f"It needs matrices of {dimension} x {dimension}; they are checked up to {LARGEST_MATRIX}."
    return None


def teams(relation: Relation, adapter: Adapter, plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    """Return for which families of data, and which of its sets of roles, a relation can be stated of an adapter."""
    found = []
    dimension = math.prod(adapter.event_shape) if adapter.event_shape else 0
    for family in relation.families:
        by_samples = family == "unknown" and relation.needs_samples
        if by_samples and (plan.own_data is None or plan.own_data.atoms.shape[1] != dimension):
            continue
        if dimension > relation.limit and not by_samples:
            continue
        for roles in relation.roles:
            if dimension > LARGEST_MATRIX and ("fisher" in roles or family == "gaussian-mixture"):
                continue
            provided = [adapter.functions.get((role, family)) for role in roles]
            asked = [function.parameters if function is not None else frozenset() for function in provided]
            chosen = not plan.roles or set(roles) <= set(plan.roles)
            stated = all(not relation.asks or a & relation.asks for a in asked)
            if None not in provided and chosen and stated and not any(a & relation.refuses for a in asked):
                found.append((family, roles))
    return found


def _why_no_relation(relation: Relation, adapter: Adapter, plan: Plan) -> str | None:
    if MODELS.index(adapter.model) < MODELS.index(relation.model):
        kinds = " or ".join(repr(model) for model in MODELS[MODELS.index(relation.model) :])
        return f"It need not hold for a model={adapter.model!r}; it is checked for {kinds}."
    if teams(relation, adapter, plan):
        return None
    words = " or ".join(" and ".join(roles) for roles in relation.roles)
    if relation.asks:
        words += f", asking for {', '.join(sorted(relation.asks))}"
    if relation.refuses:
        words += f", not asking for {', '.join(sorted(relation.refuses))}"
    if "unknown" not in relation.families:
        words += ", for data that are handed over"
    elif relation.needs_samples:
        words += ", and for unknown data samples of them (--data)"
    limits = f" in at most {relation.limit} dimensions" if relation.limit < 2**30 else ""
    return f"The adapter does not provide what it ties to one another{limits}: {words}."


def _require_known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise UnusableError(f"{what} {name!r} is not known; choose from: {', '.join(known)}.")
