"""What the templates are handed: the results, arranged as the page shows them."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

from afi_verify.report import charts, overview
from afi_verify.report.history import History, RatchetView
from afi_verify.report.places import anchor_of, title_of
from afi_verify.results import AdapterResult, CheckResult, Counterexample, Results, Verdict, count_verdicts
from afi_verify.telling import replay_command

MOST_LISTED = 1000
"""Checks that ran and have an entry of their own; a page with more of them lists `MOST_DETAILED` and a table."""

MOST_PLANNED = 6000
"""Planned checks that fit the matrix."""

MOST_DETAILED = 300
"""Entries of a page that has a table of all checks."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A counterexample under its title; its script is packed under ``file_name``."""

    title: str
    case: Counterexample
    file_name: str
    anchor: str
    command: str  # replays it by its id; empty where it has none


@dataclasses.dataclass(frozen=True)
class CheckView:
    """One check and its place in the page."""

    anchor: str
    adapter: str
    check: CheckResult
    bins: int
    plot: str  # numbers, as `charts.plot_data` writes them; empty where there is nothing to plot
    sees: str  # what the plot shows, in words
    wide: int  # cases with a margin above 10
    examples: tuple[Example, ...]
    seconds: float | None
    output: str  # what it printed; kept of checks that did not pass
    before: CheckResult | None  # in the run that this one is compared with
    opened: bool


