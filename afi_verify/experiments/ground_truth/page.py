"""The page of the experiment: every sentence is computed from the document's numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from afi_verify.experiments.ground_truth import summary
from afi_verify.experiments.ground_truth.plots import line_plot
from afi_verify.experiments.ground_truth.sections import (
    adjoint_section,
    antipodes_section,
    cost_section,
    guidance_section,
    learning_section,
    likelihood_section,
)
from afi_verify.experiments.ground_truth.summary import SHOWN, SURE
from afi_verify.report.study import Plot, Section, Study, Table

_OPERATORS = ("trivial", "VJP", "symmetric part", "AFI-EA", "AFI-EA, exact eps")
_PAIRS = (
    ("VJP", "trivial"),
    ("symmetric part", "VJP"),
    ("AFI-EA", "trivial"),
    ("AFI-EA", "VJP"),
    ("AFI-EA, exact eps", "trivial"),
)
_TRACE_PAIRS = (
    ("full VJP", "trivial"),
    ("AFI-TM", "trivial"),
    ("AFI-TM", "full VJP"),
    ("AFI-TM, exact eps", "AFI-TM"),
    ("AFI-TM, exact head", "AFI-TM"),
)
_WORDS = {"trivial": "I/σ²", "VJP": "the VJP", "symmetric part": "the symmetric part of the Jacobian"}
_TRACE_WORDS = {"trivial": "d/σ²", "full VJP": "the full VJP trace"}


def make_study(document: Mapping[str, Any], command: str, environment: dict[str, str]) -> Study:
    """Arrange the document as a page."""
    near, far, all_ = summary.tally(document, "operator", "AFI-EA", "trivial")
    vjp_near, vjp_far, _ = summary.tally(document, "operator", "VJP", "trivial")
    networks = len(document["cells"]) // len(document["problems"])
    minutes = sum(cell["seconds"]["all"] for cell in document["cells"]) / 60
    return Study(
        name="the methods where the truth is known",
        answer=(
            f"Of {all_} data sets and noise levels, eq. 20 (AFI-EA) is nearer the exact operator than I/σ² at {near} "
            f"and farther at {far}; the VJP of the same networks is nearer at {vjp_near} and farther at {vjp_far}."
        ),
        tone="",
        lead=(
            f"{networks} pairs of networks (ε and trace head) per data set, trained on a CPU, against the exact Fisher "
            f"information. Data: {'; '.join(document['problems'].values())}. Schedule: vp-cosine. Intervals that are "
            f"shown have {SHOWN:.0%} confidence over the networks; a sentence compares network by network and needs "
            f"{SURE:.0%}. {minutes:.0f} minutes of one thread, beside whatever else the machine did."
            + (" This is the small version: it shows that the experiment runs, not what it finds." * document["quick"])
        ),
        sections=(
            _operator_section(document),
            antipodes_section(document),
            _trace_section(document),
            *_sample_section(document),
            likelihood_section(document),
            adjoint_section(document),
            guidance_section(document),
            cost_section(document),
            learning_section(document),
        ),
        command=command,
        environment=environment,
    )


def _operator_section(document: Mapping[str, Any]) -> Section:
    sentences = [
        "The error of an operator is the root mean square over the points of the Frobenius norm of its difference from "
        "the exact Fisher matrix, over that of the exact one. AFI-EA takes the endpoint that the flow of the same ε "
        "ends at; with exact eps, that of the exact flow. The symmetric part of a Jacobian cannot be "
        "farther from what is symmetric than the whole. The skill of a method is 1 − (its error / that of I/σ²)².",
    ]
    for name in document["problems"]:
        for first, second in _PAIRS:
            found = summary.verdicts(document, name, "operator", first, second)
            sentences.append(summary.say(_word(first), _word(second), "the exact operator", name, found))
    skills = tuple(
        (
            f"{name}, {level:g}",
            *(_skill(document, name, method, level) for method in _OPERATORS[1:]),
        )
        for name in document["problems"]
        for level in summary.levels_of(document, name)
    )
    table = Table("Skill against I/σ² (mean over networks).", ("data, log-SNR", *_OPERATORS[1:]), skills)
    plots = _plots(document, "operator", _OPERATORS, "error of the operator")
    return Section("Operators", tuple(sentences), plots, (table,))


def _skill(document: Mapping[str, Any], name: str, method: str, level: float) -> str:
    errors, trivial = (summary.errors_at(document, name, "operator", m, level) for m in (method, "trivial"))
    if min(trivial) < summary.FLOOR:
        return "I/σ² is exact"
    return f"{sum(1 - (a / b) ** 2 for a, b in zip(errors, trivial, strict=True)) / len(errors):.3g}"


def _trace_section(document: Mapping[str, Any]) -> Section:
    methods = [m for m in document["cells"][0]["fields"][0]["trace"] if m != "eq. 17 as printed"]
    sentences = ["The error of a trace is its root mean square error over the points, over that of the exact trace."]
    for name in document["problems"]:
        for first, second in _TRACE_PAIRS:
            found = summary.verdicts(document, name, "trace", first, second)
            one, other = (_TRACE_WORDS.get(method, method) for method in (first, second))
            sentences.append(summary.say(one, other, "the exact trace", name, found))
    rows = []
    for name in document["problems"]:
        for level in summary.levels_of(document, name):
            cells = (summary.errors_at(document, name, "trace", m, level) for m in (*methods, "eq. 17 as printed"))
            rows.append((f"{name}, {level:g}", *(f"{summary.error_estimate(errors).mean:.2g}" for errors in cells)))
    table = Table("Relative errors (geometric means).", ("data, log-SNR", *methods, "eq. 17 as printed"), tuple(rows))
    shown = [m for m in methods if "exact" not in m]
    return Section("Traces", tuple(sentences), _plots(document, "trace", shown, "error of the trace"), (table,))


def _sample_section(document: Mapping[str, Any]) -> tuple[Section, ...]:
    name = next(
        (n for n in document["problems"] if "population" in summary.cells_of(document, n)[0]["fields"][0]), None
    )
    if name is None:
        return ()
    sentences = [
        "Networks that were trained on a finite sample, held against the exact Fisher information of the distribution "
        "that the sample came from, at points of the diffused sample.",
        summary.say(
            "the VJP of networks trained on the sample",
            "the exact operator of the sample",
            "the operator of the distribution",
            name,
            summary.verdicts(document, name, "population", "VJP", "exact, of the sample"),
        ),
        summary.say(
            "the exact operator of the sample",
            "I/σ²",
            "the operator of the distribution",
            name,
            summary.verdicts(document, name, "population", "exact, of the sample", "trivial"),
        ),
    ]
    signs = {
        level: summary.compare(
            summary.errors_at(document, name, "population", "VJP", level),
            summary.errors_at(document, name, "operator", "VJP", level),
        )
        for level in summary.levels_of(document, name)
    }
    to_law = [f"{level:g}" for level, sign in signs.items() if sign < 0]
    to_sample = [f"{level:g}" for level, sign in signs.items() if sign > 0]
    if to_law:
        sentences.append(
            f"In relative error the VJP is nearer the distribution than the sample at {', '.join(to_law)}."
        )
    if to_sample:
        sentences.append(f"It is nearer the sample than the distribution at {', '.join(to_sample)}.")
    methods = ("exact, of the sample", "VJP", "trivial")
    return (
        Section(
            "A finite sample, and the distribution that it came from",
            tuple(sentences),
            _plots(document, "population", methods, "distance from the distribution's operator", (name,)),
        ),
    )


def _plots(
    document: Mapping[str, Any], kind: str, methods: Sequence[str], title: str, names: Sequence[str] = ()
) -> tuple[Plot, ...]:
    plots = []
    for name in names or document["problems"]:
        values = []
        for level in summary.levels_of(document, name):
            for method in methods:
                found = summary.error_estimate(summary.errors_at(document, name, kind, method, level))
                row = {"log-SNR": level, "error": found.mean, "low": max(found.low, 1e-6), "high": min(found.high, 1e6)}
                values.append({**row, "method": method})
        caption = f"{document['problems'][name]}: relative {title}, with {SHOWN:.0%} intervals."
        plots.append(line_plot(caption, values, "log-SNR", f"relative {title}"))
    return tuple(plots)


def _word(method: str) -> str:
    return _WORDS.get(method, method)
