"""The command line, the document and the page of the audit."""

import json

import pytest
from typer.testing import CliRunner

from afi_properties.audit import catalogue
from afi_verify.audit import run
from afi_verify.audit.page import audit_study
from afi_verify.audit.run import is_confirmed, run_audit, select
from afi_verify.cli import app
from afi_verify.report.study import render_study


@pytest.fixture(scope="module")
def document():
    return run_audit(select(["eq-10", "prop-6", "fig-1", "prose-2.3-storage", "prose-A.8-step"]), 40, 2000, 0)


def test_the_document_counts_what_was_found(document):
    assert is_confirmed(document)
    assert document["counts"] == {
        "holds with correction": 2,
        "not testable here": 1,
        "measured": 1,
        "false": 1,
    }
    json.dumps(document, allow_nan=False)


def test_the_page_typesets_and_escapes(document):
    rows = [{**row, "note": "<script>alert(1)</script>", "title": "<b>"} for row in document["entries"]]
    page = render_study(audit_study({**document, "entries": rows}, "afi-verify audit"))
    assert page.count("<math") >= 8
    assert page.count("<script") == 1  # the page's own
    assert "http://" not in page.replace("http://www.w3.org/1998/Math/MathML", "")


def test_a_verdict_that_does_not_come_out_shows(document):
    rows = [{**row, "as_expected": row["label"] != "eq-10"} for row in document["entries"]]
    changed = {**document, "entries": rows, "as_expected": len(rows) - 1}
    assert not is_confirmed(changed)
    assert "1 of 5 verdicts did not come out" in render_study(audit_study(changed, "afi-verify audit"))


def test_a_violated_bound_shows(document):
    bounds = {**document["bounds"], "trace": {**document["bounds"]["trace"], "violations": 1}}
    assert not is_confirmed({**document, "bounds": bounds})


def test_exit_statuses(tmp_path, monkeypatch):
    runner = CliRunner()
    result = runner.invoke(app, ["audit", "eq-10", "--json", "--report", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["entries"][0]["verdict"] == "holds with correction"
    assert (tmp_path / "out" / "index.html").exists()
    assert runner.invoke(app, ["audit", "eq-99"]).exit_code == 2
    assert runner.invoke(app, ["audit", "--profile", "no"]).exit_code == 2
    assert "eq-57" in runner.invoke(app, ["audit", "--list"]).stdout
    part, entries = next(iter(catalogue.SECTIONS.items()))
    wrong = tuple(e for e in entries if e.label == "eq-9")
    monkeypatch.setattr(run, "SECTIONS", {part: tuple(_with_right_print(e) for e in wrong)})
    assert runner.invoke(app, ["audit", "eq-9"]).exit_code == 1


def _with_right_print(entry):
    import dataclasses

    return dataclasses.replace(entry, printed=entry.corrected)
