"""The command of the kill matrix: what it prints and writes, and its exit status."""

import dataclasses
import json

import pytest

from afi_verify.report.study import render_study
from tests.zoo.__main__ import main
from tests.zoo.matrix import Outcome, Record
from tests.zoo.page import make_study
from tests.zoo.summary import describe, summarise

pytest.importorskip("torch")


def record(kind="mutant", *verdicts, name="score/some_sin", cases=3) -> Record:
    outcomes = tuple(
        Outcome(
            animal=name,
            dtype="float64",
            check=f"score/eq-27/{scenario}",
            verdict=verdict,
            message="",
            seconds=0.1 if verdict in ("fail", "inaccurate") else None,
            cases=cases if verdict in ("fail", "inaccurate") else None,
            atoms=1 if verdict == "fail" else None,
            dimension=2 if verdict == "fail" else None,
            diagnosis=None,
            fault=None,
        )
        for scenario, verdict in zip(("dirac", "digits"), verdicts, strict=False)
    )
    methods = {"gradcheck": None, "allclose": True, "assert_close": False, "finite differences": False}
    return Record(name, kind, "score", "numpy", "<b>what</b>", "sign", (3, 3), outcomes, {"float64": methods})


WELL = [
    record("mutant", "fail", "pass", name="score/seen_by_dirac"),
    record("mutant", "pass", "fail", name="score/seen_by_digits"),
    record("innocent", "pass", "vacuous", name="right"),
    record("inaccurate", "inaccurate", "pass", name="lossy"),
]


def test_all_is_well():
    summary = summarise(WELL)
    assert summary["ok"], describe(summary)


@pytest.mark.parametrize(
    ("extra", "where"),
    [
        (record("mutant", "pass", "pass"), "survivors"),
        (record("mutant", "vacuous", "pass"), "survivors"),
        (record("innocent", "pass", "inaccurate"), "accused"),
        (record("innocent", "error", "pass"), "accused"),
        (record("inaccurate", "fail", "inaccurate"), "losing_digits_misjudged"),
        (record("inaccurate", "pass", "pass"), "losing_digits_misjudged"),
    ],
)
def test_what_is_not_well(extra, where):
    summary = summarise([*WELL, extra])
    assert not summary["ok"]
    assert len(summary[where]) == 1
    assert f"{where}: " in describe(summary)


def test_a_check_must_catch_something_alone():
    summary = summarise([record("mutant", "fail", "fail"), *WELL[2:]])
    assert summary["superfluous_checks"] == ["score/eq-27/digits", "score/eq-27/dirac"]
    assert not summary["ok"]
    assert summarise([record("mutant", "fail", "fail"), *WELL[2:]], whole=False)["ok"]


@pytest.mark.parametrize(("fault", "counts"), [("sign", (1, 1)), ("term dropped", (0, 1)), ("state", (0, 0))])
def test_a_diagnosis_is_right_or_of_the_right_family_or_wrong(fault, counts):
    wrong = record("mutant", "fail")
    outcomes = (dataclasses.replace(wrong.outcomes[0], diagnosis="is wrong", fault=fault),)
    summary = summarise([dataclasses.replace(wrong, outcomes=outcomes)], whole=False)
    assert (summary["diagnosis_names_the_fault"], summary["diagnosis_names_its_family"]) == counts
    assert summary["with_diagnosis"] == 1


def test_same_results_whatever_the_number_of_processes(capsys, tmp_path):
    only = ["--only", "score/sign", "kahan-summation", "--profile", "quick", "--json"]
    documents = []
    for jobs in ("1", "2"):
        assert main([*only, "-j", jobs, "--report", str(tmp_path)]) == 0
        document = json.loads(capsys.readouterr().out)
        for animal in document["animals"]:
            for outcome in animal["outcomes"]:
                outcome["seconds"] = outcome["seconds"] is not None
        documents.append(document["animals"])
    assert documents[0] == documents[1]
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "mutants caught, 0 of 1 right ones accused" in page
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["animals"]


def test_what_is_written_in_a_mutant_is_text_on_the_page():
    document = {"summary": summarise(WELL), "animals": [dataclasses.asdict(r) for r in WELL], "command": "c"}
    page = render_study(make_study({**json.loads(json.dumps(document)), "environment": {}}))
    assert "&lt;b&gt;what&lt;/b&gt;" in page
    assert "<b>what</b>" not in page


@pytest.mark.parametrize("arguments", [["--only", "no-such-animal"], ["--profile", "huge"], ["-j", "0"]])
def test_bad_usage(arguments):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
