"""Renders the page of a study again from the ``results.json`` beside it."""

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

from afi_verify.errors import UnusableError
from afi_verify.report.landing import write_page
from afi_verify.report.study import Study, render_study, write_numbers

PAGES = {
    "afi-verify/accuracy/1": "afi_verify.bench.accuracy.page:accuracy_study",
    "afi-verify/audit/1": "afi_verify.audit.page:audit_study",
    "afi-verify/bench-oracle/2": "afi_verify.bench.oracle_page:make_study",
    "afi-verify/experiments/transport/1": "afi_verify.experiments.transport.page:transport_study",
    "afi-verify/ground-truth/1": "afi_verify.experiments.ground_truth.page:make_study",
    "afi-verify/likelihood/1": "afi_verify.experiments.likelihood_page:make_study",
    "afi-verify/sd-check/1": "afi_verify.stable_diffusion.check_page:check_study",
    "afi-verify/sd-fig1/1": "afi_verify.stable_diffusion.paper.fig1:make_study",
    "afi-verify/sd-fig2/1": "afi_verify.stable_diffusion.paper.sweep:guidance_study",
    "afi-verify/sd-fig3/1": "afi_verify.stable_diffusion.paper.sweep:seed_study",
    "afi-verify/sd-fig4/1": "afi_verify.stable_diffusion.paper.fig4:make_study",
    "afi-verify/sd-table1/1": "afi_verify.stable_diffusion.paper.table1:make_study",
    "afi-verify/statistics/1": "afi_verify.bench.statistics:make_study",
}
"""What arranges the page of a document, by its schema."""


def write_again(results: Path, page: Path) -> None:
    """Write the page of a study from its numbers.

    Parameters
    ----------
    results : Path
        What :func:`afi_verify.report.study.write_study` wrote. Written again, too, if it is the page's own: what the
        landing page says about it is there.
    page : Path
        Where the page goes, whole or not at all.

    Raises
    ------
    UnusableError
        If the file has no schema that this version has a page for, or not what that page needs.
    ValueError
        If the file is no JSON.
    OSError
        If a file cannot be read or written.
    """
    document = json.loads(results.read_text(encoding="utf-8"))
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema not in PAGES:
        raise UnusableError(f"{results} has the schema {schema!r}, of which this version makes no page.")
    try:
        study = _arrange(PAGES[schema], document)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise UnusableError(f"{results} does not hold what the page of {schema} needs ({error!r}).") from error
    html = render_study(study)
    if page.parent.resolve() == results.parent.resolve():
        write_numbers(study, document, results)
    write_page(html, page)


def _arrange(place: str, document: dict[str, Any]) -> Study:
    about = document.get("page") or {}
    module, _, name = place.partition(":")
    arrange = getattr(importlib.import_module(module), name)
    known = {
        "document": document,
        "command": about.get("command", document.get("command", "")),
        "environment": about.get("environment", document.get("environment", {})),
    }
    study = arrange(**{key: known[key] for key in inspect.signature(arrange).parameters})
    if not isinstance(study, Study):
        raise TypeError(f"{place} returned {type(study).__name__}")
    return study
