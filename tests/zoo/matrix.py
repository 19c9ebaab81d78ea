"""The kill matrix: every animal of the zoo against every check of its role, in every dtype.

What is measured is the harness's own code path. A mutant's check ends at the first case that decides it; a right
implementation's runs to its end.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence

from afi_properties.catalogue import CLAIMS
from afi_properties.claim import Claim
from afi_verify.adapter import Adapter
from afi_verify.checks import conclude, look_for_faults, run_check
from afi_verify.conditions import fixed_conditions
from afi_verify.examination import Finding, Kind
from afi_verify.planning import Check, Plan, make_plan, planned_checks, why_not
from tests.zoo import everyday
from tests.zoo.innocent import Innocent
from tests.zoo.innocents import INACCURATE, INNOCENTS
from tests.zoo.specimen import Specimen, collect_mutants

CAUGHT = ("fail", "error", "inaccurate")
"""Verdicts that catch a mutant."""

ACCUSED = ("fail", "error", "inaccurate", "undecided")
"""Verdicts that accuse a right implementation; ``vacuous`` says only that the dtype has too few digits."""

VERDICTS = {
    Kind.RIGHT: "pass",
    Kind.INACCURATE: "inaccurate",
    Kind.UNDECIDED: "undecided",
    Kind.ERROR: "error",
    Kind.WRONG: "fail",
}

SCENARIOS = ("dirac", "gaussian-mixture", "digits")
"""Those with an oracle: relations, for distributions that nobody knows, have wrong implementations of their own."""

CASES_FOR_A_DIAGNOSIS = 30
"""So many cases of a mutant are examined before its diagnosis: one case can be explained by anything."""

EVERYDAY_ROLES = frozenset(claim.role for claim in CLAIMS)
"""Whose answer is a formula of the point: what people use today does not know what to do with the others."""

MUTANT, INNOCENT, LOSES_DIGITS = "mutant", "innocent", "inaccurate"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One check of one animal in one dtype."""

    animal: str
    dtype: str
    check: str  # role/claim/scenario
    verdict: str
    message: str
    seconds: float | None  # until the first case that shows the fault
    cases: int | None  # the same, that case included
    atoms: int | None  # of the simplest counterexample
    dimension: int | None
    diagnosis: str | None  # the sentence
    fault: str | None  # the family of faults that it names


@dataclasses.dataclass(frozen=True)
class Record:
    """All checks of one animal, and what the everyday methods say of it (by method; ``None``: does not apply)."""

    name: str
    kind: str  # MUTANT, INNOCENT or LOSES_DIGITS
    role: str
    backend: str
    what: str  # the sin, or what is unusual
    fault: str  # what a diagnosis should name; empty for a right one
    smallest: tuple[int, int]
    outcomes: tuple[Outcome, ...]
    everyday: dict[str, dict[str, bool | None]]  # by dtype

    def verdict(self, dtype: str) -> str:
        """The weightiest verdict of its checks in ``dtype``."""
        found = {outcome.verdict for outcome in self.outcomes if outcome.dtype == dtype}
        return next(v for v in ("fail", "error", "inaccurate", "undecided", "vacuous", "pass") if v in found)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Those in which it was checked."""
        return tuple(dict.fromkeys(outcome.dtype for outcome in self.outcomes))

    def caught(self, dtype: str) -> Outcome | None:
        """The outcome that needed the fewest cases to catch it."""
        catches = [o for o in self.outcomes if o.dtype == dtype and o.cases is not None]
        return min(catches, key=lambda o: (o.cases, o.check), default=None)

    def simplest(self, dtype: str) -> Outcome | None:
        """The outcome with the smallest counterexample."""
        found = [o for o in self.outcomes if o.dtype == dtype and o.atoms is not None]
        return min(found, key=lambda o: (o.atoms or 0) * (o.dimension or 0), default=None)


def names_of_all() -> list[str]:
    """Every animal's name: mutants, right ones, and those that lose digits."""
    return [*(m.name for m in collect_mutants()), *INNOCENTS, *INACCURATE]


def run_zoo(
    names: Sequence[str], *, profile: str, innocents_profile: str, seed: int = 0, jobs: int = 1
) -> Iterator[Record]:
    """Check the animals called ``names`` on ``jobs`` processes; yield the records in their order, whatever ``jobs``."""
    tasks = [(name, profile, innocents_profile, seed) for name in names]
    if jobs == 1:
        yield from map(observe, *zip(*tasks, strict=True))
        return
    # Neighbours have one role: they go to one process, where the truths of their cases are known already.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(observe, *zip(*tasks, strict=True), chunksize=4)


def observe(name: str, profile: str, innocents_profile: str, seed: int) -> Record:
    """Check one animal in all its dtypes, and hold the everyday methods against it."""
    animal, kind = find(name)
    mutant = isinstance(animal, Specimen)
    outcomes: list[Outcome] = []
    for dtype in animal.dtypes:
        outcomes += hunt(animal, dtype, profile=profile if mutant else innocents_profile, seed=seed)
    return Record(
        name=name,
        kind=kind,
        role=animal.role,
        backend=animal.backend,
        what=animal.sin if isinstance(animal, Specimen) else animal.unusual,
        fault=animal.diagnosis if isinstance(animal, Specimen) else "",
        smallest=animal.smallest if isinstance(animal, Specimen) else (3, 3),
        outcomes=tuple(outcomes),
        everyday={dtype: _suspicions(animal, dtype) for dtype in animal.dtypes},
    )


