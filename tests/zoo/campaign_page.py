"""What a campaign found, as numbers and as a page of the report."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from afi_verify.report.study import Cell, Section, Study, Table
from afi_verify.runner import environment
from tests.zoo.campaign import Done

SCHEMA = "afi-verify/false-accusations/1"
NINETY_FIVE = 3.0
"""Where none of n independent trials showed it, a probability is below ``3 / n`` with 95 % confidence."""


def make_document(finished: Sequence[Done]) -> dict[str, Any]:
    """Return the sums of a campaign, ready for JSON."""
    rows = []
    for profile in dict.fromkeys(d.task.profile for d in finished):
        for group in dict.fromkeys(d.task.group for d in finished):
            part = [d for d in finished if (d.task.profile, d.task.group) == (profile, group)]
            if part:
                rows.append({"profile": profile, "group": group, **_sums(part)})
    return {
        "schema": SCHEMA,
        "parts": rows,
        "versions_of_the_code": len({d.code for d in finished}),
        "accusations": [
            {**dataclasses.asdict(d.task), **dataclasses.asdict(a)} for d in finished for a in d.accusations
        ],
        "environment": environment(),
    }


def _sums(part: list[Done]) -> dict[str, Any]:
    subjects = {(d.task.subject, d.task.dtype) for d in part}
    by_seed: dict[int, int] = {}
    for done in part:
        by_seed[done.task.seed] = by_seed.get(done.task.seed, 0) + 1
    whole = sorted(seed for seed, count in by_seed.items() if count == max(by_seed.values()))
    return {
        "subjects": len(subjects),
        "seeds": as_ranges(whole),
        "partly": as_ranges(sorted(set(by_seed) - set(whole))),
        "checks": sum(d.checks for d in part),
        "vacuous": sum(d.vacuous for d in part),
        "cases": sum(d.cases for d in part),
        "points": sum(d.points for d in part),
        "accused": sum(len(d.accusations) for d in part),
        "seconds": round(sum(d.seconds for d in part)),
    }


def as_ranges(numbers: Sequence[int]) -> str:
    """Write sorted numbers as ranges: ``0-4, 7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def describe(document: dict[str, Any]) -> str:
    """Return the document as text."""
    lines = [
        f"{p['profile']}, {p['group']}: {p['subjects']} subjects, seeds {p['seeds']}"
        + (f" (partly {p['partly']})" if p["partly"] else "")
        + f": {p['checks']} checks, {p['cases']} cases, {p['accused']} accusations"
        for p in document["parts"]
    ]
    lines += [
        f"accused: {a['subject']} ({a['dtype']}), seed {a['seed']}: {a['check']}: {a['verdict']} {a['case']}"
        for a in document["accusations"]
    ]
    return "\n".join(lines) + "\n"


def make_study(document: dict[str, Any]) -> Study:
    """Arrange the document as a page."""
    checks = sum(p["checks"] for p in document["parts"])
    accused = document["accusations"]
    rows = [
        (
            p["profile"],
            p["group"],
            str(p["subjects"]),
            p["seeds"] + (f"; partly {p['partly']}" if p["partly"] else ""),
            f"{p['checks']:,}",
            f"{p['vacuous']:,}",
            f"{p['cases']:,}",
            f"{p['points']:,}",
            Cell(str(p["accused"]), "fail" if p["accused"] else "pass"),
            f"{NINETY_FIVE / p['checks']:.1g}" if p["checks"] and not p["accused"] else "–",
            f"{p['seconds'] / 60:.0f}",
        )
        for p in document["parts"]
    ]
    columns = (
        "profile",
        "who",
        "subjects by precision",
        "seeds",
        "checks",
        "vacuous",
        "cases",
        "points",
        "accused",
        "chance per check below (95 %)",
        "minutes of one core",
    )
    tables = [Table("Right implementations under test", columns, tuple(rows))]
    if accused:
        tables.append(
            Table(
                "Accusations",
                ("who", "precision", "profile, seed", "check", "verdict", "message", "case"),
                tuple(
                    (
                        a["subject"],
                        a["dtype"],
                        f"{a['profile']}, {a['seed']}",
                        a["check"],
                        a["verdict"],
                        a["message"],
                        a["case"],
                    )
                    for a in accused
                ),
            )
        )
    return Study(
        name="false accusations",
        answer=f"{len(accused)} false accusations in {checks:,} checks of right implementations",
        tone="fail" if accused else "pass",
        lead=(
            "Right implementations: those that come with afi-verify, held against every check and relation, and those "
            "of the zoo that look unusual, against every check with an oracle. Seeds in sequence, none chosen. Fail, "
            "error, inaccurate and undecided are accusations; vacuous, in a precision with too few digits, is not."
        ),
        sections=(
            Section(
                "How often",
                (
                    f"The tasks ran on {document['versions_of_the_code']} version(s) of the code. Checks of one seed "
                    "draw the same cases for every subject, so that they are not independent trials.",
                ),
                tables=tuple(tables),
            ),
        ),
        command=(
            "python -m tests.zoo.campaign --profile quick --seeds 0-99 --file campaign.jsonl "
            "--report reports/false-accusations"
        ),
        environment=document["environment"],
    )
