"""What ``afi-verify bench accuracy`` shows in a terminal and in a pipe."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import rich.console
import rich.progress
import rich.table

from afi_verify.bench.accuracy.page import LABELS, misses, number
from afi_verify.bench.accuracy.run import Progress


@contextlib.contextmanager
def show_progress(*, quiet: bool) -> Iterator[Progress]:
    """Show a bar on standard error while problems are measured, if that is a terminal."""
    console = rich.console.Console(stderr=True, highlight=False)
    bar = rich.progress.Progress(
        rich.progress.MofNCompleteColumn(),
        rich.progress.BarColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=None)

        def listen(done: int, planned: int, family: str) -> None:
            bar.update(task, completed=done, total=planned, description=family)

        yield listen


def print_table(document: Mapping[str, Any]) -> None:
    """Print the worst multiple of each family and quantity, and what misses."""
    console = rich.console.Console(highlight=False, markup=False, soft_wrap=True)
    for key, title in (
        ("table", "error in multiples of the attainable"),
        ("estimates", "true error over stated error"),
    ):
        rows = document[key]
        if not rows:
            continue
        table = rich.table.Table("family", *(LABELS[q] for q in document["quantities"]), title=title, box=None)
        worst = {(row["family"], row["quantity"]): number(row["multiple"]) for row in rows}
        for family in dict.fromkeys(row["family"] for row in rows):
            table.add_row(family, *(worst.get((family, q), "-") for q in document["quantities"]))
        # Wide enough for the whole table, also where a pipe has no width.
        width = max(console.width, console.measure(table, options=console.options.update(width=400)).maximum)
        console.print(table, width=width, no_wrap=True, crop=False)
    for line in misses(document):
        console.print(f"misses: {line}")
    console.print(f"{document['compared']} answers compared in {document['seconds']} s")
