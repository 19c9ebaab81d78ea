"""Relations: each notices what is wrong without an oracle, and none accuses functions that are right."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afi_properties.catalogue import RELATIONS
from afi_verify import Adapter, UnusableError, verify
from afi_verify.loading import load_adapters
from afi_verify.results import Verdict
from afi_verify.shipped import ADAPTERS
from tests.relations.unknown_models import ATOMS, INNOCENT, PRIOR, ExactModel, adapter_of, exact
from tests.relations.wrong_relations import WRONG, adapter

EXAMPLES = Path(__file__).parents[2] / "examples"
ACCUSING = (Verdict.FAIL, Verdict.ERROR, Verdict.INACCURATE)


def related(subject, seed=0, **options):
    """Verdicts on all relations that can be stated, by label."""
    report = verify(subject, scenarios=["no-oracle"], seed=seed, **options)
    return {c.claim: c for c in report.results.checks if c.verdict is not Verdict.NOT_PROVIDED}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_implementation_is_noticed(name, dtype):
    wrong = WRONG[name]
    checks = related(adapter(name, dtype))
    assert checks[wrong.relation].verdict is Verdict.FAIL
    assert checks[wrong.relation].simplest.message
    if wrong.alone:
        assert [label for label, check in checks.items() if check.verdict in ACCUSING] == [wrong.relation]


def test_every_relation_has_two_wrong_implementations_and_is_needed_for_one():
    for relation in RELATIONS:
        known = [wrong for wrong in WRONG.values() if wrong.relation == relation.label]
        assert len(known) >= 2, relation.label
        assert any(wrong.alone for wrong in known), relation.label


@pytest.mark.parametrize("name", INNOCENT)
def test_right_functions_of_unknown_data_are_not_accused(name):
    make, dtype = INNOCENT[name]
    checks = related(make(dtype), seed=7)
    assert [check.message for check in checks.values() if check.verdict in ACCUSING] == []
    # One atom has no covariance; the flow of a random network is too wild for a short quadrature.
    blind = {label for label, check in checks.items() if check.verdict is Verdict.VACUOUS}
    assert blind <= {"covariance-positive", "liouville"}
    assert len(checks) >= 7


@pytest.mark.parametrize("shipped", [a for a in ADAPTERS if a.name != "torch"], ids=lambda a: f"{a.name}-{a.dtype}")
def test_shipped_implementations_satisfy_every_relation(shipped):
    checks = related(shipped, seed=3)
    assert [check.message for check in checks.values() if check.verdict is not Verdict.PASS] == []


@pytest.mark.parametrize("file", ["correct", "correct_torch", "images", "unknown_data"])
def test_right_examples_satisfy_every_relation(file):
    for subject in load_adapters(str(EXAMPLES / f"{file}.py")):
        checks = related(subject)
        assert checks
        assert [check.message for check in checks.values() if check.verdict is not Verdict.PASS] == []


SAMPLES = ATOMS[np.random.default_rng(0).choice(len(ATOMS), 4000, p=PRIOR)]


MEANS = ("score", "posterior_mean", "fisher_trace")
"""The roles that relations about means over samples are about."""


@pytest.mark.parametrize(("seed", "dtype"), [(0, "float64"), (1, "float32"), (2, "float64")])
def test_means_over_samples_of_the_user(seed, dtype):
    right = adapter_of({role: getattr(ExactModel(), role) for role in MEANS}, dtype=dtype)
    checks = related(right, seed=seed, data=SAMPLES)
    assert checks["fisher-identity"].verdict is Verdict.PASS
    assert checks["denoising-error"].verdict is Verdict.PASS


@pytest.mark.parametrize("label", ["fisher-identity", "denoising-error"])
def test_means_over_samples_notice_another_noise_level(label):
    wrong = ExactModel(width=1.1)
    checks = related(adapter_of({role: getattr(wrong, role) for role in MEANS}), data=SAMPLES)
    assert checks[label].verdict is Verdict.FAIL


def test_without_samples_a_mean_over_unknown_data_is_not_provided():
    report = verify(exact("float64"), scenarios=["no-oracle"])
    (check,) = (c for c in report.results.checks if c.claim == "fisher-identity")
    assert check.verdict is Verdict.NOT_PROVIDED
    assert "--data" in check.message


def test_what_a_network_need_not_satisfy_is_not_checked():
    (check,) = (
        c
        for c in verify(INNOCENT["score network, float64"][0]("float64"), scenarios=["no-oracle"]).results.checks
        if c.claim == "symmetry"
    )
    assert check.verdict is Verdict.NOT_PROVIDED
    assert "model='network'" in check.message


def test_nan_is_never_right():
    checks = related(adapter_of({"score": lambda x, alpha, sigma: x * np.nan}))
    assert {check.verdict for check in checks.values()} == {Verdict.FAIL}


def test_a_broken_function_is_an_error_that_says_which():
    def raises(x, alpha, sigma):
        raise RuntimeError("out of order")

    checks = related(adapter_of({"score": raises, "posterior_mean": ExactModel().posterior_mean}))
    assert checks["tweedie"].verdict is Verdict.ERROR
    assert "score: It raised RuntimeError: out of order" in checks["tweedie"].message


def test_unknown_data_need_a_dimension():
    with pytest.raises(UnusableError, match=r"event_shape=\(2,\)"):
        Adapter("mine").provides("score", ExactModel().score)


def test_an_unknown_model_is_refused():
    with pytest.raises(UnusableError, match="Did you mean 'network'"):
        Adapter("mine", model="netwrok")


@pytest.mark.parametrize(
    ("family", "change"),
    [
        ("unknown_data", ("- alpha**2 / sigma**4 * product", "- alpha**2 / sigma**3 * product")),
        ("unknown_data", ("return v / sigma**2", "return v * abs(v) / sigma**2")),
        ("correct", ("return x.shape[1] / sigma**2", "return x.shape[1] / sigma")),
    ],
)
def test_the_script_replays_a_violation_and_acquits_the_right_function(tmp_path, family, change):
    right = (EXAMPLES / f"{family}.py").read_text()
    for name, text in {"right.py": right, "wrong.py": right.replace(*change)}.items():
        (tmp_path / name).write_text(text)
    assert right != right.replace(*change)
    report = verify(*load_adapters(str(tmp_path / "wrong.py")), scenarios=["no-oracle"])
    scripts = [c.simplest.script for c in report.results.checks if c.verdict is Verdict.FAIL and c.simplest.script]
    assert scripts
    for script in scripts:
        (tmp_path / "replay.py").write_text(script)
        status = {
            name: subprocess.run([sys.executable, tmp_path / "replay.py", tmp_path / name], check=False).returncode
            for name in ("wrong.py", "right.py")
        }
        assert status == {"wrong.py": 1, "right.py": 0}