@dataclasses.dataclass(frozen=True)
class Missing:
    """The checks of one role that an adapter does not provide."""

    role: str
    checks: str
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class AdapterView:
    """One adapter with its sum and its checks, those that ran and those that did not."""

    anchor: str
    title: str
    adapter: AdapterResult
    sum: dict[str, int]
    checks: tuple[CheckView, ...]
    missing: tuple[Missing, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the matrix: one claim for one role, over all adapters, with the place of each check."""

    role: str
    claim: str
    scenario: str
    cells: tuple[tuple[tuple[str, CheckResult], ...], ...]

    @property
    def name(self) -> str:
        """The row in a word, also in the address of the page."""
        return f"{self.role}/{self.claim}/{self.scenario}"


@dataclasses.dataclass(frozen=True)
class Tally:
    """How many checks of an adapter or a role have which verdict."""

    name: str
    sum: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Page:
    """Everything the templates read."""

    results: Results
    sum: dict[str, int]
    headline: overview.Headline
    cards: tuple[overview.Card, ...]
    steps: tuple[CheckView, ...]
    ranked: tuple[CheckView, ...]  # all that have an entry, the most urgent first
    adapters: tuple[AdapterView, ...]  # empty where the page has a table of all checks
    matrix: tuple[tuple[str, tuple[Row, ...]], ...]  # by role
    sides: dict[str, tuple[str, ...]]  # rows of which several adapters have a plot, and the places of those
    tallies: tuple[tuple[Tally, ...], tuple[Tally, ...]]  # by adapter and by role, where there is no matrix
    table: dict[str, Any] | None
    roles: tuple[str, ...]
    titles: tuple[str, ...]
    history: History | None
    ratchet: RatchetView | None


def fits(results: Results) -> bool:
    """Return whether there are few enough checks for an entry each."""
    checks = results.checks
    ran = sum(check.verdict is not Verdict.NOT_PROVIDED for check in checks)
    return ran <= MOST_LISTED and len(checks) <= MOST_PLANNED


def arrange(
    results: Results, *, paged: bool, history: History | None = None, ratchet: RatchetView | None = None
) -> Page:
    """Arrange the results for the page: an entry for each check, or (paged) for the most urgent, and a table of all."""
    places = [(a, c) for a, adapter in enumerate(results.adapters) for c in range(len(adapter.checks))]
    checks = results.checks
    ran = [index for index, check in enumerate(checks) if check.verdict is not Verdict.NOT_PROVIDED]
    order = sorted(ran, key=lambda index: overview.rank(checks[index]))[: MOST_DETAILED if paged else None]
    steps = overview.next_steps(checks)
    before = history.before if history is not None else {}
    views = {
        index: _view_check(*places[index], checks[index], results, index in steps, before.get(checks[index].id))
        for index in {*order, *steps}
    }
    by_place = {places[index]: view for index, view in views.items()}
    rows = () if paged else tuple(_matrix(results.adapters))
    return Page(
        results=results,
        sum=count_verdicts(checks),
        headline=overview.headline(results),
        cards=overview.cards(results, [(anchor_of(*places[index]), checks[index]) for index in steps[:1]]),
        steps=tuple(views[index] for index in steps),
        ranked=tuple(views[index] for index in order),
        adapters=tuple(_view_adapter(a, adapter, by_place) for a, adapter in enumerate(results.adapters) if not paged),
        matrix=tuple((role, tuple(r for r in rows if r.role == role)) for role in dict.fromkeys(r.role for r in rows)),
        sides=dict(_sides(rows)),
        tallies=(_tallies(_titles(results), places, checks), _role_tallies(checks)) if paged else ((), ()),
        table=_table(results) if paged else None,
        roles=tuple(dict.fromkeys(check.role for check in checks)),
        titles=tuple(dict.fromkeys(_titles(results))),
        history=history,
        ratchet=ratchet,
    )


def _titles(results: Results) -> list[str]:
    return [title_of(adapter) for adapter in results.adapters]


def _view_adapter(number: int, adapter: AdapterResult, views: dict[tuple[int, int], CheckView]) -> AdapterView:
    places = [(number, index) for index in range(len(adapter.checks))]
    return AdapterView(
        anchor=f"a{number + 1}",
        title=title_of(adapter),
        adapter=adapter,
        sum=count_verdicts(adapter.checks),
        checks=tuple(views[place] for place in places if place in views),
        missing=tuple(_missing(adapter.checks)),
    )


def _missing(checks: Sequence[CheckResult]) -> Iterator[Missing]:
    absent = [check for check in checks if check.verdict is Verdict.NOT_PROVIDED]
    for role in dict.fromkeys(check.role for check in absent):
        same = [check for check in absent if check.role == role]
        yield Missing(
            role=role,
            checks=", ".join(f"{check.claim} {check.scenario}" for check in same),
            reasons=tuple(dict.fromkeys(check.message for check in same)),
        )


def _view_check(
    number: int, index: int, check: CheckResult, results: Results, opened: bool, before: CheckResult | None
) -> CheckView:
    adapter, anchor = results.adapters[number], anchor_of(number, index)
    bins = charts.bins_of(check)
    return CheckView(
        anchor=anchor,
        adapter=title_of(adapter),
        check=check,
        bins=len(bins),
        plot=charts.plot_data(check) if bins else "",
        sees=charts.describe(bins, check.limit) if bins else "",
        wide=sum(row.wide for row in check.margins_by_dimension),
        examples=tuple(_examples(anchor, check, adapter.source)),
        seconds=results.seconds.get(check.id),
        output=results.output.get(check.id, ""),
        before=before,
        opened=opened,
    )


def _examples(anchor: str, check: CheckResult, source: str) -> Iterator[Example]:
    cases = [("Simplest counterexample", check.simplest), ("Worst counterexample", check.worst)]
    if check.simplest is not None and check.simplest == check.worst:
        cases = [("Simplest counterexample, also the worst found", check.simplest)]
    for title, case in cases:
        if case is not None:
            here = f"{anchor}-{title.split()[0].lower()}"
            command = replay_command(check, case, source)
            yield Example(title=title, case=case, file_name=f"replay-{here}.py", anchor=here, command=command)


def _matrix(adapters: Sequence[AdapterResult]) -> Iterator[Row]:
    found: dict[tuple[str, str, str], list[list[tuple[str, CheckResult]]]] = {}
    for a, adapter in enumerate(adapters):
        for c, check in enumerate(adapter.checks):
            cells = found.setdefault((check.role, check.claim, check.scenario), [[] for _ in adapters])
            cells[a].append((anchor_of(a, c), check))
    for (role, claim, scenario), cells in found.items():
        yield Row(role=role, claim=claim, scenario=scenario, cells=tuple(tuple(cell) for cell in cells))


def _sides(rows: Sequence[Row]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for row in rows:
        plotted = tuple(anchor for cell in row.cells for anchor, check in cell if check.points)
        if len(plotted) > 1:
            yield row.name, plotted


def _tallies(
    titles: Sequence[str], places: Sequence[tuple[int, int]], checks: Sequence[CheckResult]
) -> tuple[Tally, ...]:
    return _count((titles[a] for a, _ in places), checks)


def _role_tallies(checks: Sequence[CheckResult]) -> tuple[Tally, ...]:
    return _count((check.role for check in checks), checks)


def _count(names: Iterator[str], checks: Sequence[CheckResult]) -> tuple[Tally, ...]:
    groups: dict[str, list[CheckResult]] = {}
    for name, check in zip(names, checks, strict=True):
        groups.setdefault(name, []).append(check)
    tallies = [Tally(name, count_verdicts(group)) for name, group in groups.items()]
    return tuple(sorted(tallies, key=lambda tally: [-tally.sum[verdict] for verdict in overview.URGENCY]))


def _table(results: Results) -> dict[str, Any]:
    """Return all checks as columns of numbers that point into lists of names: what the script pages through."""
    names: dict[str, dict[str, int]] = {key: {} for key in ("adapter", "role", "claim", "scenario", "verdict")}
    columns: dict[str, list[Any]] = {key: [] for key in (*names, "place", "worst")}
    for a, adapter in enumerate(results.adapters):
        for c, check in enumerate(adapter.checks):
            row = (title_of(adapter), check.role, check.claim, check.scenario, check.verdict.value)
            for key, text in zip(names, row, strict=True):
                columns[key].append(names[key].setdefault(text, len(names[key])))
            columns["place"].append(anchor_of(a, c))
            columns["worst"].append(_worst(check.worst_error))
    return {"names": {key: list(found) for key, found in names.items()}, "columns": columns}


def _worst(value: float | None) -> float | str | None:
    if value is None:
        return None
    return float(f"{value:.3g}") if math.isfinite(value) else str(value)
