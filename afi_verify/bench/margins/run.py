"""The table of margins: cell after cell, each kept in a file as it is done, so that an interrupted run goes on."""

import concurrent.futures
import dataclasses
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from afi_properties.vacuity import DIMENSIONS, WIDE, MarginSummary, summarise
from afi_verify.bench.margins.measure import DTYPES, Cell, cells_of, margins_in

SCHEMA = "afi-verify/margins/1"

Progress = Callable[[int, int, str], None]
"""Called with how many cells are done, how many there are, and the claim of the last one."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A cell and what was found there."""

    cell: Cell
    margins: MarginSummary


def run_margins(
    claims: Sequence[str] = (),
    *,
    dtypes: Sequence[str] = DTYPES,
    cases: int = 60,
    seed: int = 0,
    jobs: int = 1,
    progress: Progress | None = None,
    resume: Path | None = None,
) -> dict[str, Any]:
    """Measure the margins of every claim and return the table, ready for JSON.

    Parameters
    ----------
    claims
        Roles and labels of relations, or parts of them; all by default.
    dtypes
        Precisions: ``"float32"``, whose margins are the narrower ones, ``"float64"``, or both.
    cases
        At least so many in each cell; fewer where a case is costly.
    seed
        Of the draws.
    jobs
        Processes; 1 works in this one.
    progress
        Told of each cell that is done.
    resume
        A file of finished cells: those in it are taken from it, and others added as they finish.

    Raises
    ------
    ValueError
        If no claim's name holds one of ``claims``, or the file to resume from is of another kind.
    OSError
        If that file cannot be read or written.
    """
    every = [cell for cell in cells_of(cases, seed) if cell.dtype in ("", *dtypes)]
    for name in claims:
        if not any(name in cell.claim for cell in every):
            known = ", ".join(dict.fromkeys(cell.claim for cell in every))
            raise ValueError(f"there is no claim {name!r}; there are: {known}.")
    cells = [cell for cell in every if not claims or any(name in cell.claim for name in claims)]
    found = {cell: row for cell, row in (_read(resume) if resume is not None else {}).items() if cell in set(cells)}
    for row in _measured([cell for cell in cells if cell not in found], jobs):
        found[row.cell] = row
        if resume is not None:
            with resume.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(_record(row)) + "\n")
        if progress is not None:
            progress(len(found), len(cells), row.cell.claim)
    return {
        "schema": SCHEMA,
        "wide": WIDE,
        "dimensions": list(DIMENSIONS),
        "cases": cases,
        "dtypes": list(dtypes),
        "seed": seed,
        "rows": [_record(found[cell]) for cell in cells],
    }


def measure_cell(cell: Cell) -> Row:
    """Return the summary of a cell's cases."""
    (summary,) = summarise(margins_in(cell))
    return Row(cell, summary)


def _measured(cells: Sequence[Cell], jobs: int) -> Iterator[Row]:
    if jobs == 1:
        yield from map(measure_cell, cells)
        return
    # Spawned, because BLAS has threads already.
    pool = concurrent.futures.ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        for future in concurrent.futures.as_completed([pool.submit(measure_cell, cell) for cell in cells]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _record(row: Row) -> dict[str, Any]:
    """One flat record; ``cases`` is how many were looked at, ``asked`` how many were wanted."""
    cell, margins = dataclasses.asdict(row.cell), dataclasses.asdict(row.margins)
    return {**cell, "asked": cell["cases"], **margins}


def _read(path: Path) -> dict[Cell, Row]:
    rows = {}
    text = path.read_text("utf-8") if path.exists() else ""
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break  # it was being written when the run was interrupted
        try:
            entry = json.loads(line)
            asked = entry.pop("asked")
            names = [field.name for field in dataclasses.fields(Cell)]
            cell = Cell(**{**{name: entry[name] for name in names}, "cases": asked})
            summary = MarginSummary(**{field.name: entry[field.name] for field in dataclasses.fields(MarginSummary)})
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{path}, line {number}, is no finished cell: take another file.") from None
        rows[cell] = Row(cell, summary)
    return rows
