"""The experiment with ground truth: its small version runs, goes on where it stopped, says what is supported."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
from afi_reference import DiracMixture  # noqa: E402
from afi_verify.cli import app  # noqa: E402
from afi_verify.experiments.ground_truth import fields, run, summary  # noqa: E402
from afi_verify.experiments.ground_truth.antipodes import measure_antipodes  # noqa: E402
from afi_verify.experiments.ground_truth.problems import SCHEDULE, Problem, make_problem, noise_at, time_at  # noqa: E402
from afi_verify.experiments.ground_truth.settings import QUICK  # noqa: E402

COMMAND = ["experiment", "ground-truth", "--quick"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ground-truth")
    answer = CliRunner().invoke(app, [*COMMAND, "--resume", f"{folder}/cells", "--report", f"{folder}/out"])
    assert answer.exit_code == 0, answer.output
    return folder


def test_it_runs_and_writes_a_page(folder):
    page = (folder / "out/index.html").read_text()
    document = json.loads((folder / "out/results.json").read_text())
    assert len(document["cells"]) == len(QUICK.names) * QUICK.seeds
    assert "the small version" in page
    for cell in document["cells"]:
        likelihood = {(row["method"], row["steps"]): row["error"] for row in cell["likelihood"]}
        assert likelihood["exact", 8] < likelihood["exact", 4] / 2  # the second order shows
        assert cell["adjoint"]["exact"]["cosine"] > 0.98
        assert all(0 < row["operator"]["symmetric part"] <= row["operator"]["VJP"] for row in cell["fields"])


def test_what_is_finished_is_not_done_again(folder, monkeypatch):
    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(run, "run_cell", never)
    answer = CliRunner().invoke(app, [*COMMAND, "--resume", f"{folder}/cells", "--json"])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["cells"] == json.loads((folder / "out/results.json").read_text())["cells"]
    (folder / "other").write_text('{"no": "cell"}\n')
    answer = CliRunner().invoke(app, [*COMMAND, "--resume", f"{folder}/other"])
    assert answer.exit_code == 2
    assert "does not hold cells" in answer.output


def test_the_same_seed_gives_the_same_numbers(folder):
    again = run.run_cell("mixture", 0, QUICK)
    (first, *_) = json.loads((folder / "out/results.json").read_text())["cells"]
    for part in ("fields", "likelihood", "adjoint", "guidance", "learning"):
        assert json.loads(json.dumps(again[part])) == first[part]


def test_the_exact_functions_of_a_problem_are_exact():
    for name in ("mixture", "sample", "digits"):
        problem = make_problem(name, QUICK)
        t = time_at(0.5)
        alpha, sigma = noise_at(t)
        x = np.random.default_rng(0).standard_normal((3, problem.dimension))
        points, v = torch.from_numpy(x), torch.ones(3, problem.dimension, dtype=torch.float64)
        truth = problem.law.fisher(x, alpha, sigma)
        np.testing.assert_allclose(problem.trace()(points, t), np.trace(truth, axis1=1, axis2=2), rtol=1e-9)
        np.testing.assert_allclose(problem.operator()(points, t, v), truth.sum(axis=2), rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(problem.eps(points, t), -sigma * problem.law.score(x, alpha, sigma), rtol=1e-9)


def test_the_jacobian_of_the_exact_epsilon_is_the_exact_operator():
    """So an error of the VJP is the network's, not the measurement's."""
    problem = make_problem("mixture", QUICK)
    t = time_at(0.0)
    alpha, sigma = noise_at(t)
    x = np.random.default_rng(1).standard_normal((2, problem.dimension))
    jacobian = torch.stack(
        [
            torch.autograd.functional.jacobian(lambda p: problem.eps(p[None], t)[0], point)
            for point in torch.from_numpy(x)
        ]
    )
    np.testing.assert_allclose(jacobian / sigma, problem.law.fisher(x, alpha, sigma), rtol=1e-7, atol=1e-8)


def test_endpoints_of_the_exact_flow_are_atoms():
    law = DiracMixture(np.array([[1.0, 0.0], [-1.0, 2.0]]))
    problem = Problem("two", "two atoms", law, None, 0.0, 1, 1, 1, 1)
    ends = fields.endpoints(problem.eps, torch.tensor([[1.0, 0.0], [-1.0, 2.0]], dtype=torch.float64), time_at(1.0))
    np.testing.assert_allclose(ends, law.atoms, atol=1e-6)
    assert SCHEDULE.t_min < time_at(1.0) < SCHEDULE.t_max


def test_eq_20_is_exact_on_antipodes_and_nowhere_far_from_the_origin():
    rows = measure_antipodes()
    assert max(row["AFI-EA"] for row in rows if row["offset"] == 0) < 1e-12
    assert all(row["AFI-EA"] > row["trivial"] for row in rows if row["offset"] == 3)


@pytest.mark.parametrize(
    ("first", "second", "sign"),
    [
        ([0.1, 0.11, 0.1, 0.09], [0.5, 0.52, 0.49, 0.5], -1),
        ([0.5, 0.52, 0.49, 0.5], [0.1, 0.11, 0.1, 0.09], 1),
        ([0.1, 0.9, 0.2, 0.5], [0.5, 0.5, 0.5, 0.5], 0),
        ([0.1], [0.5], 0),  # one network proves nothing
        ([1e-12, 1e-13], [1e-9, 1e-8], 0),  # all of it rounding
    ],
)
def test_a_comparison_needs_support(first, second, sign):
    assert summary.compare(first, second) == sign


def test_sentences_follow_the_signs():
    say = summary.say
    assert say("A", "B", "it", "d", {0: -1, 2: 1, 4: 0}) == (
        "d: A is nearer it than B at log-SNR 0 and farther from it at 2 (undecided at 4)."
    )
    assert say("A", "B", "it", "d", {0: 1, 2: 1}) == "d: A is farther from it than B at log-SNR 0, 2."
    assert re.search("undecided at every noise level", say("A", "B", "it", "d", {0: 0}))


def test_a_fitted_rate_is_the_slope():
    cells = [{"problem": "p", "learning": [{"steps": n, "relative": 3 * n**-0.5} for n in (10, 100, 1000)]}]
    assert summary.fitted_rates({"cells": cells}, "p") == [pytest.approx(0.5)]


def test_intervals_are_students():
    found = summary.estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.high - found.mean) == (2.0, pytest.approx(4.3027 / 3**0.5, rel=1e-4))
