"""What the templates are handed: the results, arranged as the page shows them."""

import dataclasses
import math
import shlex
from collections.abc import Iterator
from typing import Any

from afi_verify.report import charts, overview
from afi_verify.report.thinning import Bin, Grid, make_grid, thin
from afi_verify.results import AdapterResult, CheckResult, Counterexample, Results, count_verdicts

_OPEN = frozenset(overview.URGENCY[:-1])


@dataclasses.dataclass(frozen=True)
class Detail:
    """How much a page shows, so that a large run still makes a small file."""

    bins: int  # in one plot at most
    scripts: int  # characters of replay scripts that stand in the page as text; the rest is compressed


@dataclasses.dataclass(frozen=True)
class Example:
    """A counterexample under its title, with a script that may have been packed away."""

    title: str
    case: Counterexample
    file_name: str
    packed: bool
    command: str  # replays it by its id; empty where it has none


@dataclasses.dataclass(frozen=True)
class CheckView:
    """One check, its place in the page and its thinned points."""

    anchor: str
    adapter: str
    check: CheckResult
    bins: tuple[Bin, ...]
    plotted: bool
    sees: str  # what the plot shows, in words
    wide: int  # cases with a margin above 10
    examples: tuple[Example, ...]
    seconds: float | None
    opened: bool


@dataclasses.dataclass(frozen=True)
class AdapterView:
    """One adapter with its sum and its checks."""

    anchor: str
    title: str
    adapter: AdapterResult
    sum: dict[str, int]
    checks: tuple[CheckView, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the matrix: one claim for one role, over all adapters."""

    role: str
    claim: str
    scenario: str
    cells: tuple[tuple[CheckView, ...], ...]


@dataclasses.dataclass(frozen=True)
class Page:
    """Everything the templates read."""

    results: Results
    sum: dict[str, int]
    headline: overview.Headline
    accuracy: str
    steps: tuple[CheckView, ...]
    adapters: tuple[AdapterView, ...]
    matrix: tuple[Row, ...]
    charts: dict[str, Any]
    packed_scripts: dict[str, str]


def arrange(results: Results, detail: Detail) -> Page:
    """Arrange the results for the page, thinning points and packing scripts on the way."""
    grid = make_grid((point for check in results.checks for point in check.points), detail.bins)
    packing = _Packing(detail.scripts)
    adapters = tuple(
        _view_adapter(number, adapter, results, grid, packing)
        for number, adapter in enumerate(results.adapters, start=1)
    )
    checks = [check for adapter in adapters for check in adapter.checks]
    plotted = [view for view in checks if view.plotted]
    return Page(
        results=results,
        sum=count_verdicts(results.checks),
        headline=overview.headline(results),
        accuracy=overview.accuracy(results),
        steps=tuple(checks[index] for index in overview.next_steps(results.checks)),
        adapters=adapters,
        matrix=tuple(_matrix(adapters)),
        charts={
            "frame": charts.frame(),
            "x": [grid.start, grid.stop],
            "width": grid.width,
            "plots": {view.anchor: charts.chart(view.bins, view.check.limit) for view in plotted},
        },
        packed_scripts=packing.packed,
    )


class _Packing:
    """Decides which scripts stand in the page as text: the first ones, while there is room."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.packed: dict[str, str] = {}

    def is_packed(self, key: str, script: str) -> bool:
        if len(script) <= self.room:
            self.room -= len(script)
            return False
        self.packed[key] = script
        return True


def _view_adapter(number: int, adapter: AdapterResult, results: Results, grid: Grid, packing: _Packing) -> AdapterView:
    return AdapterView(
        anchor=f"a{number}",
        title=_title(adapter),
        adapter=adapter,
        sum=count_verdicts(adapter.checks),
        checks=tuple(
            _view_check(f"a{number}-c{index}", adapter, check, results, grid, packing)
            for index, check in enumerate(adapter.checks, start=1)
        ),
    )


def _title(adapter: AdapterResult) -> str:
    return f"{adapter.name} · {adapter.dtype}"


def _view_check(
    anchor: str, adapter: AdapterResult, check: CheckResult, results: Results, grid: Grid, packing: _Packing
) -> CheckView:
    bins = thin(check.points, grid)
    return CheckView(
        anchor=anchor,
        adapter=_title(adapter),
        check=check,
        bins=bins,
        plotted=any(math.isfinite(item.low) for item in bins),
        sees=charts.describe(bins, check.limit) if bins else "",
        wide=sum(row.wide for row in check.margins_by_dimension),
        examples=tuple(_examples(anchor, check, adapter.source, packing)),
        seconds=results.seconds.get(check.id),
        opened=check.verdict in _OPEN,
    )


def _examples(anchor: str, check: CheckResult, source: str, packing: _Packing) -> Iterator[Example]:
    cases = [("Simplest counterexample", check.simplest), ("Worst counterexample", check.worst)]
    if check.simplest is not None and check.simplest == check.worst:
        cases = [("Simplest counterexample, also the worst found", check.simplest)]
    for title, case in cases:
        if case is not None:
            name = f"replay-{anchor}-{title.split()[0].lower()}.py"
            packed = packing.is_packed(name, case.script)
            yield Example(title=title, case=case, file_name=name, packed=packed, command=_command(check, case, source))


def _command(check: CheckResult, case: Counterexample, source: str) -> str:
    file = source if source.endswith(".py") else "shipped"
    data = ["--data", "DATA.npy"] if check.scenario == "own-data" else []
    return shlex.join(["afi-verify", "replay", file, check.id, case.id, *data]) if case.id else ""


def _matrix(adapters: tuple[AdapterView, ...]) -> Iterator[Row]:
    keys = dict.fromkeys(
        (view.check.role, view.check.claim, view.check.scenario) for adapter in adapters for view in adapter.checks
    )
    for role, claim, scenario in keys:
        cells = tuple(
            tuple(
                view
                for view in adapter.checks
                if (view.check.role, view.check.claim, view.check.scenario) == (role, claim, scenario)
            )
            for adapter in adapters
        )
        yield Row(role=role, claim=claim, scenario=scenario, cells=cells)
