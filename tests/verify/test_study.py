"""The pages about studies: everything shown is text, and the page runs and fetches nothing."""

import json
import re

import pytest

from afi_verify.report.study import Cell, Plot, Section, Study, Table, render_study, write_study

PLOT = Plot(
    "One dot.",
    {
        "data": {"values": [{"x": 1, "y": 2}]},
        "mark": "point",
        "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
    },
)


def a_study(text="plain"):
    table = Table(text, (text, text), ((text, Cell(text, "pass")), (Cell(text), Cell(text, "quiet"))))
    return Study(text, text, "pass", text, (Section(text, (text,), (PLOT,), (table,)),), text, {text: text})


def test_a_page_is_one_document_with_everything_in_it():
    html = render_study(a_study("some words"))
    assert html.count("some words") >= 12
    assert "data:image/svg+xml;base64," in html
    assert not re.search(r"<script|(?:src|href)=\"(?!data:|#)", html)


@pytest.mark.parametrize("payload", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}"])
def test_text_stays_text(payload):
    html = render_study(a_study(payload))
    assert payload not in html or "<" not in payload
    assert "49" not in re.sub(r"base64,[\w+/=]+", "", html).replace("#", "")


def test_a_tone_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="tone 'purple' is not known; choose one of"):
        Cell("x", "purple")


def test_both_files_are_written_whole_or_not_at_all(tmp_path):
    page = write_study(a_study(), {"a": 1}, tmp_path / "new")
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    about = {"name": "plain", "answer": "plain", "tone": "pass"}
    assert json.loads((page.parent / "results.json").read_text("utf-8")) == {"page": about, "a": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_study(a_study(), {"a": float("nan")}, tmp_path / "new")
    assert sorted(p.name for p in page.parent.iterdir()) == ["index.html", "results.json"]
    assert json.loads((page.parent / "results.json").read_text("utf-8")) == {"page": about, "a": 1}
