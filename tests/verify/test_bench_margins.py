"""The command that measures margins: what it counts, what it calls a miss, and that an interrupted run goes on."""

import json

import pytest
from typer.testing import CliRunner

from afi_verify.bench.margins.measure import cells_of
from afi_verify.bench.margins.page import margins_study, misses
from afi_verify.bench.margins.run import run_margins
from afi_verify.cli import app
from afi_verify.report.study import render_study

ROW = {
    "kind": "oracle",
    "claim": "score",
    "roles": "",
    "family": "dirac",
    "dtype": "float32",
    "dimension": 2,
    "cases": 10,
    "asked": 10,
    "seed": 0,
    "wide": 4,
    "telling": 9,
    "median": 5.0,
    "hardest": "<b>sign</b>",
}


def document(*rows):
    return {"wide": 10.0, "dimensions": [1, 2], "cases": 10, "dtypes": ["float32"], "seed": 0, "rows": list(rows)}


def test_every_kind_of_claim_is_measured_where_it_is_drawn():
    cells = cells_of(60, 0)
    assert {cell.kind for cell in cells} == {"oracle", "relation", "trajectory", "training"}
    assert {cell.dimension for cell in cells if cell.kind == "oracle"} == {1, 2, 16, 256, 4096}
    assert {cell.dimension for cell in cells if cell.claim == "symmetry"} == {2, 16}
    assert len(set(cells)) == len(cells)


def test_fewer_than_half_are_a_miss_but_of_trainings():
    assert misses(document(ROW, {**ROW, "wide": 5}, {**ROW, "kind": "training"})) == [
        "score, dirac, float32, d=2: 4 of 10, hardest: <b>sign</b>"
    ]
    page = render_study(margins_study(document(ROW), "afi-verify bench margins", {}))
    assert "4/10" in page
    assert "<b>sign" not in page


def test_a_run_goes_on_where_it_was_interrupted(tmp_path):
    kept = tmp_path / "cells.jsonl"
    arguments = {"cases": 2, "seed": 1, "resume": kept}
    first = run_margins(["tweedie"], **arguments)
    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join(lines[:-1]) + lines[-1][:20])
    told = []
    assert run_margins(["tweedie"], progress=lambda *one: told.append(one), **arguments) == first
    assert len(told) == 1


def test_the_command(tmp_path):
    words = ["bench", "margins", "--claim", "tweedie", "--cases", "2", "--report", str(tmp_path), "--json"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code in (0, 1)
    rows = json.loads(found.stdout)["rows"]
    assert {row["claim"] for row in rows} == {"tweedie"}
    assert (tmp_path / "index.html").exists()


@pytest.mark.parametrize("words", [["--claim", "nothing"], ["--resume", __file__]])
def test_unusable_arguments(words):
    found = CliRunner().invoke(app, ["bench", "margins", "--cases", "1", *words])
    assert found.exit_code == 2
    assert "unusable" in found.stderr
