"""What ``afi-verify audit`` shows in a terminal or a pipe."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import rich.console
import rich.progress
import rich.table
import rich.text

from afi_properties.audit import Entry, Verdict
from afi_verify.audit.run import is_confirmed

_STYLES = {
    Verdict.HOLDS: "green",
    Verdict.CORRECTED: "yellow",
    Verdict.FALSE: "bold red",
    Verdict.MEASURED: "cyan",
    Verdict.NOT_TESTABLE: "dim",
    Verdict.UNSUPPORTED: "bold magenta",
}


@contextlib.contextmanager
def show_progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on standard error in a terminal, and nothing elsewhere."""
    console = rich.console.Console(stderr=True)
    bar = rich.progress.Progress(console=console, transient=True, disable=quiet or not console.is_terminal)
    with bar:
        task = bar.add_task("audit")

        def listen(label: str, done: int, total: int) -> None:
            bar.update(task, description=label, completed=done, total=total)

        yield listen


def print_list(parts: dict[str, tuple[Entry, ...]]) -> None:
    """Print the labels and titles of the entries."""
    console = rich.console.Console(highlight=False, markup=False, soft_wrap=True)
    for part, entries in parts.items():
        console.print(part)
        for entry in entries:
            console.print(f"  {entry.label}: {entry.title}")


def print_audit(document: dict[str, Any]) -> None:
    """Print a line per entry, the bounds, and what it comes to."""
    console = rich.console.Console(highlight=False, markup=False, soft_wrap=True)
    table = rich.table.Table("label", "statement", "verdict", box=None, pad_edge=False)
    for row in document["entries"]:
        verdict = rich.text.Text(row["verdict"], _STYLES[Verdict(row["verdict"])])
        if not row["as_expected"]:
            verdict += rich.text.Text(f", but catalogued as {row['expected']}", "bold magenta")
        table.add_row(row["label"], row["title"], verdict)
    console.print(table)
    for name, tally in document["bounds"].items():
        console.print(
            f"bound {name}: {tally['violations']:,} of {tally['cases']:,} cases violate it; tightness"
            f" {tally['tightness']:.6g}"
        )
    counts = ", ".join(f"{number} {verdict}" for verdict, number in document["counts"].items())
    word = "as catalogued" if is_confirmed(document) else "NOT as catalogued"
    console.print(f"{len(document['entries'])} statements: {counts}; {word}")
