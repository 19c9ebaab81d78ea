"""The examples: the correct ones pass, and each broken one is convicted of its own sin, on a small case."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import afi_verify
from afi_properties.catalogue import ROLES
from afi_verify.examination import Kind
from afi_verify.loading import load_adapters
from afi_verify.replay import replay
from afi_verify.results import CheckResult, Verdict
from tests.prepared import Interpreter

pytest.importorskip("torch")

EXAMPLES = Path(__file__).parents[2] / "examples"
CORRECT = ("correct", "correct_torch", "images")


class Sin(NamedTuple):
    """A broken example: its role, and the piece of its text that is wrong, with what is right there."""

    file: str
    role: str
    wrong: str
    right: str
    family: str = "dirac"
    corrected_options: str = ""  # of the adapter, where the right piece takes long in many dimensions

    @property
    def path(self) -> Path:
        return EXAMPLES / "broken" / f"{self.file}.py"


SINS = (
    Sin("epsilon_for_score", "score", "1 * eps", "-eps / sigma"),
    Sin("softmax_over_batch", "score", "softmax(dim=0)", "softmax(dim=1)"),
    Sin(
        "log_determinant_omitted",
        "score",
        "- distances / 2",
        "- distances / 2 - np.log(variances).sum(axis=1) / 2",
        "gaussian-mixture",
    ),
    Sin("alpha_bar_for_alpha", "posterior_mean", "/ alpha_bar", "/ alpha_bar.sqrt()"),
    Sin("weights_underflow", "posterior_mean", "-distances /", "(distances.min(axis=1, keepdims=True) - distances) /"),
    Sin(
        "weights_underflow_guarded",
        "posterior_mean",
        "-distances /",
        "(distances.min(axis=1, keepdims=True) - distances) /",
    ),
    Sin("mean_not_subtracted", "fisher", "0 * (posterior @ data)", "(posterior @ data)"),
    Sin("prior_weights_ignored", "fisher", "torch.ones_like(weights)", "weights"),
    Sin("covariance_dropped", "fisher_vector_product", "0 * alpha**2", "alpha**2"),
    Sin("sigma_cubed", "fisher_trace", "sigma**3", "sigma**4"),
    Sin(
        "component_covariances_ignored",
        "fisher_trace",
        "torch.full_like(weights, x.shape[1]) / sigma**2",
        "(1 / variances).sum(dim=1)",
        "gaussian-mixture",
    ),
    Sin(
        "jvp_for_vjp",
        "fisher_vector_product_vjp",
        "torch.func.jvp(lambda point: eps_fn(point, t), (x,), (v,))[1]",
        "torch.func.vjp(lambda point: eps_fn(point, t), x)[1](v)[0]",
    ),
    Sin(
        "vjp_for_jvp",
        "fisher_vector_product_jvp",
        "torch.autograd.grad((eps_fn(x, t) * v).sum(), x)[0]",
        "torch.func.jvp(lambda point: eps_fn(point, t), (x,), (v,))[1]",
    ),
    Sin(
        "row_sum_for_diagonal",
        "fisher_trace_autodiff",
        "torch.autograd.grad(eps_fn(x, t).sum(), x)[0].sum(dim=1)",
        "torch.vmap(torch.func.jacrev(lambda p: eps_fn(p, t)))(x).diagonal(dim1=1, dim2=2).sum(dim=1)",
    ),
    Sin(
        "one_probe_for_trace",
        "fisher_trace_autodiff",
        "[2 * torch.randint(0, 2, x.shape, generator=generator).to(x) - 1]",
        "torch.eye(x.shape[1], dtype=x.dtype)[:, None].expand(-1, *x.shape)",
        corrected_options=", event_shape=(16,)",
    ),
    Sin("one_over_d_missing", "fisher_trace_matching", "(mean**2).sum(axis=1)", "(mean**2).mean(axis=1)"),
    Sin("sum_over_batch", "fisher_trace_matching", "mean.square().sum()", "mean.square().sum(dim=1)"),
    Sin("rank_one_sign", "fisher_vector_product_endpoint", "endpoint_part + mean_part", "endpoint_part - mean_part"),
)

LIMITS_AND_ESTIMATES = (
    Sin("trace_without_one_half", "log_likelihood", "g2 * trace", "g2 / 2 * trace"),
    Sin("adjoint_not_transposed", "adjoint", '"bij,bj->bi"', '"bij,bi->bj"'),
    Sin("reverse_drift_for_flow", "transport_map", "schedule.g2(t) * (", "schedule.g2(t) / 2 * ("),
    Sin("sign_of_f_as_printed", "transport_jacobian", "(f - g2", "(-f - g2"),
    Sin(
        "definiteness_for_symmetry",
        "transport_is_optimal",
        "symmetric = True",
        "symmetric = np.abs(jacobian - jacobian.swapaxes(1, 2)).max(axis=(1, 2)) < 1e-3",
    ),
    Sin("sum_over_probes", "fisher_trace_stochastic", "products.sum(axis=0)", "products.mean(axis=0)"),
    Sin("target_not_divided_by_d", "train_trace_head", "(x0**2).sum(axis=1)", "(x0**2).mean(axis=1)"),
)
"""Judged by more than one answer each: the limit of many steps, the mean over seeds, a head at many points."""

# Numpy's own warnings about what the broken ones do are not the subject; see test_bad_input for the harness's.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def provided(report: afi_verify.Report) -> list[CheckResult]:
    return [check for check in report.results.checks if check.verdict is not Verdict.NOT_PROVIDED]


def verdicts(report: afi_verify.Report) -> dict[str, str]:
    return {check.id: check.verdict.value for check in provided(report)}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Python where nobody can import afi-verify, by a sitecustomize.py."""
    folder = tmp_path_factory.mktemp("elsewhere")
    folder.joinpath("sitecustomize.py").write_text(
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('afi_verify', 'afi_properties', 'afi_reference'):\n"
        "            raise ModuleNotFoundError(f'{name} is not to be imported here')\n"
        "sys.meta_path.insert(0, Blocker())\n"
    )
    with Interpreter(folder, {**os.environ, "PYTHONPATH": str(folder)}, ["torch"]) as interpreter:
        yield interpreter


