"""Renders the page: one HTML file that fetches nothing and runs no code but its own two scripts."""

import base64
import functools
import gzip
import hashlib
import json
from importlib import resources
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from afi_verify.report import wording
from afi_verify.report.view import Detail, Page, arrange
from afi_verify.results import Results, Verdict

LARGEST = 1_000_000
"""Bytes that a page should stay below: it is attached to mails and tickets."""

DETAILS = (Detail(12, 100_000), Detail(8, 20_000), Detail(8, 0), Detail(5, 0))
"""Tried in this order until the page is small enough; the last is taken as it comes."""


def render(results: Results) -> str:
    """Render the report of one run as a single HTML document, in as much detail as it has room for."""
    template = make_environment().get_template("report.html.jinja")
    html = ""
    for detail in DETAILS:
        page = arrange(results, detail)
        html = template.render(page=page, **_assets(page))
        if len(html.encode()) < LARGEST:
            break
    return html


def embed_json(value: Any) -> Markup:
    """Write JSON that may stand inside a script element, whatever text is in it.

    A parser of HTML looks for ``</script`` and ``<!--`` whatever the element's type is; the two line
    separators end a line in older JavaScript.
    """
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - every character that could leave the element is escaped above


def _assets(page: Page) -> dict[str, Any]:
    style, script = read_asset("report.css"), read_asset("report.js")
    code, packed_code = _plotting_code()
    hashes = [script, code] if page.charts["plots"] else [script]
    return {
        "style": Markup(style),  # noqa: S704 - the package's own file
        "script": Markup(script),  # noqa: S704 - the package's own file
        "policy": content_policy(style, hashes),
        "plotting_code": packed_code if page.charts["plots"] else "",
        "charts_json": embed_json(page.charts),
        "packed_scripts": _pack(json.dumps(page.packed_scripts)) if page.packed_scripts else "",
    }


def content_policy(style: str, scripts: list[str]) -> str:
    """Return the Content-Security-Policy of a page with one style element and these scripts."""
    # The page may run the scripts with these hashes and nothing else, so that text which slipped through the
    # escaping still could not run. Vega would need 'unsafe-eval' for its expressions; report.js therefore
    # has them interpreted (`ast: true`).
    allowed = " ".join(_hash(text) for text in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _pack(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()


@functools.cache
def _plotting_code() -> tuple[str, str]:
    # Bundling takes seconds and its result never changes within a process.
    code = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    return code, _pack(code)


def read_asset(name: str) -> str:
    """Return the text of one of the package's own files."""
    return resources.files("afi_verify.report").joinpath("assets", name).read_text(encoding="utf-8")


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
    environment.filters.update(number=wording.number, times=wording.times)
    environment.globals.update(
        verdicts=wording.VERDICTS, terms=wording.TERMS, plural=wording.plural, slug=_slug, Verdict=Verdict
    )
    return environment


def _slug(verdict: Verdict) -> str:
    return verdict.value.replace(" ", "-")
