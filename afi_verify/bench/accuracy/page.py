"""The page about the accuracy of the oracles, from the JSON of a run and nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from afi_verify.report.study import Axis, Cell, Plot, Section, Study, Table, series_of

COMMAND = "afi-verify bench accuracy"

LABELS = {
    "log_density": "log q",
    "score": "score",
    "posterior_mean": "mean",
    "posterior_covariance": "covariance",
    "posterior_second_moment": "E|x₀|²",
    "fisher": "F",
    "fisher_vector_product": "F v",
    "fisher_trace": "tr F",
}


def accuracy_study(document: Mapping[str, Any]) -> Study:
    """Arrange the document of :func:`~afi_verify.bench.accuracy.run.run_accuracy` as a page."""
    bad = misses(document)
    answer = (
        f"Every oracle stays within {document['limit']:g} times the attainable error"
        if not bad
        else f"{len(bad)} entries miss: {'; '.join(bad[:3])}"
    )
    return Study(
        name="accuracy of the oracles",
        answer=answer,
        tone="fail" if bad else "pass",
        lead=(
            f"{document['compared']} answers in float64 against ball arithmetic, over log-SNR from -20 to 20. An error "
            "is given in multiples of the attainable: what random roundings of the inputs to float64 move the true "
            "answer by, plus one rounding of the answer, both in norm. Quadrature answers for its own estimate: the "
            "true error over the stated one, below 1."
            + (" This is a quick run: small problems at three noise levels." if document["quick"] else "")
        ),
        sections=(
            _table(document),
            _dimensions(document),
            _estimates(document),
            *_curves(document),
            *_problems(document),
            _method(),
        ),
        command=COMMAND + (" --quick" if document["quick"] else ""),
        environment=dict(document["environment"]),
    )


def misses(document: Mapping[str, Any]) -> list[str]:
    """Return a line for each entry at or above its limit, and for each problem without an answer."""
    lines = []
    for rows, limit in ((document["table"], document["limit"]), (document["estimates"], 1.0)):
        lines += [
            f"{row['family']}, {LABELS[row['quantity']]}: {number(row['multiple'])}"
            for row in rows
            if row["multiple"] is None or row["multiple"] >= limit
        ]
    lines += [
        f"{p['family']} {p['size']} at log-SNR {p['log_snr']:g}: {p['error'] or p['undecided']}"
        for p in document["problems"]
    ]
    return lines


def _table(document: Mapping[str, Any]) -> Section:
    rows = _rows(document["table"], document["quantities"], document["limit"])
    where = [
        (
            f"{row['family']}, {LABELS[row['quantity']]}",
            number(row["multiple"]),
            f"{row['relative_error']:.1e}",
            f"{row['attainable']:.1e}",
            row["size"],
            f"{row['log_snr']:g}",
            row["variant"] or "as drawn",
            row["place"],
        )
        for row in sorted(document["table"], key=lambda row: -_sortable(row["multiple"]))[:40]
    ]
    columns = ("family", *(LABELS[name] for name in document["quantities"]))
    return Section(
        "Worst error of each family and quantity",
        (f"In multiples of the attainable; {document['limit']:g} is the limit. A dash: not provided.",),
        tables=(
            Table("Worst multiple over all sizes, noise levels, places and data.", columns, rows),
            Table(
                "Where the largest of them occur.",
                ("entry", "multiple", "relative error", "attainable", "size", "log-SNR", "data", "place"),
                tuple(where),
            ),
        ),
    )


def _rows(
    entries: Sequence[Mapping[str, Any]], quantities: Sequence[str], limit: float
) -> tuple[tuple[str | Cell, ...], ...]:
    by_key = {(row["family"], row["quantity"]): row["multiple"] for row in entries}
    rows = []
    for family in dict.fromkeys(row["family"] for row in entries):
        cells: list[str | Cell] = [family]
        for quantity in quantities:
            if (family, quantity) not in by_key:
                cells.append(Cell("–", "quiet"))
                continue
            value = by_key[family, quantity]
            cells.append(Cell(number(value), "fail" if value is None or value >= limit else ""))
        rows.append(tuple(cells))
    return tuple(rows)


def _dimensions(document: Mapping[str, Any]) -> Section:
    dimensions = sorted({row["dimension"] for row in document["by_dimension"]})
    values = {(row["family"], row["dimension"]): row["multiple"] for row in document["by_dimension"]}
    rows = tuple(
        (family, *(number(values[family, d]) if (family, d) in values else "–" for d in dimensions))
        for family in dict.fromkeys(row["family"] for row in document["by_dimension"])
    )
    table = Table("Worst multiple by dimension.", ("family", *(f"d={d}" for d in dimensions)), rows)
    return Section("By dimension", tables=(table,))


def _estimates(document: Mapping[str, Any]) -> Section:
    rows = _rows(document["estimates"], document["quantities"], 1.0)
    columns = ("density", *(LABELS[name] for name in document["quantities"]))
    table = Table("Largest ratio of the true error of an entry to the one stated for it.", columns, rows)
    return Section("Densities by quadrature: does the stated error hold?", tables=(table,) if rows else ())


def _curves(document: Mapping[str, Any]) -> tuple[Section, ...]:
    plots = []
    for family in document["families"]:
        for key, title, short, limit in (
            ("curves", "error in multiples of the attainable", "error / attainable", document["limit"]),
            ("estimate_curves", "true error over stated error", "true / stated error", 1.0),
        ):
            values = [
                {"log-SNR": r["log_snr"], "multiple": r["multiple"] or None, "quantity": LABELS[r["quantity"]]}
                for r in document[key]
                if r["family"] == family
            ]
            if values:
                caption = f"{family}: worst {title} at each noise level."
                series = series_of(values, "log-SNR", "multiple", "quantity")
                axis = Axis(short, log=True, low=min(0.01, limit / 100))
                plots.append(Plot(caption, Axis("log-SNR"), axis, series, limit))
    return (Section("Over the noise levels", plots=tuple(plots)),) if plots else ()


def _problems(document: Mapping[str, Any]) -> tuple[Section, ...]:
    if not document["problems"]:
        return ()
    rows = tuple(
        (p["family"], p["size"], f"{p['log_snr']:g}", p["variant"] or "as drawn", p["error"] or p["undecided"])
        for p in document["problems"]
    )
    return (
        Section("No answer", tables=(Table("What went wrong.", ("family", "size", "log-SNR", "data", "why"), rows),)),
    )


def _method() -> Section:
    return Section(
        "How it is measured",
        (
            "The truth comes from other formulas than the oracles', in ball arithmetic with as many bits as a proven "
            "answer takes: uniform laws from the derivatives of closed forms of log q (error functions, 0F1), "
            "Gaussians from Woodbury's identity, Diracs from the certified oracle, densities from rigorous "
            "integration.",
            "Inputs that are rounded: the points, the directions, alpha, sigma and every parameter of the law. For "
            "Diracs, Gaussians and their mixtures, which compute in float64 itself, also what a verdict rounds: "
            "squared distances and the posterior mean of Diracs, Mahalanobis distances, diffused covariances, their "
            "log determinants and the components' scores.",
            "Points: noised samples, and points between modes, at boundaries, at centres and 40 sigma away; data as "
            "drawn, moved by 100 in every coordinate, and scaled by 1000. Matrices are compared where d² times the "
            "number of components is at most 5 million.",
        ),
    )


def number(value: float | None) -> str:
    """Return a multiple with two digits."""
    if value is None:
        return "not a number"
    return f"{value:.2g}" if value < 100 else f"{value:.1e}"


def _sortable(value: float | None) -> float:
    return float("inf") if value is None else value
