"""The page beside an earlier run and beside a ratchet, and what the code under test printed."""

import dataclasses
import re

import pytest
from typer.testing import CliRunner

from afi_verify.cli import app
from afi_verify.ratchet import Ratchet, write_ratchet
from afi_verify.report import history
from afi_verify.report.history import look_back
from afi_verify.results import AdapterResult, Results, Verdict, write_results
from tests.browser.pages import a_check


def a_run(*checks, **changes):
    adapter = AdapterResult("mine", "numpy", "float32", "cpu", "a.py", checks)
    return Results("0.1.0", "ci", 7, False, (adapter,), **changes)


OLD = a_run(
    a_check(1), a_check(2), a_check(3, Verdict.FAIL), a_check(4), a_check(5, worst_error=12.0), a_check(7),
    a_check(8, Verdict.NOT_PROVIDED),
)  # fmt: skip
NEW = a_run(
    a_check(1), a_check(2, Verdict.FAIL, scale=1e6), a_check(3), a_check(4, Verdict.NOT_PROVIDED),
    a_check(5, worst_error=3.0), a_check(6), a_check(8, Verdict.NOT_PROVIDED),
    output={a_check(2).id: "<b>hello\nfrom the code"},
)  # fmt: skip


@pytest.fixture
def run(tmp_path):
    def run(*options, old=OLD, new=NEW):
        write_results(old, tmp_path / "old.json")
        write_results(new, tmp_path / "results.json")
        outcome = CliRunner().invoke(app, ["report", str(tmp_path / "results.json"), *map(str, options)])
        page = tmp_path / "index.html"
        return outcome, " ".join(re.sub(r"<[^>]*>", " ", page.read_text("utf-8")).split()) if page.exists() else ""

    return run


def test_the_page_says_what_changed(run, tmp_path):
    outcome, words = run("--against", tmp_path / "old.json")
    assert outcome.exit_code == 0, outcome.output
    words = words.replace(" , ", ", ")
    assert "1 got worse, 2 no longer run, 2 got better, 1 is new; 1 check as before." in words
    rows = re.findall(r"fisher_trace · prop-5 +(s\d), mine · float32 (\w+) (.*?)(?=fisher_trace|What next)", words)
    assert [row[:2] for row in rows] == [
        ("s2", "worse"), ("s4", "disappeared"), ("s7", "disappeared"), ("s3", "better"), ("s5", "better"),
        ("s6", "appeared"),
    ]  # fmt: skip
    assert rows[0][2].strip() == "pass 3× fail 3.0·10⁶× 1.0·10⁶×"
    assert rows[1][2].strip() == "pass 3× did not run –"
    assert rows[4][2].strip() == "pass 12× pass 3× 0.25×"
    html = (tmp_path / "index.html").read_text("utf-8")
    assert '<a href="#a1-c2">fisher_trace' in html.split('id="changes"')[1]
    assert "Before pass 3×" in words  # in the check's own entry


def test_nothing_changed_is_said_too(run, tmp_path):
    _, words = run("--against", tmp_path / "old.json", new=dataclasses.replace(OLD, seed=8))
    assert "Nothing changed: 6 checks as before." in words
    assert "The runs differ in their seed: 7 and 8." in words


def test_more_changes_than_there_is_room_for_are_counted(monkeypatch):
    monkeypatch.setattr(history, "MOST_CHANGES", 2)
    found = look_back(NEW, OLD, "old.json")
    assert ([step.kind for step in found.steps], found.left_out) == (["worse", "disappeared"], 4)


def test_the_page_says_what_the_ratchet_says(run, tmp_path):
    file = tmp_path / "ratchet.json"
    write_ratchet(Ratchet("ci", 7, {a_check(1).id: 2.9, a_check(2).id: 3.0, a_check(99).id: 1.0}), file)
    _, words = run("--ratchet", file)
    assert "1 worse than recorded." in words
    assert "s2: fail, and it passed when the ratchet was tightened." in words
    write_ratchet(Ratchet("ci", 7, {a_check(1).id: 2.9}), file)
    _, words = run("--ratchet", file)
    assert "All 1 check in" in words


@pytest.mark.parametrize("option", ["--against", "--ratchet"])
def test_what_cannot_be_compared_leaves_the_page_as_it_was(run, tmp_path, option):
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    outcome, words = run(option, tmp_path / "bad.json")
    assert (outcome.exit_code, words) == (2, "")
    assert "bad.json" in outcome.stderr
    outcome = CliRunner().invoke(app, ["report", option, "x.json", "--index", str(tmp_path)])
    assert outcome.exit_code == 2


def test_what_the_code_printed_is_in_its_entry(run):
    _, words = run()
    assert words.count("What it printed &lt;b&gt;hello from the code") == 1