@pytest.mark.parametrize("module", ["afi_verify", "afi_properties", "afi_reference"])
def test_afi_verify_is_not_there(elsewhere, tmp_path, module):
    script = tmp_path / "script.py"
    script.write_text(f"import {module}")
    answer = elsewhere.run(script)
    assert answer.returncode == 1
    assert f"{module} is not to be imported here" in answer.stderr


def test_every_broken_example_is_tested():
    assert {path.stem for path in (EXAMPLES / "broken").glob("*.py")} == {
        sin.file for sin in (*SINS, *LIMITS_AND_ESTIMATES)
    }


def test_every_role_has_a_broken_example():
    assert {sin.role for sin in (*SINS, *LIMITS_AND_ESTIMATES)} == set(ROLES)


def test_every_other_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        *CORRECT,
        "expanded_distances",
        "unknown_data",
    }  # the last in tests/relations


@pytest.mark.parametrize("file", CORRECT)
def test_correct_example_passes(file):
    adapters = load_adapters(str(EXAMPLES / f"{file}.py"))
    roles = [role for adapter in adapters for role, _ in adapter.functions]
    report = afi_verify.verify(*adapters, roles=roles, scenarios=["dirac", "digits"])
    assert set(verdicts(report).values()) == {"pass"}, verdicts(report)
    # each role is checked on drawn cases and on the digits
    assert len(provided(report)) == 2 * len(roles)


def convict(sin: Sin, dtype: str, seed: int) -> CheckResult:
    (adapter,) = (adapter for adapter in load_adapters(str(sin.path)) if adapter.dtype == dtype)
    report = afi_verify.verify(adapter, seed=seed, roles=[sin.role], scenarios=[sin.family])
    (check,) = provided(report)
    return check


