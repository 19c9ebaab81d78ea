"""Running the checks of adapters, one after the other, and putting together what was found."""

import dataclasses
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from afi_verify.adapter import Adapter
from afi_verify.backends import load_backend
from afi_verify.checks import SCENARIOS, Check, planned_checks, run_check
from afi_verify.errors import UnusableError
from afi_verify.profiles import DEFAULT_PROFILE, profile_named
from afi_verify.results import AdapterResult, CheckResult, Problem, Results, Verdict, write_results

Listener = Callable[[Check, CheckResult | None], None]
"""Told of each check before it runs (``None``) and after."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What :func:`verify` found."""

    results: Results

    @property
    def ok(self) -> bool:
        """Whether nothing failed: the exit status would be 0."""
        return self.results.exit_status == 0

    def write(self, folder: str | Path) -> Path:
        """Write ``results.json`` and ``index.html`` into ``folder``; return the path of the page.

        Raises
        ------
        OSError
            If the folder or a file cannot be written.
        """
        from afi_verify.report import write_report

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_results(self.results, folder / "results.json")
        write_report(folder / "results.json", folder / "index.html")
        return folder / "index.html"


def verify(
    *adapters: Adapter,
    profile: str = DEFAULT_PROFILE,
    seed: int = 0,
    strict: bool = False,
    scenarios: Sequence[str] = SCENARIOS,
    roles: Sequence[str] = (),
) -> Report:
    """Verify adapters and return what was found.

    Parameters
    ----------
    adapters
        What to verify.
    profile
        ``"quick"``, ``"ci"`` or ``"deep"``: how many cases are drawn.
    seed
        Of the drawn cases; the same seed gives the same cases.
    strict
        Whether ``inaccurate`` and ``vacuous`` count against :attr:`Report.ok`, too.
    scenarios
        Any of ``"dirac"``, ``"gaussian-mixture"``, ``"digits"``.
    roles
        The roles to check; all when empty.

    Raises
    ------
    UnusableError
        If the profile or a scenario is unknown, there is no adapter, two adapters have the same name and
        dtype, or a backend is not installed.
    """
    if not adapters:
        raise UnusableError("There is nothing to verify: pass at least one Adapter.")
    return Report(run_adapters(adapters, profile=profile, seed=seed, strict=strict, scenarios=scenarios, roles=roles))


def run_adapters(
    adapters: Iterable[Adapter],
    *,
    profile: str = DEFAULT_PROFILE,
    seed: int = 0,
    strict: bool = False,
    scenarios: Sequence[str] = SCENARIOS,
    roles: Sequence[str] = (),
    problems: Sequence[Problem] = (),
    listener: Listener | None = None,
) -> Results:
    """Run every planned check of ``adapters``; see :func:`verify`."""
    adapters = list(adapters)
    budget = profile_named(profile)
    for scenario in scenarios:
        if scenario not in SCENARIOS:
            raise UnusableError(f"scenario {scenario!r} is not known; choose from: {', '.join(SCENARIOS)}.")
    _require_distinct(adapters)
    for adapter in adapters:
        load_backend(adapter.backend, adapter.dtype, adapter.device)
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    planned = [
        [check for check in planned_checks(adapter, scenarios) if not roles or check.claim.role in roles]
        for adapter in adapters
    ]
    results: dict[str, CheckResult] = {}
    # Claim by claim, not adapter by adapter: the truth of a case is computed once for all adapters.
    for check in (check for same_claim in zip(*planned, strict=True) for check in same_claim):
        if listener is not None:
            listener(check, None)
        before = time.perf_counter()
        results[check.id] = run_check(check, budget, seed)
        if results[check.id].verdict is not Verdict.NOT_PROVIDED:
            seconds[check.id] = time.perf_counter() - before
        if listener is not None:
            listener(check, results[check.id])
    outcomes = [
        AdapterResult(
            adapter.name,
            adapter.backend,
            adapter.dtype,
            adapter.device,
            adapter.source,
            tuple(results[check.id] for check in checks),
        )
        for adapter, checks in zip(adapters, planned, strict=True)
    ]
    seconds["total"] = time.perf_counter() - started
    return Results(
        version=importlib.metadata.version("afi-verify"),
        profile=profile,
        seed=seed,
        strict=strict,
        adapters=tuple(outcomes),
        problems=tuple(problems),
        environment=environment(),
        seconds=seconds,
    )


def environment() -> dict[str, str]:
    """Return what a number may depend on: versions and the kind of machine, nothing that names it."""
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
    }
    for package in ("afi-verify", "numpy", "scipy", "torch", "jax", "hypothesis", "scikit-learn"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _require_distinct(adapters: Sequence[Adapter]) -> None:
    seen: set[tuple[str, str]] = set()
    for adapter in adapters:
        key = (adapter.name, adapter.dtype)
        if key in seen:
            raise UnusableError(
                f"Two adapters are called {adapter.name!r} in {adapter.dtype}; give them different names."
            )
        seen.add(key)
