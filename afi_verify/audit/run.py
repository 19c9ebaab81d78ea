"""Runs the audit: judges every entry of the catalogue and arranges what was found as one document."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from afi_properties.audit import SECTIONS, Entry, Finding, Outcome, judge
from afi_properties.bounds.campaign import run_campaign
from afi_verify.errors import UnusableError

SCHEMA = "afi-verify/audit/1"


def select(labels: Sequence[str]) -> dict[str, tuple[Entry, ...]]:
    """Return the parts of the catalogue with the entries asked for.

    Parameters
    ----------
    labels : sequence of str
        Labels; all entries if there are none.

    Raises
    ------
    UnusableError
        If a label is not in the catalogue.
    """
    if not labels:
        return dict(SECTIONS)
    known = {entry.label for entries in SECTIONS.values() for entry in entries}
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise UnusableError(
            f"no entry is called {unknown[0]!r}; labels look like eq-17 or prop-7; `afi-verify audit --list`"
            " has all of them."
        )
    parts = {part: tuple(e for e in entries if e.label in labels) for part, entries in SECTIONS.items()}
    return {part: entries for part, entries in parts.items() if entries}


def run_audit(
    parts: dict[str, tuple[Entry, ...]],
    cases: int,
    bound_cases: int,
    seed: int,
    listen: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> dict[str, Any]:
    """Judge entries, and hold drawn cases against the bounds of Prop. 7 and 8.

    Parameters
    ----------
    parts : dict
        The entries, by part of the paper.
    cases : int
        How many instances each property run draws.
    bound_cases : int
        How many cases the bounds are held against; none if 0.
    seed : int
        Of those cases.
    listen : callable
        Told the label of what is next, how many are done and of how many.

    Returns
    -------
    dict
        A document for JSON; the verdicts and what they rest on are the same in every run, only seconds differ.
    """
    total = sum(len(entries) for entries in parts.values())
    rows, done = [], 0
    for part, entries in parts.items():
        for entry in entries:
            listen(entry.label, done, total)
            rows.append(_row(part, judge(entry, cases)))
            done += 1
    listen("bounds" if bound_cases else "done", done, total)
    bounds = {name: vars(tally) for name, tally in run_campaign(bound_cases, seed).items()} if bound_cases else {}
    return {
        "schema": SCHEMA,
        "cases": cases,
        "bound_cases": bound_cases,
        "seed": seed,
        "counts": dict(Counter(row["verdict"] for row in rows)),
        "as_expected": sum(row["as_expected"] for row in rows),
        "entries": rows,
        "bounds": bounds,
    }


def is_confirmed(document: dict[str, Any]) -> bool:
    """Tell whether every verdict came out as catalogued and no case violates a corrected bound."""
    from afi_properties.bounds.errors import CORRECTED

    tallies = [document["bounds"][name] for name in CORRECTED if document["bounds"]]
    violations = sum(t["violations"] + t["proven_violations"] + t["undecided"] for t in tallies)
    return document["as_expected"] == len(document["entries"]) and violations == 0


def _row(part: str, finding: Finding) -> dict[str, Any]:
    entry = finding.entry
    return {
        "part": part,
        "label": entry.label,
        "title": entry.title,
        "verdict": str(finding.verdict),
        "expected": str(entry.expected),
        "as_expected": finding.as_expected,
        "statement": entry.printed.latex,
        "corrected": entry.corrected.latex if entry.corrected else None,
        "evidence": _outcome(finding.printed),
        "evidence_for_correction": _outcome(finding.corrected),
        "note": entry.note,
        "reason": entry.reason,
        "seconds": round(finding.seconds, 2),
    }


def _outcome(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {
        "holds": outcome.holds,
        "methods": [str(method) for method in outcome.methods],
        "certified": outcome.certified,
        "detail": outcome.detail,
        "numbers": dict(outcome.numbers),
    }
