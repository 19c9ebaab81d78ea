"""What the command line shows: a live display in a terminal, plain lines in a pipe."""

import contextlib
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import rich.console
import rich.progress
import rich.table
import rich.text

from afi_properties.claim import AnyClaim
from afi_properties.relation import Relation
from afi_verify.planning import Check
from afi_verify.results import CheckResult, Results, Verdict, count_verdicts
from afi_verify.runner import Listener
from afi_verify.telling import lines_of

_STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold red",
    Verdict.INACCURATE: "yellow",
    Verdict.UNDECIDED: "magenta",
    Verdict.VACUOUS: "magenta",
    Verdict.NOT_PROVIDED: "dim",
}


class Console:
    """Writes findings to standard output and problems to standard error.

    Names and messages come from the code under test: they are printed as text, never as markup.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._out = rich.console.Console(quiet=quiet, highlight=False, markup=False, soft_wrap=True)
        self._err = rich.console.Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

    def problem(self, message: str, output: str = "") -> None:
        """Show one thing that is unusable, and what it printed."""
        self._err.print(rich.text.Text("unusable: ", style="bold red") + rich.text.Text(message))
        if output:
            self._err.print("  it printed:")
            self._err.print(_quoted(output))

    def note(self, message: str) -> None:
        """Show something that is good to know."""
        self._err.print(rich.text.Text("note: ", style="bold") + rich.text.Text(message))

    @contextlib.contextmanager
    def progress(self, planned: int) -> Iterator[Listener]:
        """Show a bar in a terminal while checks run; in any case a line for each verdict."""
        bar = rich.progress.Progress(
            rich.progress.SpinnerColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.BarColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("{task.description}", markup=False),
            console=self._out,
            transient=True,
            disable=self._quiet or not self._out.is_terminal,
        )
        with bar:
            task = bar.add_task("", total=planned)

            def listen(check: Check, result: CheckResult | None) -> None:
                if result is None:
                    bar.update(task, description=check.id)
                    return
                bar.advance(task)
                if result.verdict is not Verdict.NOT_PROVIDED:
                    bar.console.print(_line(result))

            yield listen

    def summary(self, results: Results) -> None:
        """Show what went wrong, then the sum of what ran and what did not."""
        for source, check in ((adapter.source, check) for adapter in results.adapters for check in adapter.checks):
            if check.verdict in (Verdict.PASS, Verdict.NOT_PROVIDED):
                continue
            self._out.print()
            self._out.print(rich.text.Text(f"{check.verdict.value}: {check.id}", style=_STYLES[check.verdict]))
            for line in lines_of(check, source):
                self._out.print(f"  {line}")
            if check.id in results.output:
                self._out.print("  it printed:")
                self._out.print(_quoted(results.output[check.id]))
        if results.checks:
            self._out.print()
        for adapter in results.adapters:
            self._out.print(f"{adapter.name} ({adapter.backend}, {adapter.dtype}): {_sum(adapter.checks)}")
        if len(results.adapters) > 1:
            self._out.print(f"all: {_sum(results.checks)}")

    def written(self, page: Path) -> None:
        """Say where the report is, and the replay scripts where there are any."""
        self._out.print(f"report: {page}")
        scripts = page.parent / "replay"
        if scripts.is_dir() and any(scripts.iterdir()):
            self._out.print(f"replay scripts: {scripts}")

    def claims(self, claims: Sequence[AnyClaim], relations: Sequence[Relation]) -> None:
        """Show the catalogue."""
        role = ""
        for claim in claims:
            if claim.role != role:
                role = claim.role
                self._out.print()
                self._out.print(rich.text.Text(role, style="bold"))
            self._out.print(f"  {claim.label} ({claim.family}): {claim.statement}")
            if claim.printed is not None:
                self._out.print(f"    the paper prints: {claim.printed}")
            self._out.print(f"    parameters: {', '.join(sorted(claim.parameters))}")
        self._out.print()
        self._out.print(rich.text.Text("relations, which need no oracle", style="bold"))
        for relation in relations:
            self._out.print(f"  {relation.label}: {relation.statement}")
            self._out.print(f"    ties together: {' or '.join(' and '.join(roles) for roles in relation.roles)}")


def _quoted(output: str) -> rich.text.Text:
    return rich.text.Text(textwrap.indent(output, "  | "), style="dim")


def _line(result: CheckResult) -> rich.text.Text:
    line = rich.text.Text(f"{result.verdict.value:<12}", style=_STYLES[result.verdict])
    line.append(result.id, style="default")
    if result.worst_error is not None:
        line.append(f"  worst error {result.worst_error:.2g} of {result.limit:g}", style="dim")
    if result.known_failure is not None:
        line.append("  known failure", style="dim")
    return line


def _sum(checks: Sequence[CheckResult]) -> str:
    counts = count_verdicts(checks)
    planned = counts.pop("planned")
    known = sum(check.known_failure is not None for check in checks)
    text = f"planned {planned} = " + " + ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"{text}; known failures among them: {known}" if known else text
