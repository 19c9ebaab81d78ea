"""The sections of the page that are not about single noise levels."""

import math
from collections.abc import Mapping
from typing import Any

from afi_verify.experiments.ground_truth import summary
from afi_verify.experiments.ground_truth.plots import line_plot
from afi_verify.experiments.ground_truth.trajectories import ADJOINT_START, GUIDANCE_STEPS, NOISE, WINDOW
from afi_verify.report.study import Section, Table

_LIKELIHOOD_PAIRS = (
    ("full VJP", "trivial"),
    ("AFI-TM", "trivial"),
    ("AFI-TM", "full VJP"),
    ("AFI-TM", "Hutchinson, 1"),
)


def antipodes_section(document: Mapping[str, Any]) -> Section:
    """Where eq. 20 is good."""
    good = [
        f"{name} at {level:g}"
        for name in document["problems"]
        for method in ("AFI-EA",)
        for level, sign in summary.verdicts(document, name, "operator", method, "trivial").items()
        if sign < 0
    ]
    rows = document["antipodes"]
    centred = [row for row in rows if row["offset"] == 0]
    best, worst = max(row["AFI-EA"] for row in centred), min(row["trivial"] for row in centred)
    better = [row["offset"] for row in rows if row["AFI-EA"] < row["trivial"]]
    sentences = [
        f"With trained networks AFI-EA is surely nearer than I/σ² for: {', '.join(good)}."
        if good
        else "With trained networks there is no data set and noise level here at which AFI-EA is surely nearer the "
        "exact operator than I/σ².",
        "Eq. 20 replaces the posterior mean of all outer products by one of them. With the exact ε it is therefore "
        "exact where all atoms that share the posterior have the same outer product: two antipodes y and −y.",
    ]
    if best < worst:
        sentences.append(
            f"So it is found: on two antipodes the error of eq. 20 is at most {best:.2g} at every noise level tried, "
            f"that of I/σ² at least {worst:.2g}. Moved off the origin together (by offsets in units of half their "
            "distance) eq. 20 "
            + (f"is nearer than I/σ² up to an offset of {max(better):g} at some noise level." if better else "is not.")
        )
    offsets = sorted({row["offset"] for row in rows})
    lines = tuple(
        (
            f"{level:g}",
            *(f"{row['AFI-EA']:.2g} | {row['trivial']:.2g}" for row in rows if row["log_snr"] == level),
        )
        for level in sorted({row["log_snr"] for row in rows})
    )
    caption = "Relative errors of eq. 20 | I/σ² on two atoms, by log-SNR and offset of the pair."
    return Section(
        "Where eq. 20 is good",
        tuple(sentences),
        (),
        (Table(caption, ("log-SNR", *(f"{o:g}" for o in offsets)), lines),),
    )


def likelihood_section(document: Mapping[str, Any]) -> Section:
    """Errors in bits per dimension, by method and number of steps."""
    first = document["cells"][0]["likelihood"]
    methods = list(dict.fromkeys(row["method"] for row in first))
    steps = list(dict.fromkeys(row["steps"] for row in first))
    most = steps[-1]
    sentences = [
        f"Log-likelihoods (eq. 14, corrected) from a small noise level to log-SNR {NOISE:g} with Heun's method, "
        "against the exact log density there: root mean square errors over the points, in bits per dimension.",
    ]
    plots, rows = [], []
    for name in document["problems"]:
        for a, b in _LIKELIHOOD_PAIRS:
            sign = summary.compare(
                summary.likelihood_errors(document, name, a, most), summary.likelihood_errors(document, name, b, most)
            )
            means = " and ".join(
                f"{summary.error_estimate(summary.likelihood_errors(document, name, m, most)).mean:.2g}" for m in (a, b)
            )
            words = {
                -1: "a smaller error than",
                1: "a larger error than",
                0: "an error that cannot be told from that of",
            }
            sentences.append(f"{name}, {most} steps: {a} has {words[sign]} {b} ({means} bits per dimension).")
        values = []
        for method in methods:
            found = [summary.error_estimate(summary.likelihood_errors(document, name, method, n)) for n in steps]
            rows.append((f"{name}, {method}", *(str(one) for one in found)))
            values += [
                {"steps": n, "error": one.mean, "low": one.low, "high": min(one.high, 1e6), "method": method}
                for n, one in zip(steps, found, strict=True)
            ]
        plots.append(
            line_plot(
                f"{document['problems'][name]}: error of the likelihood.",
                values,
                "steps",
                "bits per dimension",
                log_x=True,
            )
        )
    table = Table(
        "Errors in bits per dimension, by number of steps.", ("data, method", *(f"{n}" for n in steps)), tuple(rows)
    )
    return Section("Likelihood", tuple(sentences), tuple(plots), (table,))


