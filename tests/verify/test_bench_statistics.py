"""The count of false alarms and misses, small: it counts what it says, and a broken promise shows."""

import copy
import json

import pytest
from typer.testing import CliRunner

from afi_verify.bench import statistics
from afi_verify.cli import app


@pytest.fixture(scope="module")
def document():
    return statistics.run_statistics(20, seed=1)


def test_every_repetition_has_an_outcome(document):
    for row in document["estimates"] + document["losses"]:
        assert sum(row["outcomes"].values()) == document["repetitions"] == 20
        assert row["median_answers"] > 0


def test_stated_rates_are_kept_and_a_broken_one_shows(document):
    assert statistics.kept(document)
    for row, outcome in (("innocent", "biased"), ("guilty", "right")):
        broken = copy.deepcopy(document)
        number = 0 if row == "innocent" else 2
        broken["estimates"][number]["outcomes"] = dict.fromkeys(document["estimates"][0]["outcomes"], 0) | {outcome: 20}
        assert not statistics.kept(broken)
        assert statistics.make_study(broken, "command", {}).tone == "fail"
    assert statistics.make_study(document, "command", {}).tone == "pass"


def test_the_command_writes_a_page(tmp_path):
    options = ["--repetitions", "2", "--report", str(tmp_path), "--json"]
    answer = CliRunner().invoke(app, ["bench", "statistics", *options])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["repetitions"] == 2
    assert "Stated rates kept over 2 repetitions" in (tmp_path / "index.html").read_text(encoding="utf-8")
