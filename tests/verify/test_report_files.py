"""From files to pages: results of any size, the landing page, the command."""

import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from afi_verify.cli import app
from afi_verify.report import render_report, streaming
from afi_verify.report.landing import write_landing
from afi_verify.report.reading import read_results
from afi_verify.report.streaming import read_results_file
from afi_verify.report.study import Section, Study, write_study
from afi_verify.results import (
    AdapterResult,
    CheckResult,
    Counterexample,
    Point,
    Problem,
    Results,
    Verdict,
    to_json,
)

REPORTS = Path(__file__).parents[2] / "reports"


def a_check(index, verdict=Verdict.PASS):
    points = (Point(-3.25, 1.5, 1e14, 2, 3), Point(float("inf"), float("nan"), 2.0, 2, 3))
    case = Counterexample('"case" \\ [{,}] é', 1, 2, 2, -3.0, None, "message", "x = 1\n")
    return CheckResult(
        f"a/float32/score/eq-27/dirac-{index}", "score", "eq-27", "dirac", "s = …", None, verdict, "", 1, 2, 2, 16.0,
        1.5, 0.5, points=points, simplest=case if verdict is Verdict.FAIL else None,
    )  # fmt: skip


def a_run(*verdicts):
    checks = tuple(a_check(i, verdict) for i, verdict in enumerate(verdicts))
    adapters = tuple(AdapterResult(name, "numpy", "float32", "cpu", "a.py", checks) for name in ("one", "two"))
    return Results("0.1.0", "ci", 7, False, adapters, (Problem("b.py", "broken"),), {"python": "3"}, {"total": 12.25})


def a_study(name="speed", tone="pass"):
    return Study(name, f"Answer of {name}.", tone, "lead", (Section("part"),), "command")


@pytest.mark.parametrize("chunk", [1, 7, 1 << 18])
def test_a_file_read_in_pieces_is_the_file_read_at_once(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(streaming, "_CHUNK", chunk)
    document = json.loads(to_json(a_run(Verdict.PASS, Verdict.FAIL, Verdict.NOT_PROVIDED)))
    expected = repr(read_results(document))  # not ==: there is a NaN in it
    shuffled = dict(random.Random(0).sample(list(document.items()), len(document)))
    shuffled["adapters"] = [dict(reversed(entry.items())) for entry in document["adapters"]]
    for text in (json.dumps(document), json.dumps(document, indent=3, ensure_ascii=False), json.dumps(shuffled)):
        path = tmp_path / "results.json"
        path.write_text(text, encoding="utf-8")
        assert repr(read_results_file(path)) == expected


@pytest.mark.parametrize("cut", [0, 1, 40, 700, -3])
def test_half_a_file_is_no_json(tmp_path, cut):
    path = tmp_path / "results.json"
    path.write_text(to_json(a_run(Verdict.PASS))[:cut], encoding="utf-8")
    with pytest.raises(ValueError, match="is no JSON file"):
        read_results_file(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"adapters": [{"checks": [{}]}], "schema": "other/1"}', "schema 'other/1'"),
        ('{"adapters": [{"checks": [{}]}], "schema": "afi-verify/results/1"}', r"checks\[0\].id: missing"),
        ('{"adapters": [3], "schema": "afi-verify/results/1"}', r"adapters\[0\]: expected an object, got an integer"),
        ('{"adapters": null, "schema": "afi-verify/results/1"}', "adapters: expected a list, got null"),
        ('{"adapters": [{"checks": 1}], "schema": "afi-verify/results/1"}', r"adapters\[0\].checks: expected a list"),
        ('{"adapters": []} trailing', "is no JSON file: more text"),
        ('{1: 2}', "is no JSON file"),
        ("[1, 2", "is no JSON file"),
        ("12", "must hold a JSON object"),
    ],
)  # fmt: skip
def test_a_file_that_is_unusable_says_why(tmp_path, text, message):
    path = tmp_path / "results.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_results_file(path)


def write_run(folder, results):
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(to_json(results), encoding="utf-8")
    outcome = CliRunner().invoke(app, ["report", str(folder / "results.json")])
    assert outcome.exit_code == 0, outcome.output


def test_the_landing_page_says_what_each_page_says(tmp_path):
    write_run(tmp_path / "run", a_run(Verdict.PASS, Verdict.FAIL))
    write_study(a_study(), {"numbers": [1]}, tmp_path / "speed")
    write_study(a_study("<b>old</b>", ""), {}, tmp_path / "old")
    (tmp_path / "old" / "results.json").write_text("{}", encoding="utf-8")  # from before pages said it there
    entries = {entry.folder: entry for entry in write_landing(tmp_path)}
    assert entries["run"].answer.startswith("Not right: 2 of 4 checks failed")
    assert (entries["run"].tone, entries["speed"].tone, entries["old"].tone) == ("fail", "pass", "")
    assert entries["old"].name == "<b>old</b>"
    assert entries["speed"].answer == "Answer of speed."
    html = (tmp_path / "index.html").read_text("utf-8")
    assert html.index("run/index.html") < html.index("speed/index.html")
    assert "&lt;b&gt;old&lt;/b&gt;" in html
    assert "<b>old" not in html
    for name in entries:
        assert (tmp_path / name / "index.html").read_text("utf-8").count("../index.html") == 1
    # A second time changes nothing; a page that is written again links back at once.
    before = {page: page.read_bytes() for page in tmp_path.glob("**/index.html")}
    write_landing(tmp_path)
    assert {page: page.read_bytes() for page in tmp_path.glob("**/index.html")} == before
    write_study(a_study(), {}, tmp_path / "speed")
    assert "../index.html" in (tmp_path / "speed" / "index.html").read_text("utf-8")


