"""What the pytest plugin runs and collects: a check as a callable, and the results of all of them."""

import contextlib
import dataclasses
import datetime
import functools
import json
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from afi_verify.adapter import Adapter
from afi_verify.checks import broken_result
from afi_verify.errors import UnusableError
from afi_verify.known_failures import without_stale
from afi_verify.limits import Limits, limits_of
from afi_verify.outcome import result_of
from afi_verify.planning import Check, Plan, all_checks_that_run, make_plan, planned_checks, why_not
from afi_verify.pytest_plugin import STDERR, TIMEOUT
from afi_verify.report.reading import read_check
from afi_verify.results import AdapterResult, CheckResult, Results, Verdict, count_verdicts
from afi_verify.runner import Report, environment, require_distinct, run_here
from afi_verify.scouting import scout
from afi_verify.sending import pack_all
from afi_verify.series import Series, outcome_of
from afi_verify.stand_in import StandIn
from afi_verify.telling import lines_of
from afi_verify.time_limit import TimeUpError, place_of, time_limit

Given: TypeAlias = Adapter | str | os.PathLike[str]
"""An adapter, or a file that makes some."""

Ran = tuple[CheckResult, float, str]
"""A result, the seconds that it took, and what was printed."""


class Isolated:
    """Runs checks in a worker process; here where an adapter cannot be sent to one, and unless told to ``always``."""

    def __init__(
        self, plan: Plan, adapters: Sequence[Adapter], limits: Limits, here: Callable[[Check], Ran], *, always: bool
    ) -> None:
        self._here, self._always = here, always
        self._positions = {adapter: position for position, adapter in enumerate(adapters)}
        self._series = Series(plan, pack_all(adapters), limits)
        self.close = self._series.close

    def __call__(self, check: Check) -> Ran:
        """Run a check."""
        if not self._always and not isinstance(check.adapter, StandIn):
            return self._here(check)
        reply = self._series.run(self._positions[check.adapter], check.id)
        result, seconds, output = outcome_of(check, reply)
        if isinstance(result, CheckResult):
            return result, seconds, output
        message = f"--afi-isolation: the adapter {check.adapter.name!r} is verified in this process: {result}."
        warnings.warn(message, pytest.PytestWarning, stacklevel=2)
        return self._here(check)


def ran_here(check: Check, plan: Plan, seconds: float, stderr: int | None) -> Ran:
    """Run a check in this process, for so many ``seconds``; who uses a debugger has all the time in the world."""
    debugging = sys.gettrace() is not None and "coverage" not in str(type(sys.gettrace()))
    limit = contextlib.nullcontext() if debugging else time_limit(seconds, stderr)
    try:
        with limit:
            _, (_, result, took, output) = run_here(check, plan)
    except TimeUpError as error:
        message = f"{error} ({TIMEOUT}), and was stopped{place_of(error)}."
        return broken_result(check, message), seconds, ""
    assert result is not None
    return result, took, output


class CheckTest:
    """A check, to be called by a test."""

    def __init__(
        self, check: Check, plan: Plan, strict: bool, earlier: dict[str, CheckResult], run: Callable[[Check], Ran]
    ) -> None:
        self.why_not = why_not(check, plan)
        self.position = 0
        self._check = check
        self._plan = plan
        self._strict = strict
        self._earlier = earlier  # the results of the adapter, by check id; shared by its checks
        self._run_check = run
        self._result: CheckResult | None = None
        self._seconds = 0.0
        self._output = ""

    def __repr__(self) -> str:
        return f"<check {self._check.id}>"

    @property
    def name(self) -> str:
        """The test's id: adapter/role/claim/dtype/scenario."""
        check = self._check
        return f"{check.adapter.name}/{check.claim.role}/{check.claim.label}/{check.adapter.dtype}/{check.scenario}"

    def __call__(self) -> None:
        """Run the check; end the test as its verdict says."""
        __tracebackhide__ = True
        result = self._run()
        text = "\n".join(lines_of(result, self._check.adapter.source))
        if result.verdict is Verdict.PASS:
            return
        if result.known_failure is not None:
            pytest.xfail(f"known failure ({result.verdict.value}): {result.known_failure}")
        if result.verdict is Verdict.VACUOUS and not self._strict:
            pytest.skip(f"vacuous: {result.message}")
        if result.verdict is Verdict.INACCURATE and not self._strict:
            pytest.xfail(f"inaccurate: {result.message}")
        if self._output:
            text += f"\nit printed:\n{self._output}"
        # Also where --runxfail made nothing of the lines above.
        pytest.fail(f"{result.verdict.value}: {result.id}\n{text}", pytrace=False)

    def _run(self) -> CheckResult:
        __tracebackhide__ = True
        check, plan = self._check, self._plan
        try:
            result, self._seconds, self._output = self._run_check(check)
        except UnusableError as error:
            pytest.fail(f"unusable: {error}", pytrace=False)
        self._earlier[result.id] = result
        if check.adapter.known_failures:
            # The last of the checks that a known failure names finds out that it is gone.
            names = all_checks_that_run(check.adapter, plan)
            result = without_stale(check.adapter.known_failures, self._earlier, names)[result.id]
        self._result = result
        return result

    def _found(self) -> CheckResult | None:
        if self._result is None and self.why_not:
            return result_of(self._check, Verdict.NOT_PROVIDED, self.why_not, [])
        return self._result

    def properties(self) -> Iterator[tuple[str, str]]:
        """Yield what JUnit XML says of the test."""
        found = self._found()
        yield "afi-check", self._check.id
        if found is None:
            return
        yield "afi-verdict", found.verdict.value
        if found.worst_error is not None:
            yield "afi-worst-error", f"{found.worst_error:.4g}"
            yield "afi-limit", f"{found.limit:g}"
        for example in (found.simplest, found.worst):
            if example is not None and example.id:
                yield "afi-case", example.id
                break

    def as_json(self) -> str | None:
        """Return everything found as text; ``None`` where the test did not get as far."""
        found, adapter = self._found(), self._check.adapter
        if found is None:
            return None
        of_adapter = {name: getattr(adapter, name) for name in ("name", "backend", "dtype", "device", "source")}
        output = "" if found.verdict is Verdict.PASS else self._output
        parts = {"position": self.position, "seconds": self._seconds, "output": output, "adapter": of_adapter}
        return json.dumps(parts | {"check": dataclasses.asdict(found)})


