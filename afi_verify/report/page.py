"""Renders the page: one HTML file that fetches nothing and runs no code but its own script."""

import base64
import dataclasses
import functools
import gzip
import hashlib
import itertools
import json
from collections.abc import Sequence
from importlib import resources

import jinja2
from markupsafe import Markup

from afi_verify.report import wording
from afi_verify.report.history import History, RatchetView
from afi_verify.report.packing import Pack
from afi_verify.report.view import AdapterView, CheckView, Page, arrange, fits
from afi_verify.results import Results, Verdict

LARGEST = 1_000_000
"""Bytes that a page should stay below, unless it has a table of all checks: it is attached to mails and tickets."""

INLINE_ROOM = 120_000
"""Characters of details that stand in the page as markup, readable without its script."""

PACKED_ROOM = 350_000
"""Bytes of details and scripts that the page's script unpacks."""

SCRIPTS = ("page.js", "plot.js", "chart.js", "check.js", "beside.js", "report.js")


@dataclasses.dataclass(frozen=True)
class Details:
    """Where the details of the checks are: in the page by anchor, or packed by name."""

    inline: dict[str, Markup]
    packed: Pack


def render(results: Results, history: History | None = None, ratchet: RatchetView | None = None) -> str:
    """Render the report of one run as a single HTML document, in as much detail as it has room for."""
    html = ""
    for paged in (False, True) if fits(results) else (True,):
        html = _render(arrange(results, paged=paged, history=history, ratchet=ratchet))
        if len(html.encode()) < LARGEST:
            break
    return html


def _render(page: Page) -> str:
    details = _details(page)
    style, script = read_asset("report.css"), read_scripts(*SCRIPTS)
    return (
        make_environment()
        .get_template("report.html.jinja")
        .render(
            page=page,
            inline=details.inline,
            packed=details.packed,
            pack=details.packed.finish() if details.packed else "",
            table=pack(json.dumps(page.table, separators=(",", ":"))) if page.table else "",
            style=Markup(style),  # noqa: S704 - the package's own file
            script=Markup(script),  # noqa: S704 - the package's own file
            policy=content_policy(style, [script]),
        )
    )


def _details(page: Page) -> Details:
    # The most urgent first, so that what has no room is what matters least.
    body = make_environment().get_template("body.html.jinja")
    inline: dict[str, Markup] = {}
    packed = Pack(PACKED_ROOM)
    room = INLINE_ROOM

    def settle(view: CheckView) -> None:
        nonlocal room
        for example in view.examples:
            if example.case.script:
                packed.add(example.file_name, example.case.script)
        text = body.render(view=view, packed=packed)
        if view.check.verdict is not Verdict.PASS and len(text) <= room:
            room -= len(text)
            inline[view.anchor] = Markup(text)  # noqa: S704 - a template's output, in which all text is escaped
        else:
            packed.add(view.anchor, text)

    for view in page.ranked:
        settle(view)
    return Details(inline, packed)


def content_policy(style: str, scripts: list[str]) -> str:
    """Return the Content-Security-Policy of a page with one style element and these scripts."""
    # The page may run the scripts with these hashes and nothing else, so that text which slipped through the
    # escaping still could not run.
    allowed = " ".join(_hash(text) for text in scripts) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def pack(text: str) -> str:
    """Return a text compressed with gzip, as base64."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()


def read_asset(name: str) -> str:
    """Return the text of one of the package's own files."""
    return resources.files("afi_verify.report").joinpath("assets", name).read_text(encoding="utf-8")


def read_scripts(*names: str) -> str:
    """Return some of the package's own scripts as one, without what only a reader of the source needs."""
    lines = (line.strip() for name in names for line in read_asset(name).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/**"))) + "\n"


@functools.cache
def make_environment() -> jinja2.Environment:
    """Return the templates' environment, in which all text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("afi_verify.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(number=wording.number, times=wording.times, groupby_run=_runs)
    environment.globals.update(
        verdicts=wording.VERDICTS, terms=wording.TERMS, plural=wording.plural, slug=_slug, Verdict=Verdict
    )
    return environment


def _runs(adapters: Sequence[AdapterView]) -> list[tuple[str, list[AdapterView]]]:
    groups = itertools.groupby(adapters, key=lambda view: view.adapter.name)
    return [(name, list(group)) for name, group in groups]


def _slug(verdict: Verdict) -> str:
    return verdict.value.replace(" ", "-")
