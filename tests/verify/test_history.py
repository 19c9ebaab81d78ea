"""Results over time: what got better or worse, and a record that only tightens."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner

from afi_verify import Adapter, verify
from afi_verify.cli import app
from afi_verify.comparison import compare
from afi_verify.results import Verdict, write_results

ADAPTER = """
from afi_verify import Adapter

afi = Adapter("mine")


@afi.provides("posterior_mean")
def mean(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha
"""


@pytest.fixture(scope="module")
def results():
    adapters = [Adapter(name) for name in ("a", "b", "c")]
    for adapter in adapters:
        adapter.provides("posterior_mean", lambda x, alpha, sigma, eps: (x - sigma * eps) / alpha)
    return verify(*adapters, roles=["posterior_mean"], scenarios=["dirac"]).results


def with_check(results, name, **changes):
    adapters = tuple(
        dataclasses.replace(a, checks=tuple(dataclasses.replace(check, **changes) for check in a.checks))
        if a.name == name
        else a
        for a in results.adapters
    )
    return dataclasses.replace(results, adapters=adapters)


def without(results, name):
    return dataclasses.replace(results, adapters=tuple(a for a in results.adapters if a.name != name))


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ({}, {}, None),
        ({}, {"verdict": Verdict.FAIL}, "worse"),
        ({}, {"verdict": Verdict.INACCURATE}, "worse"),
        ({"verdict": Verdict.ERROR}, {}, "better"),
        ({"verdict": Verdict.FAIL}, {"verdict": Verdict.ERROR}, None),
        ({"verdict": Verdict.VACUOUS}, {"verdict": Verdict.FAIL}, "worse"),
        ({}, {"verdict": Verdict.NOT_PROVIDED}, "disappeared"),
        ({"verdict": Verdict.NOT_PROVIDED}, {}, "appeared"),
        ({"worst_error": 3.0}, {"worst_error": 7.0}, "worse"),
        ({"worst_error": 3.0}, {"worst_error": 5.0}, None),
        ({"worst_error": 0.1}, {"worst_error": 0.9}, None),
        ({"worst_error": 9.0}, {"worst_error": 0.9}, "better"),
        ({"worst_error": 9.0}, {"worst_error": float("inf")}, "worse"),
    ],
)
def test_what_became_of_a_check(results, old, new, kind):
    comparison = compare(with_check(results, "b", **old), with_check(results, "b", **new))
    assert [(c.check.split("/")[0], c.kind) for c in comparison.changes] == ([("b", kind)] if kind else [])
    assert comparison.unchanged == 3 - bool(kind)
    assert bool(comparison.regressions) == (kind in ("worse", "disappeared"))


def test_compare_from_the_command_line(results, tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    write_results(results, old)
    write_results(without(with_check(results, "b", verdict=Verdict.FAIL, worst_error=1e9), "c"), new)
    same, worse, reverse = run("compare", old, old), run("compare", old, new), run("compare", new, old)
    assert (same.exit_code, worse.exit_code, reverse.exit_code) == (0, 1, 0)
    assert same.stdout == "0 better, 0 worse, 0 appeared, 0 disappeared, 3 as before\n"
    first, second, last = worse.stdout.splitlines()
    assert first.startswith("worse       b/float64/posterior_mean/prop-2/dirac: pass, worst error ")
    assert first.endswith("→ fail, worst error 1e+09")
    assert second.startswith("disappeared c/float64/posterior_mean/prop-2/dirac: pass")
    assert last == "0 better, 1 worse, 0 appeared, 1 disappeared, 1 as before"
    document = json.loads(run("compare", old, new, "--json").stdout)
    assert [change["kind"] for change in document["changes"]] == ["worse", "disappeared"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        ("{", "holds no results that this version can read"),
        ('{"schema": "afi-verify/results/0"}', "cannot read results with schema 'afi-verify/results/0'"),
        ("[]", "must hold a JSON object"),
    ],
)
def test_files_that_cannot_be_compared(results, tmp_path, content, message):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    write_results(results, good)
    if content is not None:
        bad.write_text(content)
    for words in (("compare", good, bad), ("compare", bad, good), ("ratchet", tmp_path / "r.json", bad, "--update")):
        answer = run(*words)
        assert answer.exit_code == 2
        assert str(bad) in answer.stderr
        assert message in answer.stderr
    assert not (tmp_path / "r.json").exists()
    assert content is None or bad.read_text() == content


def test_the_ratchet_only_tightens(results, tmp_path):
    file, found = tmp_path / "ratchet.json", tmp_path / "results.json"

    def ratchet(error, *options, **changes):
        write_results(with_check(results, "b", worst_error=error, **changes), found)
        return run("ratchet", file, found, *options)

    def recorded():
        return json.loads(file.read_text())["worst_errors"]["b/float64/posterior_mean/prop-2/dirac"]

    assert ratchet(4.0).exit_code == 2  # there is none yet
    assert ratchet(4.0, "--update").stdout.endswith("0 tighter, 3 new, 3 in all\n")
    assert recorded() == 4
    assert ratchet(7.0).exit_code == 0  # within the slack
    assert ratchet(7.0, "--update").exit_code == 0
    assert recorded() == 4
    assert ratchet(2.0, "--update").stdout.endswith("1 tighter, 0 new, 3 in all\n")
    before = file.read_text()
    for worse in (ratchet(7.0), ratchet(7.0, "--update"), ratchet(2.0, "--update", verdict=Verdict.INACCURATE)):
        assert worse.exit_code == 1
        assert worse.stdout.startswith("worse: b/float64/posterior_mean/prop-2/dirac: ")
    assert file.read_text() == before
    write_results(dataclasses.replace(results, seed=5), found)
    assert "--seed 0, and this run has --profile quick --seed 5" in run("ratchet", file, found).stderr


def test_a_run_is_held_against_the_ratchet(tmp_path):
    adapter, file, out = tmp_path / "mine.py", tmp_path / "ratchet.json", tmp_path / "out"
    adapter.write_text(ADAPTER)
    words = ["run", adapter, "--role", "posterior_mean", "--scenario", "dirac", "--no-isolation"]
    assert run(*words, "--report", out).exit_code == 0
    assert run("ratchet", file, out / "results.json", "--update").exit_code == 0
    assert run(*words, "--ratchet", file).exit_code == 0
    adapter.write_text(ADAPTER.replace("return (", "return (1 + 3e-15) * ("))
    worse = run(*words, "--ratchet", file)
    assert worse.exit_code == 1
    assert "pass        mine/float64/posterior_mean/prop-2/dirac" in worse.stdout
    assert "worse than the ratchet: mine/float64/posterior_mean/prop-2/dirac: worst error " in worse.stdout
    assert "--seed 0, and this run has" in run(*words, "--ratchet", file, "--seed", "1").stderr
    file.write_text('{"schema": "afi-verify/ratchet/0"}')
    broken = run(*words, "--ratchet", file)
    assert (broken.exit_code, "it is left as it is" in broken.stderr) == (2, True)
