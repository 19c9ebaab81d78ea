"""The campaign for false accusations: it accuses nobody in a part, sees an accusation, and goes on where it stopped."""

import dataclasses
import json

import pytest

from afi_verify.report.study import render_study
from tests.zoo import campaign
from tests.zoo.campaign import Accusation, Done, Task, main, read
from tests.zoo.campaign_page import as_ranges, make_document, make_study

pytest.importorskip("torch")

ONE = Done(Task("innocent", "<i>someone", "float64", "quick", 3), "0" * 8, 1.0, 3, 0, 40, 90, ())


def test_nobody_is_accused_and_nothing_is_done_twice(tmp_path, monkeypatch, capsys):
    few = [t for t in campaign.tasks_of("quick", range(7, 8), ("innocent",)) if t.subject.startswith("score")][:2]
    monkeypatch.setattr(campaign, "tasks_of", lambda *_: few)
    file = tmp_path / "campaign.jsonl"
    assert few
    assert main(["--seeds", "7", "--file", str(file), "--report", str(tmp_path / "page")]) == 0
    assert "0 accusations" in capsys.readouterr().out
    before = file.read_text("utf-8")
    file.write_text(before + before[:50], "utf-8")  # cut off in the middle of a line
    monkeypatch.setattr(campaign, "carry_out", lambda task: pytest.fail(f"{task} again"))
    assert main(["--seeds", "7", "--file", str(file)]) == 0
    assert file.read_text("utf-8") == before
    assert all(done.checks > 0 and done.cases > 0 for done in read(file))


def test_an_accusation_is_counted_and_stays_text(tmp_path):
    accusation = Accusation("score/eq-27/dirac", "fail", "<script>", "a_dirac_1")
    file = tmp_path / "campaign.jsonl"
    done = dataclasses.replace(ONE, accusations=(accusation,))
    file.write_text(json.dumps(dataclasses.asdict(done)) + "\n", "utf-8")
    assert main(["--file", str(file)]) == 1
    document = make_document(read(file))
    assert document["parts"][0]["accused"] == 1
    page = render_study(make_study(document))
    assert "1 false accusations" in page
    assert page.count("<script>") == 1  # the page's own
    assert "<i>someone" not in page


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, capsys):
    file = tmp_path / "campaign.jsonl"
    file.write_text('{"a": 1}\n{"a": 2}\n', "utf-8")
    with pytest.raises(SystemExit) as exit_:
        main(["--file", str(file)])
    assert exit_.value.code == 2
    assert "line 1" in capsys.readouterr().err
    assert file.read_text("utf-8") == '{"a": 1}\n{"a": 2}\n'


def test_ranges():
    assert as_ranges([]) == ""
    assert as_ranges([0, 1, 2, 5, 7, 8]) == "0-2, 5, 7-8"
