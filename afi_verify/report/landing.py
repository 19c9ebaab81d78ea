"""The page that links the pages below a folder, each with its answer; and how those pages link back."""

import dataclasses
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from markupsafe import Markup

from afi_verify.report import overview
from afi_verify.report.page import content_policy, make_environment, read_asset, read_scripts
from afi_verify.report.streaming import read_results_file
from afi_verify.report.topics import ORDER, OTHERS, RUNS, topic_of
from afi_verify.report.wording import count, plural
from afi_verify.results import SCHEMA, Results, Verdict, count_verdicts

UNREAD = "results.json cannot be read"

_MARK = '<meta name="generator" content="afi-verify report --index">'
_CONTENTS = '<nav aria-label="Contents">'
_BACK = '<a href="../index.html">All reports</a>'
_TONES = {"pass", "fail", "inaccurate", "undecided", "error", "vacuous", ""}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A page below the folder, and its answer in one sentence."""

    folder: str
    name: str
    answer: str
    tone: str  # that of its headline; "error" where it could not be read
    topic: str = OTHERS
    facts: str = ""  # its key numbers, where the answer has not got them


def write_landing(folder: Path) -> tuple[Entry, ...]:
    """Write ``<folder>/index.html``, which links every ``<folder>/*/index.html``, and make those link back.

    What is said about a page comes from the ``results.json`` beside it: the headline of a run, or what
    :func:`afi_verify.report.study.write_study` put there under ``"page"``; for a page without, from its own headline.

    Parameters
    ----------
    folder : Path
        A folder with reports and studies in folders of their own.

    Returns
    -------
    tuple of Entry
        The pages, by folder.

    Raises
    ------
    OSError
        If a page cannot be read or written.
    """
    pages = sorted(folder.glob("*/index.html"))
    entries = tuple(_read_entry(page) for page in pages)
    write_whole(render_landing(entries), folder / "index.html")
    for page in pages:
        old = page.read_text(encoding="utf-8")
        if (new := _linked(old)) != old:
            write_whole(new, page)
    return entries


def render_landing(entries: Sequence[Entry]) -> str:
    """Render the landing page, by topic; in each, what is not right first."""
    style, script = read_asset("report.css"), read_scripts("page.js", "landing.js")
    order = {tone: place for place, tone in enumerate(("fail", "error", "undecided", "inaccurate", "vacuous"))}
    entries = sorted(entries, key=lambda entry: (order.get(entry.tone, len(order)), entry.folder))
    template = make_environment().get_template("landing.html.jinja")
    return template.render(
        entries=entries,
        topics=[(topic, some) for topic in ORDER if (some := [entry for entry in entries if entry.topic == topic])],
        wrong=sum(entry.tone in order for entry in entries),
        script=Markup(script),  # noqa: S704 - the package's own file
        style=Markup(style),  # noqa: S704 - the package's own file
        policy=content_policy(style, [script]),
        mark=Markup(_MARK),  # noqa: S704 - the package's own text
    )


def write_page(html: str, path: Path) -> None:
    """Write a page, whole or not at all, with a link to the landing page in the folder above, if there is one."""
    landing = path.resolve().parent.parent / "index.html"
    above = landing.read_text(encoding="utf-8", errors="replace") if landing.is_file() else ""
    write_whole(_linked(html) if _MARK in above else html, path)


def write_whole(text: str, path: Path) -> None:
    """Write a file, whole or not at all: what was there stays if it cannot be written."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _linked(html: str) -> str:
    # The text of a page is escaped, so its first navigation element is the template's.
    return html if _BACK in html else html.replace(_CONTENTS, f"{_CONTENTS}\n{_BACK}", 1)


def _read_entry(page: Path) -> Entry:
    folder = page.parent.name
    results = page.with_name("results.json")
    try:
        if not results.is_file():
            return _from_headline(page)
        schema = schema_of(results)
        if schema == SCHEMA:
            return _from_run(folder, read_results_file(results))
        about = json.loads(results.read_text(encoding="utf-8")).get("page")
    except (ValueError, AttributeError) as error:
        return Entry(folder, folder, f"{UNREAD}: {error}", "error")
    return dataclasses.replace(_from_study(folder, about) or _from_headline(page), topic=topic_of(schema))


def _from_run(folder: str, results: Results) -> Entry:
    found, counts = overview.headline(results), count_verdicts(results.checks)
    verdicts = [f"{count(counts[verdict])} {verdict}" for verdict in Verdict if counts[verdict]]
    adapters = plural(len({adapter.name for adapter in results.adapters}), "adapter")
    facts = f"{adapters}; {', '.join(verdicts)}; profile {results.profile}, seed {results.seed}."
    return Entry(folder, f"Accuracy: {folder}", found.answer, str(found.tone).replace(" ", "-"), RUNS, facts)


def schema_of(results: Path) -> str | None:
    """Return the schema that a ``results.json`` names near its start or its end; None if there is none.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    # The file of a run may be large, so it is not parsed for this.
    size = results.stat().st_size
    with results.open("rb") as file:
        start = file.read(3000)
        file.seek(max(0, size - 3000))
        found = re.search(rb'"schema":\s*"(afi-verify/[^"]*)"', start + file.read())
    return found[1].decode(errors="replace") if found else None


def _from_study(folder: str, about: Any) -> Entry | None:
    if not isinstance(about, dict):
        return None
    name, answer, tone = (about.get(key) for key in ("name", "answer", "tone"))
    if not (isinstance(name, str) and isinstance(answer, str) and tone in _TONES):
        return None
    return Entry(folder, name, answer, tone)


def _from_headline(page: Path) -> Entry:
    reader = _Headline()
    reader.feed(page.read_text(encoding="utf-8", errors="replace"))
    tone = reader.tone if reader.tone in _TONES else ""
    name = " ".join("".join(reader.title).split()).removesuffix(": afi-verify")
    return Entry(page.parent.name, name, " ".join("".join(reader.answer).split()), tone)


class _Headline(HTMLParser):
    """Collects the title and the first headline of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.title: list[str] = []
        self.answer: list[str] = []
        self.tone = ""
        self._into: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._into = self.title
        elif tag == "h1" and not self.answer:
            self._into, self.tone = self.answer, dict(attrs).get("class") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("title", "h1"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into.append(data)
