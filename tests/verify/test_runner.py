"""The run: its sums, its exit status, its files, and what it refuses."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from afi_properties.catalogue import CLAIMS, RANDOM_CLAIMS, RELATIONS, TRAJECTORY_CLAIMS
from afi_verify import Adapter, UnusableError, examination, verify
from afi_verify.checks import run_check
from afi_verify.examination import Kind
from afi_verify.planning import OWN_DATA, make_plan, planned_checks
from afi_verify.results import SCHEMA, CheckResult, Problem, Results, Verdict, count_verdicts, to_json, write_results
from afi_verify.runner import run_plan

DIRAC = sum(claim.family == "dirac" for claim in CLAIMS)
GAUSSIAN = sum(claim.family == "gaussian-mixture" for claim in CLAIMS)
# Checked on cases of their own alone.
DRAWN = len(RANDOM_CLAIMS) + sum(claim.family == "dirac" for claim in TRAJECTORY_CLAIMS)
DRAWN_GAUSSIAN = sum(claim.family == "gaussian-mixture" for claim in TRAJECTORY_CLAIMS)
ABOUT_SCORE = sum(("score",) in relation.roles for relation in RELATIONS)
ATOMS = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])


def right_mean(x, alpha, sigma, data, weights):
    distances = ((x[:, None] - alpha * data) ** 2).sum(-1)
    logits = np.log(weights) - distances / (2 * sigma**2)
    w = np.exp(logits - logits.max(axis=1, keepdims=True))
    w /= w.sum(axis=1, keepdims=True)
    nearest = data[w.argmax(axis=1)]
    return nearest + (w[..., None] * (data - nearest[:, None])).sum(1)


def raises(x, data):
    raise RuntimeError("out of order")


def returns_nan(x, data):
    return np.full_like(x, np.nan)


def an_adapter(function=right_mean, role="posterior_mean", name="subject", **options):
    adapter = Adapter(name, event_shape=(2,), **options)
    adapter.provides(role, function)
    return adapter


def quick(*adapters, **options):
    return verify(*adapters, scenarios=["dirac"], **options)


def a_check(verdict, **changes):
    numbers = {"cases": 1, "items": 1, "evidence": 1, "limit": 16.0, "worst_error": 1.0, "median_error": 1.0}
    check = CheckResult("id", "score", "eq-27", "dirac", "statement", None, verdict, "", **numbers)
    return dataclasses.replace(check, **changes)


def some_results(*verdicts, strict=False, problems=()):
    results = Results("0", "quick", 0, strict, (), problems)
    adapter = quick(an_adapter(), roles=["score"]).results.adapters[0]
    checks = tuple(a_check(verdict) for verdict in verdicts)
    return dataclasses.replace(results, adapters=(dataclasses.replace(adapter, checks=checks),))


@pytest.mark.parametrize("function", [right_mean, raises, returns_nan], ids=lambda f: f.__name__)
def test_planned_is_the_sum_of_all_verdicts(function):
    results = quick(an_adapter(function)).results
    counts = count_verdicts(results.checks)
    assert counts.pop("planned") == sum(counts.values()) == len(results.checks) == DIRAC + DRAWN
    assert set(counts) == {verdict.value for verdict in Verdict}
    assert counts["not provided"] == DIRAC + DRAWN - 1


def test_every_role_that_is_not_provided_says_so():
    for check in quick(an_adapter()).results.checks:
        if check.role != "posterior_mean":
            assert check.verdict == Verdict.NOT_PROVIDED
            assert check.message == f"The adapter provides no {check.role} for dirac data."


@pytest.mark.parametrize(
    ("scenarios", "roles", "data", "count"),
    [
        ([], [], None, 2 * DIRAC + GAUSSIAN + DRAWN + DRAWN_GAUSSIAN + len(RELATIONS)),
        (["dirac"], [], None, DIRAC + DRAWN),
        (["gaussian-mixture"], [], None, GAUSSIAN + DRAWN_GAUSSIAN),
        (["digits"], [], None, DIRAC),
        ([], ["score"], None, 3 + ABOUT_SCORE),
        (["no-oracle"], ["score"], None, ABOUT_SCORE),
        (["no-oracle"], [], None, len(RELATIONS)),
        ([], ["fisher_trace_matching"], None, 2 + 3),
        ([], [], ATOMS, DIRAC + len(RELATIONS)),
        (["dirac"], [], ATOMS, 2 * DIRAC + DRAWN),
        (["dirac", "dirac"], ["score", "score"], None, 1),
    ],
)
def test_planned_checks_are_counted_by_scenario_and_role(scenarios, roles, data, count):
    plan = make_plan(profile="quick", seed=0, scenarios=scenarios, roles=roles, data=data, weights=None)
    checks = planned_checks(an_adapter(), plan)
    assert len(checks) == len({check.id for check in checks}) == count


def test_results_json_round_trips():
    results = quick(an_adapter(), an_adapter(raises, name="other"), seed=3).results
    document = json.loads(to_json(results))
    assert document["schema"] == SCHEMA == "afi-verify/results/1"
    assert document["seed"] == 3
    assert document["exit_status"] == results.exit_status == 1
    assert document["sum"] == count_verdicts(results.checks)
    for adapter, entry in zip(results.adapters, document["adapters"], strict=True):
        assert entry["sum"] == count_verdicts(adapter.checks)
        assert [check["id"] for check in entry["checks"]] == [check.id for check in adapter.checks]
        assert [check["verdict"] for check in entry["checks"]] == [check.verdict for check in adapter.checks]
        assert [len(check["points"]) for check in entry["checks"]] == [len(check.points) for check in adapter.checks]


def test_numbers_that_json_cannot_hold_are_written_as_strings():
    check = a_check(Verdict.FAIL, worst_error=float("inf"), median_error=float("nan"), limit=float("-inf"))
    results = some_results(Verdict.PASS)
    results = dataclasses.replace(results, adapters=(dataclasses.replace(results.adapters[0], checks=(check,)),))
    (written,) = json.loads(to_json(results))["adapters"][0]["checks"]
    assert (written["worst_error"], written["median_error"], written["limit"]) == ("inf", "nan", "-inf")


def test_an_answer_of_nan_is_written_as_an_infinite_error():
    (check,) = quick(an_adapter(returns_nan), roles=["posterior_mean"]).results.checks
    assert check.verdict == Verdict.FAIL
    assert check.worst_error == float("inf")


@pytest.mark.parametrize(
    ("verdict", "status", "strict_status"),
    [
        (Verdict.PASS, 0, 0),
        (Verdict.FAIL, 1, 1),
        (Verdict.ERROR, 1, 1),
        (Verdict.UNDECIDED, 1, 1),
        (Verdict.INACCURATE, 0, 1),
        (Verdict.VACUOUS, 0, 1),
        (Verdict.NOT_PROVIDED, 0, 0),
    ],
)
def test_exit_status_of_each_verdict(verdict, status, strict_status):
    assert some_results(Verdict.PASS, verdict).exit_status == status
    assert some_results(Verdict.PASS, verdict, strict=True).exit_status == strict_status


def test_exit_status_is_2_where_something_was_unusable():
    assert some_results(Verdict.FAIL, problems=(Problem("adapter.py", "no adapter"),)).exit_status == 2


def without_environment(results):
    document = json.loads(to_json(results))
    del document["environment"], document["seconds"]
    return json.dumps(document)


@pytest.mark.parametrize(
    "function", [right_mean, raises, lambda x, data: x * 0 + data[0]], ids=["right", "raises", "wrong"]
)
def test_the_same_seed_gives_the_same_results_byte_for_byte(function):
    one, other = (quick(an_adapter(function), seed=5, profile="quick").results for _ in range(2))
    assert without_environment(one) == without_environment(other)


def test_another_seed_gives_other_cases():
    one, other = (quick(an_adapter(), seed=seed).results for seed in (0, 1))
    assert without_environment(one) != without_environment(other)


def test_what_else_is_run_does_not_change_a_result():
    alone = quick(an_adapter(), seed=5).results.adapters[0]
    together = quick(an_adapter(raises, name="other"), an_adapter(), seed=5).results.adapters[1]
    assert alone == together


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    path.write_text("old")

    def full(self, *args, **kwargs):
        with self.open("w") as file:
            file.write("half")
        raise OSError("no space left on device")

    results = some_results(Verdict.PASS)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space left"):
        write_results(results, path)
    assert path.read_text() == "old"


def test_a_failing_write_leaves_no_partial_file(tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        with self.open("w") as file:
            file.write("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space left"):
        write_results(some_results(Verdict.PASS), tmp_path / "results.json")
    assert list(tmp_path.iterdir()) == []


def test_written_results_are_whole_and_nothing_else_is_left(tmp_path):
    results = some_results(Verdict.PASS)
    write_results(results, tmp_path / "results.json")
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == to_json(results)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_two_adapters_of_one_name_and_dtype_are_refused():
    with pytest.raises(UnusableError, match=r"Two adapters are called 'subject' in float64; give them different names"):
        quick(an_adapter(), an_adapter())


def test_one_name_may_have_several_dtypes():
    results = quick(an_adapter(), an_adapter(dtype="float32"), roles=["posterior_mean"]).results
    assert [check.verdict for check in results.checks] == [Verdict.PASS, Verdict.PASS]


def test_nothing_to_verify_is_refused():
    with pytest.raises(UnusableError, match="pass at least one Adapter"):
        verify()


def test_a_claim_with_a_wrong_formula_that_equals_the_truth_is_vacuous():
    adapter = an_adapter()
    (provided,) = adapter.functions.values()
    claim = dataclasses.replace(provided.claim, wrong={**provided.claim.wrong, "a twin": lambda i, right: right})
    adapter.functions["posterior_mean", "dirac"] = dataclasses.replace(provided, claim=claim)
    plan = make_plan(profile="quick", seed=0, scenarios=["dirac"], roles=["posterior_mean"], data=None, weights=None)
    (check,) = planned_checks(adapter, plan)
    examination._known_truths.clear()
    result = run_check(check, plan)
    examination._known_truths.clear()
    assert result.verdict == Verdict.VACUOUS
    assert result.evidence == 0
    assert "“a twin”" in result.message


def test_verify_on_own_data_checks_them_at_every_noise_level():
    result = verify(an_adapter(), data=ATOMS, roles=["posterior_mean"]).results.checks[0]
    assert (result.scenario, result.verdict) == (OWN_DATA, Verdict.PASS)
    assert (result.cases, result.items) == (21, 21)
    assert {point.dimension for point in result.points} == {2}
    assert {point.atoms for point in result.points} == {4}
    assert {round(point.log_snr) for point in result.points} == set(range(-20, 21, 2))


def test_verify_on_own_data_uses_the_weights():
    def forgetful(x, alpha, sigma, data, weights):
        return right_mean(x, alpha, sigma, data, np.ones_like(weights))

    options = {"data": ATOMS, "weights": np.array([0.7, 0.1, 0.1, 0.1]), "roles": ["posterior_mean"]}
    verdicts = [verify(an_adapter(f), **options).results.checks[0].verdict for f in (right_mean, forgetful)]
    assert verdicts == [Verdict.PASS, Verdict.FAIL]


def test_a_counterexample_on_own_data_has_few_atoms():
    result, *_ = verify(an_adapter(lambda x, data: x), data=ATOMS, roles=["posterior_mean"]).results.checks
    assert result.verdict == Verdict.FAIL
    assert (result.simplest.batch, result.simplest.atoms) == (1, 1)


def test_the_listener_hears_of_each_check_before_and_after():
    heard = []
    plan = make_plan(profile="quick", seed=0, scenarios=["dirac"], roles=["score"], data=None, weights=None)
    run_plan(plan, [an_adapter()], listener=lambda check, result: heard.append((check.id, result and result.verdict)))
    assert [verdict for _, verdict in heard] == [None, Verdict.NOT_PROVIDED]


def test_verdicts_weigh_wrong_above_error_above_undecided_above_lost_digits():
    assert max(Kind) == Kind.WRONG
    assert sorted([Kind.WRONG, Kind.RIGHT, Kind.UNDECIDED, Kind.ERROR, Kind.INACCURATE]) == list(Kind)