@pytest.mark.parametrize("sin", SINS, ids=lambda sin: sin.file)
def test_broken_example_fails_and_replays(sin, elsewhere, tmp_path):
    text = sin.path.read_text()
    assert text.startswith('"""Wrong: ')
    assert text.count(sin.wrong) == 1
    corrected = tmp_path / "corrected.py"
    corrected.write_text(text.replace(sin.wrong, sin.right))
    for seed, dtype in enumerate(("float64", "float32")):  # other cases in each: what is proved hangs on none of them
        check = convict(sin, dtype, seed)
        assert check.verdict is Verdict.FAIL, f"{check.id}, seed {seed}: {check.verdict}: {check.message}"
        simplest = check.simplest
        assert simplest is not None
        assert max(simplest.atoms, simplest.dimension) <= 3, f"{check.id}, seed {seed}: {simplest.case}"
        assert simplest.script, check.id
        script = tmp_path / f"replay_{dtype}.py"
        script.write_text(simplest.script)
        # as written, with the path of the adapter that it was made from
        broken = elsewhere.run(script)
        assert broken.returncode == 1, broken.stderr
        assert "\nreproduced: " in broken.stdout
        assert "nan" in broken.stdout or broken.stderr == ""
        mended = elsewhere.run(script, corrected)
        assert mended.returncode == 0, mended.stdout + mended.stderr
        assert "not reproduced: " in mended.stdout


@pytest.mark.parametrize("sin", SINS, ids=lambda sin: sin.file)
def test_corrected_example_passes(sin, tmp_path):
    """The piece named in SINS is all that is wrong: else another fault could have been what was found."""
    corrected = tmp_path / f"{sin.file}.py"
    text = sin.path.read_text().replace(sin.wrong, sin.right)
    corrected.write_text(text.replace('backend="torch"', f'backend="torch"{sin.corrected_options}'))
    report = afi_verify.verify(
        *load_adapters(str(corrected)), roles=[sin.role], scenarios=[sin.family], profile="quick"
    )
    found = verdicts(report)
    # Formulas that cancel are right and lose digits; that is another matter.
    assert set(found.values()) <= {"pass", "inaccurate"}, found


@pytest.mark.parametrize("sin", LIMITS_AND_ESTIMATES, ids=lambda sin: sin.file)
def test_limits_and_estimates_fail_and_replay(sin, elsewhere, tmp_path):
    text = sin.path.read_text()
    assert text.startswith('"""Wrong: ')
    assert text.count(sin.wrong) == 1
    corrected = tmp_path / "corrected.py"
    corrected.write_text(text.replace(sin.wrong, sin.right))
    check = convict(sin, "float32", 0)
    assert check.verdict is Verdict.FAIL, f"{check.id}: {check.message}"
    simplest = check.simplest
    assert max(simplest.atoms, simplest.dimension) <= 3, simplest.case
    assert simplest.script, check.id
    # by its id
    ((_, broken),), ((_, mended),) = (replay(str(path), check.id, simplest.id) for path in (sin.path, corrected))
    assert (broken.kind, mended.kind) == (Kind.WRONG, Kind.RIGHT), mended.message
    # by the script
    script = tmp_path / "replay.py"
    script.write_text(simplest.script)
    answer = elsewhere.run(script)
    assert answer.returncode == 1, answer.stderr
    assert "\nreproduced: " in answer.stdout
    answer = elsewhere.run(script, corrected)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "not reproduced: " in answer.stdout


class TestExpandedDistances:
    """The right formula, evaluated in a way that loses digits where the data lie far from zero."""

    @staticmethod
    def verify(dtype: str, **options) -> CheckResult:
        adapters = load_adapters(str(EXAMPLES / "expanded_distances.py"))
        adapter = next(a for a in adapters if a.dtype == dtype)
        report = afi_verify.verify(adapter, roles=["posterior_mean"], **options)
        (check,) = (check for check in provided(report) if check.scenario != "no-oracle")
        return check

    @staticmethod
    def atoms(offset: float) -> np.ndarray:
        return np.random.default_rng(0).standard_normal((32, 4)) + offset

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_single_precision_is_inaccurate_in_the_default_run(self, seed):
        check = self.verify("float32", seed=seed, scenarios=["dirac"])
        assert check.verdict is Verdict.INACCURATE, check.message

    def test_single_precision_is_inaccurate_on_data_with_an_offset(self):
        check = self.verify("float32", data=self.atoms(100))
        assert check.verdict is Verdict.INACCURATE, check.message
        assert "right in float64" in check.message

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_passes_on_centred_data(self, dtype):
        check = self.verify(dtype, data=self.atoms(0))
        assert check.verdict is Verdict.PASS, check.message
