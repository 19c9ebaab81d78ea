"""Arranges the document of an audit as a page, with the mathematics typeset."""

from typing import Any

from markupsafe import Markup, escape

from afi_properties.audit import MEANINGS, Verdict
from afi_properties.bounds.errors import BOUNDS
from afi_verify.audit.mathematics import typeset
from afi_verify.audit.run import is_confirmed
from afi_verify.report.study import Cell, Section, Study, Table

_TONES = {
    Verdict.HOLDS: "pass",
    Verdict.CORRECTED: "inaccurate",
    Verdict.FALSE: "fail",
    Verdict.MEASURED: "vacuous",
    Verdict.NOT_TESTABLE: "quiet",
    Verdict.UNSUPPORTED: "error",
}

COMPANIONS = (
    ("../transport/index.html", "Theorem 1: the map, its Jacobian by three routes, and optimality on samples"),
)
"""Pages of the report, relative to this one, that go further."""


def audit_study(document: dict[str, Any], command: str) -> Study:
    """Arrange the results of ``run_audit`` as a page.

    Parameters
    ----------
    document : dict
        What ``run_audit`` returned, with an ``environment``.
    command : str
        What makes the page again.

    Returns
    -------
    Study
        The page; all of its text comes from ``document``.
    """
    rows, counts = document["entries"], document["counts"]
    found = ", ".join(f"{counts[v]} {v}" for v in Verdict if v in counts)
    confirmed = is_confirmed(document)
    surprises = len(rows) - document["as_expected"]
    answer = f"{len(rows)} statements: {found}."
    if not confirmed:
        answer = (
            f"{surprises} of {len(rows)} verdicts did not come out as catalogued."
            if surprises
            else "A bound is violated."
        )
    parts = list(dict.fromkeys(row["part"] for row in rows))
    sections = [
        Section("Verdicts", (_links(),), tables=(_meanings(counts), _errors(rows))),
        *([_bounds(document)] if document["bounds"] else []),
        *[Section(part, tuple(_entry(row) for row in rows if row["part"] == part)) for part in parts],
    ]
    return Study(
        name="the paper on trial",
        answer=answer,
        tone="pass" if confirmed else "fail",
        lead="Every numbered statement of the paper and each testable claim of its prose, as printed and as corrected,"
        " with a verdict that was recomputed for this page. The same test judges the printed and the corrected form.",
        sections=tuple(sections),
        command=command,
        environment=document.get("environment", {}),
    )


def _links() -> Markup:
    items = Markup("; ").join(Markup('<a href="{}">{}</a>').format(url, text) for url, text in COMPANIONS)
    return Markup("Further: {}.").format(items)


def _meanings(counts: dict[str, int]) -> Table:
    rows = tuple((Cell(v, _TONES[v]), str(counts.get(v, 0)), MEANINGS[v]) for v in Verdict)
    return Table("What the verdicts mean, and how many there are", ("verdict", "statements", "meaning"), rows)


def _errors(rows: list[dict[str, Any]]) -> Table:
    wrong = [row for row in rows if row["verdict"] not in (Verdict.HOLDS, Verdict.NOT_TESTABLE, Verdict.MEASURED)]
    return Table(
        "What does not hold as printed",
        ("label", "statement", "verdict"),
        tuple(
            (_link(row["label"]), row["title"], Cell(row["verdict"], _TONES[Verdict(row["verdict"])])) for row in wrong
        ),
    )


def _link(label: str) -> Cell:
    return Cell(Markup('<a href="#{}">{}</a>').format(label, label))


def _bounds(document: dict[str, Any]) -> Section:
    rows = tuple(
        (
            name,
            f"{tally['cases']:,}",
            Cell(f"{tally['violations']:,}", "fail" if tally["violations"] else ""),
            f"{tally['within_rounding']:,}",
            f"{tally['rechecked'] - tally['proven_violations'] - tally['undecided']:,} of {tally['rechecked']:,}",
            f"{tally['tightness']:.12g}",
            f"N = {tally['shape'][0]}, d = {tally['shape'][1]}",
        )
        for name, tally in ((name, document["bounds"][name]) for name in BOUNDS)
    )
    return Section(
        "The bounds of Prop. 7 and 8 on drawn cases",
        (
            f"{document['bound_cases']:,} cases (seed {document['seed']}): Diracs in general position, on a line, in a"
            " cluster or far from the origin, up to 8 atoms and 8 dimensions, log-SNR from -20 to 20, networks wrong by"
            " a thousandth to a hundred times the data. Tightness is the largest ratio of the error to the bound that"
            " is certain in spite of rounding. Where float64 cannot tell an error from a corrected bound, the first few"
            " cases of each block are decided in ball arithmetic.",
        ),
        tables=(
            Table(
                "Cases against bounds",
                (
                    "bound",
                    "cases",
                    "violations",
                    "equal within rounding",
                    "proven not above",
                    "tightness",
                    "where",
                ),
                rows,
            ),
        ),
    )


def _entry(row: dict[str, Any]) -> Markup:
    verdict = Verdict(row["verdict"])
    head = Markup('<strong id="{}">{}</strong> {} <b class="{}">{}</b>').format(
        row["label"], row["label"], row["title"], _TONES[verdict], verdict
    )
    if not row["as_expected"]:
        head += Markup(' <b class="error">catalogued: {}</b>').format(row["expected"])
    pieces = [head, typeset(row["statement"])]
    pieces += [_evidence("", row["evidence"])]
    if row["evidence_for_correction"]:
        pieces += [Markup("<span>Right is:</span>"), typeset(row["corrected"])]
        pieces += [_evidence("", row["evidence_for_correction"])]
    pieces += [escape(text) for text in (row["note"], row["reason"]) if text]
    return Markup(" ").join(piece for piece in pieces if piece)


def _evidence(prefix: str, outcome: dict[str, Any] | None) -> Markup:
    if outcome is None:
        return Markup("")
    proven = ", proven" if outcome["certified"] and not outcome["holds"] else ""
    return Markup('<span class="quiet">{}{}: {}.</span><br>').format(
        prefix, ", ".join(outcome["methods"]) + proven, outcome["detail"].rstrip(".")
    )
