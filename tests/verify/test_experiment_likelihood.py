"""The study of the likelihood: what it measures on a small version, and its page."""

import json

import pytest

pytest.importorskip("torch")

from afi_verify.experiments import likelihood
from afi_verify.experiments.likelihood_page import as_it_should, make_study
from afi_verify.implementations.torch_solvers import ORDERS
from afi_verify.report.study import render_study


@pytest.fixture(scope="module")
def document():
    found = likelihood.run_likelihood(dimensions=(3,), steps=(20, 40, 80), tolerances=(1e-4, 1e-6), points=8, seed=3)
    return json.loads(json.dumps({"command": "it <runs>", "environment": {}, **found}))


def test_orders_are_those_of_the_solvers(document):
    for row in document["fixed"]:
        assert row["order"] == pytest.approx(ORDERS[row["solver"]], abs=0.15)


def test_a_second_order_solver_comes_near_the_truth(document):
    assert {row["solver"] for row in document["fixed"]} == set(ORDERS)
    for row in document["fixed"]:
        if row["solver"] == "dpm2":
            assert row["largest"][-1] < 5 * likelihood.GOAL


def test_adaptive_errors_follow_the_tolerance(document):
    for loose, tight in zip(document["adaptive"][::2], document["adaptive"][1::2], strict=True):
        assert tight["largest"] < 1e-4
        assert tight["rms"] < loose["rms"] / 10
        assert tight["evaluations"] > loose["evaluations"]


def test_steps_that_suffice():
    row = {"steps": [5, 10, 20, 40], "largest": [1e-4, 2e-3, 1e-3, 1e-4]}
    assert likelihood.steps_for(row) == 20
    assert likelihood.steps_for({"steps": [5], "largest": [1.0]}) is None


def test_the_page_says_what_the_numbers_say(document):
    assert not as_it_should(document)  # 80 steps are too few for 1e-3
    page = render_study(make_study(document))
    assert "Some solver does not" in page
    assert "it &lt;runs&gt;" in page
    for row in document["fixed"]:
        row["largest"] = [likelihood.GOAL / 2] * 3
    assert as_it_should(document)
    assert "every solver converges with its order" in render_study(make_study(document))
