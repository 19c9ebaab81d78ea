"""A page of the report about a study: tables, plots and sentences, rendered to one HTML file that runs no code.

A study is an experiment about the tool or the paper rather than about one implementation: the accuracy of the oracles,
the kill matrix, a benchmark. The module that runs one writes its numbers as JSON, and arranges that JSON, and nothing
else, as a :class:`Study`.
"""

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import vl_convert
from markupsafe import Markup

from afi_verify.report.landing import write_page, write_whole
from afi_verify.report.page import content_policy, make_environment, read_asset

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
class Plot:
    """A Vega-Lite specification with its data, and the sentence that says what it shows."""

    caption: str
    specification: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page: sentences, then plots, then tables."""

    title: str
    paragraphs: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
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
    """Render a study as a complete HTML document that fetches nothing and runs nothing."""
    style = read_asset("report.css")
    return (
        make_environment()
        .get_template("study.html.jinja")
        .render(
            study=study,
            style=Markup(style),  # noqa: S704 - the package's own file
            policy=content_policy(style, []),
            picture=_picture,
            cell=lambda entry: entry if isinstance(entry, Cell) else Cell(str(entry)),
        )
    )


def write_study(study: Study, document: dict[str, Any], folder: Path) -> Path:
    """Write ``<folder>/results.json`` and ``<folder>/index.html``, each whole or not at all; return the page's path.

    ``results.json`` is ``document`` with the name, the answer and the tone of the study under ``"page"``: what a
    landing page says about it. If there is a landing page in the folder above, the page links to it.

    Raises
    ------
    ValueError
        If ``document`` holds a number that JSON cannot hold.
    OSError
        If a file cannot be written; what was there is then unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {"name": study.name, "answer": study.answer, "tone": study.tone}
    numbers = json.dumps({"page": about, **document}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    page = render_study(study)
    write_whole(numbers, folder / "results.json")
    write_page(page, folder / "index.html")
    return folder / "index.html"


def _picture(plot: Plot) -> str:
    svg = vl_convert.vegalite_to_svg({"background": "white", "width": 560, "height": 260, **plot.specification})
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
