"""The numbers of ``bench oracle`` as a page, and as lines for a terminal."""

from typing import Any

from afi_verify.bench.methods import BOUND, OURS
from afi_verify.report.study import Axis, Cell, Plot, Section, Study, Table, series_of

MIB = 2**20

TARGETS = {
    BOUND: 1 / 1.2,
    "stacked, as written": 1 / 1.2,
    "torch.func.jvp": 4.0,
    "torch.func.vjp": 2.5,
    "naive autograd": 30.0,
}
"""By how much each method should be slower than ours, at the sizes that are the command's defaults."""

MOST_MEMORY = 0.05
"""Of the data, beyond the inputs."""

EXPONENT_WITHIN = 0.05

LARGE_MEMORY = 2**30
LARGE_RATIO = 1.3


def make_study(document: dict[str, Any]) -> Study:
    """Arrange the document of ``bench oracle``."""
    comparison = document["comparison"]
    methods = comparison["methods"]
    sections = [_methods_section(comparison), _levels_section(comparison)]
    if document["scaling"] is not None:
        sections.append(_scaling_section(document["scaling"]))
    if document["large"] is not None:
        sections.append(_large_section(document["large"]))
    share = 1 / methods[BOUND]["ratio_to_ours"]
    return Study(
        name="speed of the one pass",
        answer=f"F v, score, trace and log density in one pass take {share:.2f} times the two matrix products alone.",
        tone="",
        lead=(
            f"{comparison['batch']} points, {comparison['atoms']:,} atoms, {comparison['dimension']:,} dimensions, "
            f"float32, {comparison['threads']} threads; medians of {comparison['repeats']} rounds in which the methods "
            "take turns. Times are of this machine; ratios say more."
        ),
        sections=tuple(sections),
        command=document["command"],
        environment=document["environment"],
    )


def summary(document: dict[str, Any]) -> str:
    """Return the page's tables as plain lines."""
    study = make_study(document)
    lines = [study.answer, study.lead]
    for section in study.sections:
        for table in section.tables:
            rows = [[_text(entry) for entry in row] for row in (table.columns, *table.rows)]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            padded = (map(str.ljust, row, widths) for row in rows)
            lines += ["", section.title, *("  ".join(row).rstrip() for row in padded)]
    return "\n".join(lines)


def _text(entry: str | Cell) -> str:
    return entry.text if isinstance(entry, Cell) else entry


def _judged(text: str, met: bool) -> Cell:
    return Cell(text, "pass" if met else "fail")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def _methods_section(comparison: dict[str, Any]) -> Section:
    rows = []
    for name, method in comparison["methods"].items():
        ratio: str | Cell = f"{method['ratio_to_ours']:.2f}"
        if name in TARGETS:
            ratio = _judged(f"{method['ratio_to_ours']:.2f}", method["ratio_to_ours"] >= TARGETS[name])
        memory: str | Cell = "unknown"
        if method["peak_bytes"] is not None:
            text = f"{method['peak_bytes'] / MIB:.1f} MiB ({method['peak_share_of_data']:.1%})"
            memory = _judged(text, method["peak_share_of_data"] < MOST_MEMORY) if name == OURS else text
        rows.append(
            (
                name,
                method["what"],
                _milliseconds(method["median_s"]),
                _milliseconds(method["processor_median_s"]),
                ratio,
                f"{method['processor_ratio_to_ours']:.2f}",
                memory,
            )
        )
    columns = ("method", "what", "time", "processor time", "time / ours", "processor / ours", "memory (of the data)")
    caption = (
        f"At log-SNR {comparison['log_snr']:g}. Marked where there is a target: two stacked products at least "
        "1/1.2 of ours, jvp 4, vjp 2.5, naive 30 times ours, memory beyond the inputs below 5 % of the data."
    )
    return Section("Beside other methods", (), (), (Table(caption, columns, tuple(rows)),))


def _levels_section(comparison: dict[str, Any]) -> Section:
    measured = [(f"{level['log_snr']:g}", level) for level in comparison["levels"]]
    measured.append((f"{comparison['log_snr']:g}, on NumPy's arrays", comparison["numpy"]))
    rows = tuple(
        (
            name,
            _milliseconds(level["median_s"]),
            _milliseconds(level["bound_median_s"]),
            _judged(f"{level['share_of_bound']:.2f}", level["share_of_bound"] <= 1.2),
            f"{level['processor_share_of_bound']:.2f}",
        )
        for name, level in measured
    )
    caption = (
        "How many atoms matter, and which have to be computed again from differences, depends on the noise. "
        "The last row is NumPy's, beside NumPy's own products."
    )
    columns = ("log-SNR", "ours", "two stacked products", "ours / products", "processor time / products'")
    return Section("At every noise level", (), (), (Table(caption, columns, rows),))


def _scaling_section(scaling: dict[str, Any]) -> Section:
    rows = tuple(
        (
            f"{what} ({other} fixed at {fit['fixed']:,})",
            ", ".join(f"{size:,}" for size in fit["sizes"]),
            ", ".join(_milliseconds(seconds) for seconds in fit["median_s"]),
            _judged(f"{fit['exponent']:.3f}", abs(fit["exponent"] - 1) <= EXPONENT_WITHIN),
            ", ".join(_milliseconds(seconds) for seconds in fit["bound_median_s"]),
            f"{fit['bound_exponent']:.3f}",
        )
        for what, other, fit in (
            ("atoms", "dimension", scaling["atoms"]),
            ("dimension", "atoms", scaling["dimension"]),
        )
    )
    values = [
        {"varied": what, "size": size / fit["sizes"][0], "seconds": seconds}
        for what, fit in scaling.items()
        for size, seconds in zip(fit["sizes"], fit["median_s"], strict=True)
    ]
    plot = Plot(
        "Time over size, both relative scales; a straight line of slope 1 is linear cost.",
        Axis("size, in multiples of the smallest", log=True),
        Axis("seconds", log=True),
        series_of(values, "size", "seconds", "varied"),
    )
    caption = (
        "Exponents of ours should be within 0.05 of 1. The smallest problem holds 2, the largest 16 times the data of "
        "the comparison above, so that what a call costs whatever its size, some milliseconds, is a small part "
        "of each. The two stacked products took turns with ours; theirs show what the machine does to work that is "
        "linear for certain."
    )
    columns = ("what grows", "sizes", "times", "exponent", "times of the products", "their exponent")
    table = Table(caption, columns, rows)
    return Section("Growth", (), (plot,), (table,))


def _large_section(large: dict[str, Any]) -> Section:
    peak = large["anonymous_peak_bytes"]
    memory = "unknown" if peak is None else _judged(f"{peak / MIB:.0f} MiB", peak < LARGE_MEMORY)
    rows = (
        ("one process", f"{large['one_process_s']:.2f} s", f"{large['threads']} threads"),
        ("two dask workers", f"{large['two_workers_s']:.2f} s", "one thread each"),
        ("workers / process", _judged(f"{large['ratio']:.2f}", large["ratio"] <= LARGE_RATIO), "target: at most 1.3"),
        ("memory that is no file's, at its peak", memory, "of the one process, libraries included; target: 1 GiB"),
        ("largest difference of the answers", f"{large['largest_difference']:.1e}", "over the norm of each"),
    )
    caption = (
        f"{large['atoms']:,} atoms, {large['dimension']:,} dimensions, float32, "
        f"{large['file_bytes'] / 2**30:.1f} GiB, log-SNR {large['log_snr']:g}."
    )
    return Section("A memory map", (), (), (Table(caption, ("what", "measured", "how"), rows),))
