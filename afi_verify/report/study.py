"""A page of the report about a study: tables, plots and sentences, rendered to one HTML file that fetches nothing.

A study is an experiment about the tool or the paper rather than about one implementation: the accuracy of the oracles,
the kill matrix, a benchmark. The module that runs one writes its numbers as JSON, and arranges that JSON, and nothing
else, as a :class:`Study`.
"""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup

from afi_verify.report.landing import write_page, write_whole
from afi_verify.report.page import content_policy, make_environment, read_asset, read_scripts
from afi_verify.report.plots import Axis, Gallery, Plot, Series, series_of

__all__ = [
    "Axis",
    "Cell",
    "Gallery",
    "Plot",
    "Section",
    "Series",
    "Study",
    "Table",
    "render_study",
    "series_of",
    "write_study",
]

PLOT_SCRIPTS = ("page.js", "plot.js", "chart.js", "study.js")
SCRIPTS = ("page.js", "study.js")

_NUMBER = re.compile(
    r"[-−+±<>≈]?\d[^a-zA-Z]*([eE][-+]?\d+)?[^a-zA-Z]*$|[–—·]?$|(NaN|not finite|nan|∞)$|[\d.,]+ ?\w{1,3}$"
)
_MOST_ALIGNED = 16  # columns that the style sheet knows to align

TONES = ("", "pass", "fail", "inaccurate", "undecided", "error", "vacuous", "quiet")


@dataclasses.dataclass(frozen=True)
class Cell:
    """A table's cell: plain text, and how it is meant (one of ``TONES``; a verdict's tone adds its mark)."""

    text: str
    tone: str = ""

    def __post_init__(self) -> None:
        if self.tone not in TONES:
            raise ValueError(f"tone {self.tone!r} is not known; choose one of: {', '.join(TONES)}.")


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: the first entry of a row is its header; text or cells."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page: a sentence, plots, the other sentences, pictures, tables."""

    title: str
    paragraphs: tuple[str, ...] = ()
    plots: tuple[Plot | Gallery, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclasses.dataclass(frozen=True)
class Study:
    """A whole page: the answer first, in one sentence."""

    name: str  # what kind of study, for the title
    answer: str  # the headline: what was found
    tone: str  # of the headline: "pass", "fail" or ""
    lead: str
    sections: tuple[Section, ...]
    command: str  # what makes this page again
    environment: dict[str, str] = dataclasses.field(default_factory=dict)


def render_study(study: Study) -> str:
    """Render a study as a complete HTML document that fetches nothing and runs no code but its own script."""
    plotted = any(isinstance(plot, Plot) for section in study.sections for plot in section.plots)
    style, script = read_asset("report.css"), read_scripts(*(PLOT_SCRIPTS if plotted else SCRIPTS))
    return (
        make_environment()
        .get_template("study.html.jinja")
        .render(
            study=study,
            style=Markup(style),  # noqa: S704 - the package's own file
            script=Markup(script),  # noqa: S704 - the package's own file
            policy=content_policy(style, [script]),
            anchors=_anchors(study),
            numeric=_numeric,
            rows=sum(len(table.rows) for section in study.sections for table in section.tables),
            cell=lambda entry: entry if isinstance(entry, Cell) else Cell(str(entry)),
        )
    )


def write_study(study: Study, document: dict[str, Any], folder: Path) -> Path:
    """Write ``<folder>/results.json`` and ``<folder>/index.html``, each whole or not at all; return the page's path.

    ``results.json`` is ``document`` with the name, the answer, the tone, the command and the environment of the study
    under ``"page"``: what a landing page says about it, and what ``afi-verify report`` needs to render the page again.
    If there is a landing page in the folder above, the page links to it.

    Raises
    ------
    ValueError
        If ``document`` holds a number that JSON cannot hold.
    OSError
        If a file cannot be written; what was there is then unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = render_study(study)
    write_numbers(study, document, folder / "results.json")
    write_page(page, folder / "index.html")
    return folder / "index.html"


def write_numbers(study: Study, document: dict[str, Any], path: Path) -> None:
    """Write the ``results.json`` of a study, as :func:`write_study` does."""
    about = {key: getattr(study, key) for key in ("name", "answer", "tone", "command", "environment")}
    write_whole(_compact({"page": about} | {key: value for key, value in document.items() if key != "page"}), path)


def _compact(document: dict[str, Any]) -> str:
    """Return JSON with a line for each entry near its top: most of an indented file would be white space."""
    text = json.dumps(document, indent=1, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return re.sub(r"\n {3,}|\n {2}(?=[}\]])", "", text) + "\n"


def _numeric(table: Table) -> str:
    """Return the classes that align the columns of numbers: `` n2`` where the second is one."""
    columns = zip(*table.rows, strict=False)
    texts = [[entry.text if isinstance(entry, Cell) else str(entry) for entry in column] for column in columns]
    numbers = [all(map(_NUMBER.match, column)) and any(c.isdigit() for c in "".join(column)) for column in texts]
    return "".join(f" n{place}" for place, found in enumerate(numbers, 1) if found and 1 < place <= _MOST_ALIGNED)


def _anchors(study: Study) -> list[str]:
    """Return the places of the sections in the address, made from their titles."""
    found: list[str] = []
    for number, section in enumerate(study.sections, 1):
        words = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")[:40].strip("-")
        found.append(f"{words or 'part'}-{number}" if not words or words in (*found, "run", "main") else words)
    return found
