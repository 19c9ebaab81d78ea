"""What is to be checked: a plan, and the checks that it makes of an adapter."""

import dataclasses
import datetime
import math
from collections.abc import Sequence

import numpy as np

from afi_properties.catalogue import CLAIMS, ROLES
from afi_properties.claim import Claim
from afi_properties.problem import Array
from afi_properties.real_data import load_digits_atoms, noised_problems
from afi_verify.adapter import Adapter
from afi_verify.errors import UnusableError
from afi_verify.profiles import Profile, profile_named

DRAWN_SCENARIOS = ("dirac", "gaussian-mixture")
SCENARIOS = (*DRAWN_SCENARIOS, "digits")
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
    claim: Claim
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
        chosen = (*chosen, OWN_DATA)
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
    for claim in CLAIMS:
        real = [name for name in plan.scenarios if name not in DRAWN_SCENARIOS] if claim.family == "dirac" else []
        drawn = [name for name in plan.scenarios if name == claim.family]
        if not plan.roles or claim.role in plan.roles:
            checks += [Check(adapter, claim, scenario) for scenario in (*drawn, *real)]
    return checks


def why_not(check: Check, plan: Plan) -> str | None:
    """Return why a check cannot run, as a sentence; ``None`` if it can."""
    adapter, claim = check.adapter, check.claim
    if (claim.role, claim.family) not in adapter.functions:
        return f"The adapter provides no {claim.role} for {claim.family} data."
    dimension = math.prod(adapter.event_shape) if adapter.event_shape else None
    if check.scenario not in DRAWN_SCENARIOS:
        there = plan.atoms_of(check.scenario).atoms.shape[1]
        if dimension not in (None, there):
            shape = adapter.event_shape
            return f"The data have {there} numbers each; the adapter's event_shape {shape} has {dimension}."
        dimension = there
    matrix = claim.answer == "matrix" or claim.family == "gaussian-mixture"
    if matrix and dimension is not None and dimension > LARGEST_MATRIX:
        return f"It needs matrices of {dimension} x {dimension}; they are checked up to {LARGEST_MATRIX}."
    return None


def _require_known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise UnusableError(f"{what} {name!r} is not known; choose from: {', '.join(known)}.")
