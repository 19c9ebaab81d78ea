"""The diagnosis: names the mistake that was made, and none where none of its own explains the answers."""

import dataclasses
import functools

import numpy as np
import pytest

from afi_properties.catalogue import CLAIMS
from afi_properties.diagnosis import Exhibit, Family, Fault, explain
from afi_properties.diagnosis.exhibit import Fit
from afi_properties.diagnosis.explanation import FAMILIES
from afi_properties.diagnosis.factors import Coefficients, Factor, find_factor
from afi_properties.diagnosis.named import fault_named
from afi_properties.diagnosis.regimes import find_flag, find_threshold
from afi_properties.inputs import make_inputs
from afi_properties.judgement import find_truth
from afi_properties.known_jacobian import skew_eps_for
from afi_properties.precision import PRECISIONS
from afi_properties.strategies import Demand, stratified_problems

IDS = [f"{claim.role}-{claim.family}" for claim in CLAIMS]
RNG = np.random.default_rng(0)


@functools.cache
def right_exhibits(index, dtype="float64"):
    """Some cases of a claim, each with the right answer, rounded."""
    claim = CLAIMS[index]
    demand = Demand(family=claim.family, largest_dimension=min(16, claim.largest_dimension), eps_kinds=claim.eps_kinds)
    exhibits = []
    for problem in stratified_problems(demand, 2, seed=3):
        skew = None
        if problem.eps_kind == "skew":
            skew = skew_eps_for(problem.values["x"], problem.values["sigma"], problem.seed)
        values = {name: value.astype(dtype).astype(float) for name, value in problem.values.items()}
        truth = find_truth(claim, values, problem, skew, PRECISIONS[dtype])
        inputs = make_inputs(values, skew=skew)
        exhibits.append(Exhibit(claim, problem, inputs, truth.answer.astype(dtype), truth, PRECISIONS[dtype]))
    return exhibits


def answered(exhibits, answer):
    """The same cases, answered by a function of the exhibit; None stands for the truth."""
    changed = []
    for e in exhibits:
        with np.errstate(all="ignore"):
            new = answer(e)
        changed.append(
            dataclasses.replace(e, answer=e.answer if new is None else np.asarray(new).astype(e.answer.dtype))
        )
    return changed


def per_point(factor, answer):
    return factor.reshape(-1, *[1] * (answer.ndim - 1)) * answer


def test_every_fault_has_one_family():
    members = [fault for faults in FAMILIES.values() for fault in faults]
    assert sorted(members) == sorted(Fault)
    assert set(FAMILIES) == set(Family)
    assert Fault.SIGN.family is Family.TERMS


@pytest.mark.parametrize("index", range(len(CLAIMS)), ids=IDS)
def test_right_answers_need_no_explanation(index):
    assert explain(right_exhibits(index)) is None


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("index", range(len(CLAIMS)), ids=IDS)
def test_each_wrong_formula_is_named_or_one_of_its_family(index, dtype):
    for name, formula in CLAIMS[index].wrong.items():
        wrong = answered(right_exhibits(index, dtype), lambda e, f=formula: f(e.inputs, e.truth.answer))
        if any(e.wrong.any() for e in wrong):
            found = explain(wrong)
            assert found is not None, name
            assert name in found.sentence or found.fault is fault_named(name), (name, found)


@pytest.mark.parametrize(
    ("factor", "fault", "words"),
    [
        (lambda e: e.inputs.sigma, Fault.POWER_OF_SIGMA, "times σ"),
        (lambda e: e.inputs.sigma**2, Fault.POWER_OF_SIGMA, "times σ²"),
        (lambda e: np.full(len(e.answer), 1.01), Fault.CONSTANT, "times 1.01"),
        (lambda e: np.full(len(e.answer), 1 / e.inputs.dimension), Fault.ONE_OVER_D, "times d⁻¹"),
        (lambda e: np.full(len(e.answer), float(e.problem.batch)), Fault.BATCH, "times B"),
    ],
)
@pytest.mark.parametrize("index", range(len(CLAIMS)), ids=IDS)
def test_a_factor_is_found(index, factor, fault, words):
    wrong = answered(right_exhibits(index), lambda e: per_point(factor(e), e.truth.answer))
    found = explain(wrong)
    assert found is not None
    # Some factors are among the claim's own wrong formulas.
    assert words in found.sentence or "wrong formula" in found.sentence
    assert found.fault is fault


# All hypotheses are tried in vain, which takes seconds: on one claim in three.
@pytest.mark.parametrize("index", range(0, len(CLAIMS), 3), ids=IDS[::3])
def test_noise_has_no_explanation(index):
    def noisy(e):
        return e.truth.answer * (1 + np.random.default_rng(e.problem.seed).uniform(0.1, 0.5, e.answer.shape))

    assert explain(answered(right_exhibits(index), noisy)) is None


def test_the_search_is_given_up_after_so_much_work(monkeypatch):
    minus = answered(right_exhibits(0), lambda e: -e.truth.answer)
    assert explain(minus).fault is Fault.SIGN
    monkeypatch.setattr("afi_properties.diagnosis.search.MOST_WORK", 3 * minus[0].size)
    assert explain(minus) is None


def test_few_points_support_nothing_and_many_do_where_rounding_is_a_part_of_the_deviation():
    assert not Fit(explained=3, supporting=3).convinces
    assert Fit(explained=4, supporting=4).convinces
    assert Fit(explained=1, telling=1).convinces


def test_a_formula_that_a_right_answer_contradicts_is_not_named():
    cases = right_exhibits(0)
    half = answered(cases, lambda e: -e.truth.answer if e.problem.dimension > 2 else None)
    assert explain(half) is None
    found = find_threshold(half, [e.wrong for e in half])
    assert found is not None
    assert found.fault is Fault.DIMENSION


@pytest.mark.parametrize(
    ("flag", "fault"),
    [
        (lambda e: e.problem.batch == 1, Fault.BROADCASTING),
        (lambda e: e.problem.batch == e.problem.atoms, Fault.BROADCASTING),
        (lambda e: e.problem.strided, Fault.STRIDES),
    ],
)
def test_a_circumstance_is_found(flag, fault):
    def noisy_there(e):
        return e.truth.answer * RNG.uniform(2, 3, e.answer.shape) if flag(e) else None

    cases = answered(right_exhibits(0), noisy_there)
    found = find_flag(cases, [e.wrong for e in cases])
    assert found is not None
    assert found.fault is fault


def test_too_few_points_set_nothing_apart():
    cases = right_exhibits(0)[:2]
    wrong = [np.ones(e.problem.batch, bool) for e in cases]
    assert find_flag(cases, wrong) is None
    assert find_threshold(cases, wrong) is None


def test_the_simplest_factor_is_chosen_and_the_factor_one_never():
    logs = RNG.normal(size=(20, 6))
    tolerances = np.full(20, 1e-9)
    assert find_factor(Coefficients(np.ones(20), tolerances, logs)) is None
    assert find_factor(Coefficients(np.zeros(20), tolerances, logs)) == Factor(0.0)
    values = -2 * np.exp(logs @ [0, 2, 0, 0, 0, 0])
    assert find_factor(Coefficients(values, tolerances, logs)) == Factor(-2.0, sigma=2.0)
    assert str(Factor(-1.0, alpha=-1.0, dimension=0.5)) == "−α⁻¹d⁰·⁵"
    assert find_factor(Coefficients(RNG.normal(size=20), tolerances, logs)) is None