class Collected:
    """What the tests of a session found."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Any]] = {}
        self._page: Path | None = None

    def add(self, found: str) -> None:
        """Add what :meth:`CheckTest.as_json` returned; a test that ran again replaces what it found before."""
        entry = json.loads(found)
        self._found[entry["check"]["id"]] = entry

    def write(self, config: pytest.Config, folder: Path) -> None:
        """Write the report of everything into ``folder``.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        self._page = Report(self._results(config)).write(folder)

    def _results(self, config: pytest.Config) -> Results:
        entries = sorted(self._found.values(), key=lambda entry: entry["position"])
        adapters = {(entry["adapter"]["name"], entry["adapter"]["dtype"]): entry["adapter"] for entry in entries}
        checks: dict[tuple[str, str], list[CheckResult]] = {key: [] for key in adapters}
        for entry in entries:
            checks[entry["adapter"]["name"], entry["adapter"]["dtype"]].append(read_check(entry["check"]))
        processes = config.getoption("numprocesses", None) or 1
        seconds = {entry["check"]["id"]: entry["seconds"] for entry in entries if entry["seconds"]}
        here = {"processes": str(processes), "date": datetime.date.today().isoformat(), "pytest": pytest.__version__}
        return Results(
            version=environment()["afi-verify"],
            profile=config.getoption("--afi-profile"),
            seed=config.getoption("--afi-seed"),
            strict=config.getoption("--afi-strict"),
            adapters=tuple(AdapterResult(**adapters[key], checks=tuple(found)) for key, found in checks.items()),
            environment=environment() | here,
            seconds=seconds | {"total": sum(seconds.values())},
            output={entry["check"]["id"]: entry["output"] for entry in entries if entry["output"]},
        )

    def lines(self) -> Iterator[str]:
        """Yield the sum of what ran and what did not, and where the report is."""
        counts = count_verdicts(read_check(entry["check"]) for entry in self._found.values())
        planned = counts.pop("planned")
        yield f"planned {planned} = " + " + ".join(f"{count} {verdict}" for verdict, count in counts.items())
        if self._page is not None:
            yield f"report: {self._page}"


def make_tests(
    given: Sequence[Given],
    options: Mapping[str, Any],
    config: pytest.Config,
    module: types.ModuleType,
) -> list[CheckTest]:
    """Return a test for every check that is planned, whether or not the adapters provide its role.

    Raises
    ------
    UnusableError
        If an option or the data are unusable, or two adapters have the same name and dtype.
    """
    plan = make_plan(
        profile=config.getoption("--afi-profile"),
        seed=config.getoption("--afi-seed"),
        today=datetime.date.today(),
        **options,
    )
    limits = limits_of(plan.profile.name, 1, config.getoption(TIMEOUT), config.getoption("--afi-max-memory"), "--afi-")
    adapters = _look_into_files(given, limits, config, module)
    require_distinct(adapters)
    for adapter in adapters:
        if not adapter.source and _holds(module, adapter):
            # The command that replays a case, and the scripts, find it there.
            adapter.source = os.path.relpath(str(module.__file__), config.invocation_params.dir)
    stderr = config.stash.get(STDERR, None)
    here: Callable[[Check], Ran] = functools.partial(ran_here, plan=plan, seconds=limits.seconds, stderr=stderr)
    run = Isolated(plan, adapters, limits, here, always=config.getoption("--afi-isolation"))
    config.add_cleanup(run.close)
    tests = []
    for adapter in adapters:
        earlier: dict[str, CheckResult] = {}
        strict = config.getoption("--afi-strict")
        tests += [CheckTest(check, plan, strict, earlier, run) for check in planned_checks(adapter, plan)]
    return tests


def _look_into_files(
    given: Sequence[Given], limits: Limits, config: pytest.Config, module: types.ModuleType
) -> list[Adapter]:
    """Return the adapters, those of files by what a worker process finds in them: this one does not import them."""
    adapters: list[Adapter] = []
    for item in given:
        if isinstance(item, Adapter):
            adapters.append(item)
            continue
        path = os.path.relpath(Path(str(module.__file__)).parent / item, config.invocation_params.dir)
        for found in scout([path], limits, 1):
            if found.problem:
                raise UnusableError(found.problem + (f"\nit printed:\n{found.output}" if found.output else ""))
            adapters += found.adapters
    return adapters


def _holds(module: types.ModuleType, adapter: Adapter) -> bool:
    values = list(vars(module).values())
    return any(value is adapter or (isinstance(value, (list, tuple)) and adapter in value) for value in values)