def test_a_page_without_a_landing_page_above_links_nowhere(tmp_path):
    (tmp_path / "index.html").write_text("somebody else's page", encoding="utf-8")
    write_study(a_study(), {}, tmp_path / "speed")
    assert "../index.html" not in (tmp_path / "speed" / "index.html").read_text("utf-8")


def test_what_cannot_be_read_is_listed_as_such(tmp_path):
    write_study(a_study(), {}, tmp_path / "speed")
    (tmp_path / "speed" / "results.json").write_text("{", encoding="utf-8")
    outcome = CliRunner().invoke(app, ["report", "--index", str(tmp_path), "--json"])
    assert outcome.exit_code == 1
    assert json.loads(outcome.stdout)["entries"][0]["tone"] == "error"
    assert "speed: results.json cannot be read" in outcome.stderr


@pytest.mark.parametrize("name", ["transport", "likelihood"])
def test_a_study_is_rendered_again_from_its_numbers(tmp_path, name):
    numbers = tmp_path / "results.json"
    numbers.write_bytes((REPORTS / name / "results.json").read_bytes())
    outcome = CliRunner().invoke(app, ["report", str(numbers)])
    assert outcome.exit_code == 0, outcome.output
    page = (tmp_path / "index.html").read_text("utf-8")
    before, after = (json.loads(path.read_text("utf-8")) for path in (REPORTS / name / "results.json", numbers))
    assert before == after
    assert after["page"]["answer"] in page
    assert "data-chart=" in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": "afi-verify/likelihood/1"}', "does not hold what the page of afi-verify/likelihood/1 needs"),
        ('{"schema": "afi-verify/other/1"}', "cannot read results with schema 'afi-verify/other/1'"),
    ],
)
def test_numbers_that_no_page_can_be_made_of(tmp_path, text, message):
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    outcome = CliRunner().invoke(app, ["report", str(tmp_path / "results.json")])
    assert (outcome.exit_code, list(tmp_path.iterdir())) == (2, [tmp_path / "results.json"])
    assert message in outcome.stderr


@pytest.mark.parametrize("arguments", [[], ["missing.json"], ["--index", "missing"]])
def test_unusable_arguments(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(app, ["report", *arguments])
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("unusable: ")


def twice(document):
    """The document with each adapter a second time, under another name."""
    copies = json.loads(json.dumps(document["adapters"]))
    for adapter in copies:
        adapter["name"] += "-again"
        for check in adapter["checks"]:
            check["id"] = check["id"].replace("/", "-again/", 1)
    return {
        **document,
        "adapters": document["adapters"] + copies,
        "sum": {k: 2 * n for k, n in document["sum"].items()},
    }


def test_the_shipped_set_is_rendered_fast_and_small_even_if_it_grows():
    text = (REPORTS / "shipped" / "results.json").read_text("utf-8")
    start = time.process_time()
    document = json.loads(text)
    json.dumps(document)
    read = time.process_time() - start
    start = time.process_time()
    html = render_report(document)
    rendered = time.process_time() - start
    # 2 s is about 60 times what Python needs to read and write the JSON; measured: 5 to 10 times.
    assert rendered < 60 * read
    assert len(html.encode()) < 500_000
    page = render_report(twice(document))
    assert len(page.encode()) < 700_000
    assert "There is no room for the details" not in page


SMALL = """{{"id": "many/float32/{role}/eq-27/dirac-{i}", "role": "{role}", "claim": "eq-27", "scenario": "dirac-{i}",
"statement": "s", "printed": null, "verdict": "{verdict}", "message": "It is off, number {i}.", "cases": 1, "items": 2,
"evidence": 2, "limit": 16.0, "worst_error": {error}, "median_error": 1.0,
"points": [[-3.0, 1.5, 1e14, 2, 3], [5.0, {error}, 10.0, 2, 3]]}}"""

RENDER = """
import sys
from pathlib import Path
from afi_verify.report import write_report
write_report(Path(sys.argv[1]), Path(sys.argv[2]))
# Not getrusage, whose maximum begins with what the parent process had.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory is measured in KiB on Linux alone")
def test_a_hundred_thousand_checks_fit_a_page_and_bounded_memory(tmp_path):
    source, target = tmp_path / "results.json", tmp_path / "index.html"
    adapter = {"name": "many", "backend": "numpy", "dtype": "float32", "device": "cpu", "source": "a.py", "checks": []}
    run = {"version": "1", "profile": "ci", "seed": 0, "strict": False, "schema": "afi-verify/results/1"}
    head, tail = json.dumps({**run, "adapters": [adapter]}).split("[]}]")
    with source.open("w", encoding="utf-8") as file:
        file.write(head + "[")
        for i in range(100_000):
            verdict = "fail" if i % 1000 == 7 else "pass"
            error = 1e6 + i if verdict == "fail" else 1 + i % 11
            file.write("," * (i > 0) + SMALL.format(i=i, role=f"role_{i % 9}", verdict=verdict, error=float(error)))
        file.write("]}]" + tail)
    command = [sys.executable, "-c", RENDER, str(source), str(target)]
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    html = target.read_text("utf-8")
    assert len(html.encode()) < 5_000_000
    assert "100 of 100000 checks failed" in html
    assert len(re.findall(r'<details class="check" id=', html)) == 300
    assert html.count('data-verdict="fail"') == 100
    assert peak < 300_000  # KiB; measured: 165,000
