"""The page about margins, from the JSON of a run and nothing else."""

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from afi_verify.report.study import Cell, Section, Study, Table

Row = Mapping[str, Any]

JUDGED = ("oracle", "relation", "trajectory")
"""Kinds of claims whose margins are distances, of which ten times the limit is a wide one."""


def misses(document: Mapping[str, Any]) -> list[str]:
    """Return a line for each cell in which fewer than half of the cases have a wide margin."""
    return [
        f"{row['claim']}{_about(row)}, {row['family']}, {row['dtype'] or 'any precision'}, d={row['dimension']}: "
        f"{row['wide']} of {row['cases']}, hardest: {row['hardest']}"
        for row in document["rows"]
        if _missed(row)
    ]


def margins_study(document: Mapping[str, Any], command: str, environment: dict[str, str]) -> Study:
    """Arrange the document of :func:`~afi_verify.bench.margins.run.run_margins` as a page."""
    rows, bad = document["rows"], misses(document)
    judged = [row for row in rows if row["kind"] in JUDGED]
    worst = min((row["wide"] / row["cases"] for row in judged), default=0.0)
    answer = f"At least {worst:.0%} of the cases of each claim are far from every wrong formula"
    if bad:
        answer = f"In {len(bad)} of {len(judged)} cells fewer than half of the cases are far from every wrong formula"
    return Study(
        name="margins of the cases",
        answer=answer,
        tone="fail" if bad else "pass",
        lead=(
            f"Share of the cases, drawn as profile ci draws them, whose margin is above {document['wide']:g}: the "
            "nearest wrong formula of the claim's zoo is then that many times the limit away from the truth. "
            f"{sum(row['cases'] for row in judged)} cases in {len(judged)} cells, seed {document['seed']}, "
            f"in {' and '.join(document['dtypes'])}; half of the "
            "cases of every cell are wanted."
        ),
        sections=(
            _claims("Claims with an oracle", _of(rows, "oracle"), document["dimensions"], _ORACLE),
            _claims("Relations", _of(rows, "relation"), document["dimensions"], _RELATION),
            _claims("Trajectories", _of(rows, "trajectory"), document["dimensions"], _TRAJECTORY),
            _claims("Training", _of(rows, "training"), document["dimensions"], _TRAINING, "telling"),
            _hardest(judged),
        ),
        command=command,
        environment=environment,
    )


_ORACLE = (
    "A margin is a multiple of what passes: 16 times the error that rounding makes unavoidable in the precision. A "
    "dash: the claim is not checked there, because its answer has d² numbers."
)
_RELATION = (
    "The oracle answers in the implementation's place, then a wrong variant of it: most are wrong by 1 %. Of the sets "
    "of roles that a relation ties together the one with the fewest wide margins is shown; the numbers of each are in "
    "results.json. Relations ask many questions of a problem, so their problems are small: a dash means that none is "
    "drawn there. On data that nobody knows a margin depends on the implementation, and is shown in its own report."
)
_TRAJECTORY = (
    "A margin is a multiple of what cannot pass: twice the resolution of a limit, a thousandth of the claim's scale. "
    "Cases are the same numbers in every precision. A limit takes up to 512 steps, so cases are drawn in few "
    "dimensions, and those of adapters with an event_shape up to d=64."
)
_TRAINING = (
    "Here the share of cases with a margin above 1. The margin is the excess risk of a wrong target's optimum over the "
    "one that the test excludes, a tenth of what can be explained: no distance in units of rounding, and none that "
    "could be ten times as large, since a constant has ten. Stochastic traces have no list of wrong formulas: their "
    "test has a stated power against a bias of 1 % (page statistics)."
)


def _claims(title: str, rows: Sequence[Row], dimensions: Sequence[int], text: str, counted: str = "wide") -> Section:
    lines: dict[tuple[str, str, str], dict[int, Row]] = {}
    for row in rows:
        line = lines.setdefault((row["claim"], row["family"], row["dtype"]), {})
        dimension = row["dimension"]
        if dimension not in line or row[counted] / row["cases"] < line[dimension][counted] / line[dimension]["cases"]:
            line[dimension] = row
    table = Table(
        f"Share of the cases with a margin above {'10' if counted == 'wide' else '1'}.",
        ("claim", "data", "precision", *(f"d={d}" for d in dimensions)),
        tuple(
            (claim, family, dtype or "any", *(_share(line.get(d), counted) for d in dimensions))
            for (claim, family, dtype), line in lines.items()
        ),
    )
    return Section(title, (text,), tables=(table,) if lines else ())


def _share(row: Row | None, counted: str) -> Cell:
    if row is None:
        return Cell("–", "quiet")
    return Cell(f"{row[counted]}/{row['cases']}", "fail" if _missed(row) else "")


def _hardest(rows: Sequence[Row]) -> Section:
    counts = collections.Counter((row["claim"], row["hardest"]) for row in rows if row["hardest"])
    table = Table(
        "Cells in which a formula is the nearest one of most of the cases without a wide margin.",
        ("claim", "wrong formula", "cells"),
        tuple((claim, formula, str(count)) for (claim, formula), count in counts.most_common(40)),
    )
    return Section("The hardest to tell", tables=(table,) if counts else ())


def _of(rows: Iterable[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def _missed(row: Row) -> bool:
    return row["kind"] in JUDGED and 2 * row["wide"] < row["cases"]


def _about(row: Row) -> str:
    return f" ({row['roles']})" if row["roles"] else ""
