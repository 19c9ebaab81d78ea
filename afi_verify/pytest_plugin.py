"""The pytest plugin: checks as tests.

Whatever is needed to run checks is imported when a test asks for them: pytest loads this module in every run.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from afi_properties.problem import Array
    from afi_verify.adapter import Adapter
    from afi_verify.pytest_checks import CheckTest, Collected

MARK = "afi_checks"
TIMEOUT = "--afi-timeout"
STDERR = pytest.StashKey[int]()
"""The file descriptor of standard error that pytest does not capture, for the last words of the process."""

_ARGUMENT = "check"


def parametrize_with_checks(
    *adapters: "Adapter | str | os.PathLike[str]",
    scenarios: Sequence[str] = (),
    roles: Sequence[str] = (),
    data: "Array | None" = None,
    weights: "Array | None" = None,
) -> Callable[[Any], Any]:
    """Make a test of every check of some adapters: decorates ``def test_afi(check): check()``.

    Parameters
    ----------
    adapters
        What to verify: adapters, or paths of files that make some, from the folder of the test file. Such a file is
        imported and run in worker processes alone, never in that of pytest.
    scenarios, roles, data, weights
        As in :func:`afi_verify.verify`. The profile and the seed are options of pytest.

    Raises
    ------
    UnusableError
        If there is no adapter.

    Notes
    -----
    ``pass`` passes; ``fail``, ``error`` and ``undecided`` fail; ``not provided`` and ``vacuous`` are skipped, with the
    reason; ``inaccurate`` and known failures are expected failures (xfail). With ``--afi-strict`` ``vacuous`` and
    ``inaccurate`` fail, too. Nothing but ``pass`` is ever green.
    """
    if not adapters:
        from afi_verify.errors import UnusableError

        raise UnusableError("There is nothing to verify: pass at least one Adapter.")
    options = {"scenarios": scenarios, "roles": roles, "data": data, "weights": weights}
    return pytest.mark.afi_checks.with_args(*adapters, **options)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("afi-verify", "checks of code for the Fisher information (afi-verify)")
    group.addoption("--afi-profile", default="quick", metavar="NAME", help="how many cases: quick, ci or deep")
    group.addoption("--afi-seed", default=0, type=int, metavar="N", help="seed of the drawn cases (0)")
    group.addoption("--afi-strict", action="store_true", help="inaccurate and vacuous fail, too")
    group.addoption(
        "--afi-isolation", action="store_true", help="run checks in a worker process, with limits of time and memory"
    )
    group.addoption(
        TIMEOUT,
        type=float,
        metavar="SECONDS",
        help="stop a check that takes longer; 300 (quick), 1200 (ci), 7200 (deep)",
    )
    group.addoption(
        "--afi-max-memory",
        metavar="SIZE",
        help="stop a worker process that uses more, such as 2G; 3/4 of this machine; with --afi-isolation",
    )
    group.addoption("--afi-report", type=Path, metavar="DIR", help="write results.json and index.html into this folder")


def pytest_configure(config: pytest.Config) -> None:
    """Say what our marker is, and find out before the work whether the report can be written."""
    config.addinivalue_line("markers", f"{MARK}(*adapters): set by afi_verify.parametrize_with_checks")
    config.pluginmanager.register(_Collector(), "afi-verify-collector")
    with contextlib.suppress(AttributeError, OSError, ValueError):  # there may be no such file
        copy = os.dup(sys.__stderr__.fileno())  # type: ignore[union-attr]
        config.stash[STDERR] = copy
        config.add_cleanup(functools.partial(os.close, copy))
    folder = config.getoption("--afi-report")
    if folder is not None:
        from afi_verify.errors import UnusableError
        from afi_verify.session import require_writable

        try:
            require_writable(folder, "--afi-report")
        except UnusableError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every check."""
    mark = metafunc.definition.get_closest_marker(MARK)
    if mark is None:
        return
    if _ARGUMENT not in metafunc.fixturenames:
        pytest.fail(
            f"afi_verify.parametrize_with_checks is for a function of {_ARGUMENT!r}: "
            f"def {metafunc.function.__name__}({_ARGUMENT}): {_ARGUMENT}()",
            pytrace=False,
        )
    from afi_verify.errors import UnusableError
    from afi_verify.pytest_checks import make_tests

    try:
        tests = make_tests(mark.args, mark.kwargs, metafunc.config, metafunc.module)
    except UnusableError as error:
        pytest.fail(str(error), pytrace=False)
    metafunc.parametrize(_ARGUMENT, [_parameter(test) for test in tests])


def _parameter(test: "CheckTest") -> Any:
    marks = [pytest.mark.skip(reason=f"not provided: {test.why_not}")] if test.why_not else []
    return pytest.param(test, id=test.name, marks=marks)


def _test_of(item: pytest.Item) -> "CheckTest | None":
    if item.get_closest_marker(MARK) is None:
        return None
    test: CheckTest = item.callspec.params[_ARGUMENT]  # type: ignore[attr-defined]
    return test


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each check its number, so that a report lists them in this order wherever they run."""
    for position, item in enumerate(items):
        test = _test_of(item)
        if test is not None:
            test.position = position


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the check found: as properties for JUnit XML, and whole for the process that writes the report."""
    test = _test_of(item)
    if test is None:
        return (yield)
    skipped = call.when == "setup" and bool(test.why_not)
    if skipped or call.when == "call":
        item.user_properties.extend(test.properties())
    report = yield
    if skipped or call.when == "call":
        report.afi_verify = test.as_json()  # type: ignore[attr-defined]  # survives the way from a process of xdist
    return report


class _Collector:
    """Puts together what the tests of a session found, wherever they ran."""

    def __init__(self) -> None:
        self._collected: Collected | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what a check found."""
        found = getattr(report, "afi_verify", None)
        if found is not None:
            from afi_verify.pytest_checks import Collected

            self._collected = self._collected or Collected()
            self._collected.add(found)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report, in the process that has everything."""
        folder = session.config.getoption("--afi-report")
        if self._collected is None or folder is None or hasattr(session.config, "workerinput"):
            return
        try:
            self._collected.write(session.config, folder)
        except OSError as error:
            pytest.exit(f"--afi-report {folder}: the report cannot be written ({error.strerror}).", returncode=2)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say the sum of what ran and what did not, and where the report is."""
        if self._collected is not None:
            terminalreporter.section("afi-verify")
            for line in self._collected.lines():
                terminalreporter.line(line)
