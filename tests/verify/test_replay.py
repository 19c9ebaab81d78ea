"""``afi-verify replay``: what it prints, its exit status, and what it refuses."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from afi_verify import Adapter, verify
from afi_verify.cli import app
from afi_verify.drawing import draw_problems, shrink
from afi_verify.errors import UnusableError
from afi_verify.examination import Kind, examine
from afi_verify.loading import load_adapters
from afi_verify.profiles import Profile
from afi_verify.replay import replay

EXAMPLES = Path(__file__).parents[2] / "examples"
BROKEN = str(EXAMPLES / "broken" / "sigma_cubed.py")
A_CASE = "a_dirac_1x2x2_shared_r1_o0_uniform_rectified-flow@2_s5"


def invoke(*arguments):
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


def test_a_wrong_answer_is_shown_beside_the_right_one_and_exits_with_1():
    answer = invoke(BROKEN, "fisher_trace", A_CASE)
    assert answer.exit_code == 1
    assert "wrong: sigma-cubed float64, fisher_trace (prop-5)" in answer.output
    for word in ("returned", "expected", "attainable", "error", "margins", A_CASE):
        assert word in answer.output


def test_a_right_answer_exits_with_0():
    answer = invoke("shipped", "numpy/float32/fisher_trace/prop-5/dirac", A_CASE)
    assert answer.exit_code == 0, answer.output
    assert answer.output.startswith("right: numpy float32, fisher_trace (prop-5)")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((BROKEN, "fisher_trace", "a_dirac"), "is cut off"),
        ((BROKEN, "score", A_CASE), "has no function for 'score' on dirac data"),
        ((BROKEN, "fisher_trace", A_CASE.replace("2_s5", "2_s6_spread").replace("1x2x2", "2x2x2")), "per point"),
        (("shipped", "fisher", A_CASE.replace("1x2x2", "1x2x4096")), "has dimension 4096"),
        (("shipped", "score", A_CASE + "_skew"), "has the skew epsilon"),
        (("nowhere.py", "score", A_CASE), "there is no such file"),
    ],
)
def test_what_cannot_be_replayed_exits_with_2_and_the_reason(arguments, says):
    answer = invoke(*arguments)
    assert answer.exit_code == 2
    assert says in re.sub(r"\s+", " ", answer.output)


def test_the_counterexamples_of_a_run_are_replayed_by_their_ids():
    report = verify(*load_adapters(BROKEN), roles=["fisher_trace"], scenarios=["dirac", "digits"])
    for check in report.results.checks:
        for example in (check.simplest, check.worst):
            ((subject, finding),) = replay(BROKEN, check.id, example.id)
            assert finding.kind is Kind.WRONG
            assert finding.worst == pytest.approx(example.error)
            assert (finding.problem.atoms, finding.problem.dimension) == (example.atoms, example.dimension)
            assert subject.dtype in check.id


def test_a_case_on_data_of_ones_own_is_replayed_with_the_data(tmp_path):
    atoms = np.random.default_rng(0).standard_normal((9, 2, 2))
    np.save(tmp_path / "atoms.npy", atoms)
    report = verify(*load_adapters(BROKEN), roles=["fisher_trace"], data=atoms)
    example = report.results.checks[0].simplest
    assert invoke(BROKEN, "fisher_trace", example.id).exit_code == 2
    assert invoke(BROKEN, "fisher_trace", example.id, "--data", tmp_path / "atoms.npy").exit_code == 1


def a_subject(function, **options):
    adapter = Adapter("subject", **options)
    adapter.provides("posterior_mean", function)
    from afi_verify.backends import load_backend
    from afi_verify.handing import Subject

    return Subject(adapter, load_backend("numpy", "float64", "cpu"), adapter.functions["posterior_mean", "dirac"])


def noise_not_removed_in_many_dimensions(x, alpha, sigma, data):
    if x.shape[1] > 3 and abs(np.log(alpha / sigma)) < 5:
        return x / alpha
    distances = ((x[:, None] - alpha * data) ** 2).sum(-1)
    logits = -distances / (2 * sigma**2)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    nearest = data[weights.argmax(axis=1)]
    return nearest + (weights[..., None] * (data - nearest[:, None])).sum(1)


def test_a_fault_that_needs_many_dimensions_is_shown_with_as_few_and_as_simple_numbers_as_it_can():
    from afi_properties.strategies import Demand

    subject = a_subject(noise_not_removed_in_many_dimensions)
    demand = Demand(weights=False, largest_dimension=256)
    findings = draw_problems(demand, lambda p: examine(subject, p), Profile("test", 1, 1, 0), seed=0)
    simplest = shrink(demand, lambda p: examine(subject, p), findings, Kind.WRONG, seed=0)
    assert simplest.kind is Kind.WRONG
    assert (simplest.problem.batch, simplest.problem.atoms, simplest.problem.dimension) == (1, 1, 4)
    assert not simplest.problem.strided
    assert abs(simplest.problem.log_snr[0]) < 0.1


def test_replay_from_python_says_what_is_unusable():
    with pytest.raises(UnusableError, match="no case id"):
        replay(BROKEN, "fisher_trace", "nonsense")