def _suspicions(animal: Specimen | Innocent, dtype: str) -> dict[str, bool | None]:
    if animal.role not in EVERYDAY_ROLES:
        return dict.fromkeys(everyday.METHODS)
    return everyday.suspicions(lambda: adapter_of(animal, dtype))


def find(name: str) -> tuple[Specimen | Innocent, str]:
    """Return the animal of that name, and its kind."""
    for kind, registry in ((INNOCENT, INNOCENTS), (LOSES_DIGITS, INACCURATE)):
        if name in registry:
            return registry[name], kind
    return next(m for m in collect_mutants() if m.name == name), MUTANT


def adapter_of(animal: Specimen | Innocent, dtype: str) -> Adapter:
    """Return a new adapter: functions that keep a state start afresh."""
    return animal.adapter(dtype) if isinstance(animal, Specimen) else animal.build(dtype)


def hunt(
    animal: Specimen | Innocent, dtype: str, *, profile: str, seed: int, simplest: bool = True, first: bool = False
) -> list[Outcome]:
    """Run every check of an animal's role.

    Parameters
    ----------
    simplest
        Whether to look for the simplest counterexample and a diagnosis, too, in the first check that catches it.
    first
        Whether one check that catches it is enough.
    """
    plan = make_plan(profile=profile, seed=seed, scenarios=SCENARIOS, roles=[animal.role], data=None, weights=None)
    outcomes: list[Outcome] = []
    scenarios = [c.scenario for c in planned_checks(adapter_of(animal, dtype), plan) if why_not(c, plan) is None]
    # The one that is known to catch it first.
    scenarios.sort(key=lambda s: s != getattr(animal, "only", None))
    for scenario in scenarios:
        # A new adapter: a function that keeps a state starts afresh.
        checks = [c for c in planned_checks(adapter_of(animal, dtype), plan) if c.scenario == scenario]
        for check in (c for c in checks if why_not(c, plan) is None):
            known = any(o.verdict in CAUGHT for o in outcomes)
            if first and known:
                return outcomes
            if isinstance(check.claim, Claim) and check.claim.random:
                outcomes.append(_run_whole(check, plan))
                continue
            outcomes.append(
                _run(check, plan, to_the_end=not isinstance(animal, Specimen), simplest=simplest and not known)
            )
    return outcomes


def _run_whole(check: Check, plan: Plan) -> Outcome:
    """Run a check of random answers, which a test over all of them decides, not one case."""
    begun = time.perf_counter()
    with fixed_conditions():
        result = run_check(check, plan)
    verdict, simplest = result.verdict.value, result.simplest
    caught = verdict in CAUGHT
    return Outcome(
        animal=check.adapter.name,
        dtype=check.adapter.dtype,
        check=_name(check),
        verdict=verdict,
        message=result.message,
        seconds=time.perf_counter() - begun if caught else None,
        cases=max(1, result.cases) if caught else None,
        atoms=simplest.atoms if simplest else None,
        dimension=simplest.dimension if simplest else None,
        diagnosis=None,
        fault=None,
    )


def _name(check: Check) -> str:
    return f"{check.claim.role}/{check.claim.label}/{check.scenario}"


def _run(check: Check, plan: Plan, *, to_the_end: bool, simplest: bool) -> Outcome:
    caught: list[tuple[float, int]] = []
    seen, worst = 0, Kind.RIGHT
    begun = time.perf_counter()

    def stop(finding: Finding) -> bool:
        nonlocal seen, worst
        seen += 1
        if finding.kind is not Kind.RIGHT and not caught:
            caught.append((time.perf_counter() - begun, seen))
        # A finding that is merely inaccurate does not decide: a later one may show that the formula is wrong. And a
        # diagnosis needs some cases to be told from others.
        worst = max(worst, finding.kind)
        return not to_the_end and worst > Kind.INACCURATE and seen >= (CASES_FOR_A_DIAGNOSIS if simplest else 0)

    with fixed_conditions():
        findings = look_for_faults(check, plan, stop)
        verdict, message = VERDICTS[max(f.kind for f in findings)], ""
        atoms = dimension = diagnosis = fault = None
        if simplest or not caught:
            result = conclude(check, plan, findings)
            verdict, message = result.verdict.value, result.message
            diagnosis, fault = result.diagnosis or None, result.fault or None
            if result.simplest is not None:
                atoms, dimension = result.simplest.atoms, result.simplest.dimension
    seconds, cases = caught[0] if caught else (None, None)
    return Outcome(
        check.adapter.name,
        check.adapter.dtype,
        _name(check),
        verdict,
        message,
        seconds,
        cases,
        atoms,
        dimension,
        diagnosis,
        fault,
    )


def kills(records: Iterable[Record]) -> dict[str, tuple[int, list[str]]]:
    """By check: how many (mutant, dtype) it catches, and those that no other check catches."""
    by_check: dict[str, tuple[int, list[str]]] = {}
    for record in records:
        if record.kind != MUTANT:
            continue
        for dtype in record.dtypes:
            outcomes = [o for o in record.outcomes if o.dtype == dtype]
            catchers = [o.check for o in outcomes if o.verdict in CAUGHT]
            for check in [o.check for o in outcomes]:
                count, alone = by_check.get(check, (0, []))
                only = [f"{record.name} ({dtype})"] if catchers == [check] else []
                by_check[check] = (count + (check in catchers), alone + only)
    return dict(sorted(by_check.items()))
