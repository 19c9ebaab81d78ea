"""The pages about studies: everything shown is text, and the page runs and fetches nothing."""

import json
import re

import pytest

from afi_verify.report.study import (
    Axis,
    Cell,
    Gallery,
    Plot,
    Section,
    Series,
    Study,
    Table,
    render_study,
    series_of,
    write_study,
)

PLOT = Plot("One dot.", Axis("x"), Axis("y", log=True), (Series("dots", ((1.0, 2.0), (2.0, float("inf")))),), 16.0)


def a_study(text="plain"):
    table = Table(text, (text, text), ((text, Cell(text, "pass")), (Cell(text), Cell(text, "quiet"))))
    return Study(text, text, "pass", text, (Section(text, (text,), (PLOT,), (table,)),), text, {text: text})


def test_a_page_is_one_document_with_everything_in_it():
    html = render_study(a_study("some words"))
    assert html.count("some words") >= 12
    assert html.count("data-chart=") == html.count("<script>") == 1
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", html)


@pytest.mark.parametrize("payload", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}"])
def test_text_stays_text(payload):
    html = render_study(a_study(payload))
    assert payload not in html or "<" not in payload
    assert "49" not in re.sub(
        r"base64,[\w+/=]+|<style>.*</style>|<script>.*</script>|'sha256-.*?'", "", html, flags=re.S
    )


def test_a_tone_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="tone 'purple' is not known; choose one of"):
        Cell("x", "purple")


def test_both_files_are_written_whole_or_not_at_all(tmp_path):
    page = write_study(a_study(), {"a": 1}, tmp_path / "new")
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    about = dict.fromkeys(("name", "answer", "command"), "plain") | {"tone": "pass", "environment": {"plain": "plain"}}
    assert json.loads((page.parent / "results.json").read_text("utf-8")) == {"page": about, "a": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_study(a_study(), {"a": float("nan")}, tmp_path / "new")
    assert sorted(p.name for p in page.parent.iterdir()) == ["index.html", "results.json"]
    assert json.loads((page.parent / "results.json").read_text("utf-8")) == {"page": about, "a": 1}


def test_plots_are_numbers_in_the_page():
    rows = [{"x": 1, "y": 1 / 3, "who": "b"}, {"x": 2, "y": None, "who": "b"}, {"x": 1e9, "y": -1e-9, "who": "a"}]
    plot = Plot("c", Axis("x", high=5.0), Axis("y", log=True), series_of(rows, "x", "y", "who", line=False))
    assert json.loads(plot.data) == {
        "x": ["x", 0, None, 5], "y": ["y", 1], "limitName": "limit",
        "series": [["b", 0, [[1, 0.3333], [2, None]]], ["a", 0, [[1e9, -1e-9]]]],
    }  # fmt: skip
    assert json.loads(PLOT.data)["series"][0][2][1] == [2, "inf"]


def test_a_picture_that_would_be_fetched_is_refused():
    with pytest.raises(ValueError, match="a page fetches nothing"):
        Gallery("c", (("t", "https://example.org/x.png"),))


def test_sections_have_a_place_in_the_address_of_their_own():
    titles = ("Same title!", "Same title", "σ", "Run", "a" * 99)
    html = render_study(Study("n", "a", "", "l", tuple(Section(title) for title in titles), "c"))
    places = re.findall(r'<section class="part" id="([^"]*)"', html)
    assert places == ["same-title", "same-title-2", "part-3", "run-4", "a" * 40]