def adjoint_section(document: Mapping[str, Any]) -> Section:
    """Cosines and lengths of adjoint gradients."""
    methods = list(document["cells"][0]["adjoint"])
    rows, sentences = (
        [],
        [
            f"The gradient at log-SNR {ADJOINT_START:g} of a linear loss at the end of the flow, by eq. 18 with each "
            "operator: its angle to the true one (exact flow, exact operator), and its length over the true one's.",
        ],
    )
    for name in document["problems"]:
        cells = summary.cells_of(document, name)
        for method in methods:
            cosines = summary.numbers(cells, "adjoint", method, "cosine")
            lengths = summary.numbers(cells, "adjoint", method, "length")
            angle = "not finite"
            if cosines is not None:
                angle = f"{summary.estimate([_degrees(c) for c in cosines]).mean:.1f}°"
            length = "not finite" if lengths is None else f"{summary.error_estimate(lengths).mean:.2g}"
            shown = "not finite" if cosines is None else f"{summary.estimate(cosines)}"
            rows.append((f"{name}, {method}", shown, angle, length))
        for a, b in (("VJP", "trivial"), ("AFI-EA", "trivial"), ("AFI-EA", "VJP")):
            found = [summary.numbers(cells, "adjoint", m, "cosine") for m in (a, b)]
            if found[0] is None or found[1] is None:
                sentences.append(f"{name}: {a} or {b} left the finite numbers.")
                continue
            sign = summary.compare(*([_degrees(c) for c in cosines] for cosines in found if cosines is not None))
            words = {-1: "a smaller angle to the true gradient than", 1: "a larger angle to the true gradient than"}
            if sign:
                sentences.append(f"{name}: {a} has {words[sign]} {b}.")
            else:
                sentences.append(f"{name}: whether {a} or {b} is nearer in angle is undecided.")
    caption = "Adjoint gradients (means over networks of the mean over points)."
    return Section(
        "Adjoint gradients",
        tuple(sentences),
        (),
        (Table(caption, ("data, method", "cosine", "angle", "length"), tuple(rows)),),
    )


def guidance_section(document: Mapping[str, Any]) -> Section:
    """Loss reached by guidance."""
    methods = list(document["cells"][0]["guidance"])
    rows, sentences = (
        [],
        [
            "Adjoint guidance as in Appendix B.2 (normalised gradients, in a window of "
            f"{len(WINDOW)} of {GUIDANCE_STEPS} sampling steps): the mean squared distance of half of "
            "the coordinates from a target, reached with each operator.",
        ],
    )
    for name in document["problems"]:
        cells = summary.cells_of(document, name)
        reached = {m: summary.numbers(cells, "guidance", m) for m in methods}
        for method, losses in reached.items():
            shown = "not finite" if losses is None else str(summary.error_estimate(losses))
            rows.append((f"{name}, {method}", shown))
        for a, b in (("VJP", "trivial"), ("AFI-EA", "trivial"), ("AFI-EA", "VJP"), ("AFI-EA", "none")):
            first, second = reached[a], reached[b]
            if first is None or second is None:
                sentences.append(f"{name}: {a} or {b} left the finite numbers.")
                continue
            words = {-1: "a smaller loss than", 1: "a larger loss than", 0: "a loss that cannot be told from that of"}
            sentences.append(f"{name}: {a} reaches {words[summary.compare(first, second)]} {b}.")
    return Section("Guidance", tuple(sentences), (), (Table("Loss reached.", ("data, operator", "loss"), tuple(rows)),))


def cost_section(document: Mapping[str, Any]) -> Section:
    """Costs as multiples of one evaluation."""
    rows = []
    for name in document["problems"]:
        cells = summary.cells_of(document, name)
        for method, row in cells[0]["costs"].items():
            ratios = [cell["costs"][method]["ratio"] for cell in cells]
            rows.append((f"{name}, {method}", row["evaluations"], str(summary.error_estimate(ratios))))
    sentences = ["Seconds per call for a batch, as a multiple of an evaluation of ε that was timed beside it."]
    for name in document["problems"]:
        cells = summary.cells_of(document, name)
        words = [
            f"{method} {summary.error_estimate([cell['costs'][method]['ratio'] for cell in cells]).mean:.2g}"
            for method in ("trace: AFI-TM", "trace: full VJP", "product: AFI-EA", "product: VJP")
        ]
        sentences.append(f"{name}: {', '.join(words)} times.")
    columns = ("data, method", "network evaluations", "time, in evaluations of ε")
    return Section("Cost", tuple(sentences), (), (Table("Cost of a call.", columns, tuple(rows)),))


def learning_section(document: Mapping[str, Any]) -> Section:
    """How the excess risk of trace heads falls with training."""
    sentences = [
        "The excess risk of a trace head is its mean squared distance from the optimum E[‖x₀‖² given x]/d (Prop. 6), "
        "here as a part of what x explains; it is measured exactly, without targets.",
    ]
    rows, values = [], []
    for name in document["problems"]:
        cells = summary.cells_of(document, name)
        rate = summary.estimate(summary.fitted_rates(document, name))
        steps = [row["steps"] for row in cells[0]["learning"]]
        if rate.low > 0 and len(cells) > 1:
            sentences.append(f"{name}: from {steps[0]} to {steps[-1]} steps it falls like steps^−p with p = {rate}.")
        else:
            sentences.append(f"{name}: a fall with the number of steps is not certain (p = {rate}).")
        for number, n in enumerate(steps):
            found = summary.error_estimate([cell["learning"][number]["relative"] for cell in cells])
            bayes = sum(cell["learning"][number]["bayes"] for cell in cells) / len(cells)
            explainable = sum(cell["learning"][number]["explainable"] for cell in cells) / len(cells)
            rows.append((f"{name}, {n} steps", str(found), f"{bayes:.3g}", f"{explainable:.3g}"))
            values.append(
                {"steps": n, "error": found.mean, "low": found.low, "high": min(found.high, 1e3), "method": name}
            )
    columns = ("data, training", "excess / explainable", "Bayes risk", "explainable")
    return Section(
        "Training a trace head (Prop. 6, Fig. 1)",
        tuple(sentences),
        (
            line_plot(
                "Excess risk over what can be explained, by steps of training.",
                values,
                "steps",
                "excess / explainable",
                log_x=True,
                lowest=0.005,
            ),
        ),
        (Table("Risks, in units of (‖x₀‖²/d)².", columns, tuple(rows)),),
    )


def _degrees(cosine: float) -> float:
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
