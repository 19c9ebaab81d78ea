"""Stochastic traces: wrong probes are convicted, right estimators are not, and what cannot be told is said."""

import math
import re

import numpy as np
import pytest

from afi_verify import Adapter, stochastic_checks, verify
from afi_verify.results import Verdict

torch = pytest.importorskip("torch")
from tests.zoo import random_mutants as wrong  # noqa: E402

ROLE = "fisher_trace_stochastic"


def checked(function, *, dtype="float32", backend="torch", **options):
    adapter = Adapter("subject", backend=backend, dtype=dtype, **options)
    adapter.provides(ROLE, function)
    (check,) = verify(adapter, roles=[ROLE], scenarios=["dirac"]).results.checks
    return check


def on_a_sphere(x, sigma, t, eps_fn, num_probes, seed):
    z = wrong.normal((num_probes, *x.shape), wrong.generator(seed))
    probes = math.sqrt(x.shape[1]) * torch.nn.functional.normalize(z, dim=2)
    return wrong.quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


def uniform_scaled(x, sigma, t, eps_fn, num_probes, seed):
    u = torch.rand((num_probes, *x.shape), generator=wrong.generator(seed), dtype=torch.float64)
    return 3 * wrong.quadratic_forms(eps_fn, x, t, 2 * u - 1).mean(dim=0) / sigma


def sparse(x, sigma, t, eps_fn, num_probes, seed):
    """Entries 0 with probability 2/3, else +-sqrt 3: heavier tails."""
    shape, source = (num_probes, *x.shape), wrong.generator(seed)
    kept = torch.rand(shape, generator=source) < 1 / 3
    return wrong.quadratic_forms(eps_fn, x, t, math.sqrt(3) * wrong.signs(shape, source) * kept).mean(dim=0) / sigma


def probes_shared_by_the_batch(x, sigma, t, eps_fn, num_probes, seed):
    probes = wrong.signs((num_probes, 1, x.shape[1]), wrong.generator(seed)).expand(-1, *x.shape)
    return wrong.quadratic_forms(eps_fn, x, t, probes).mean(dim=0) / sigma


def exact(x, sigma, t, eps_fn):
    basis = torch.eye(x.shape[1], dtype=x.dtype)[:, None].expand(-1, *x.shape)
    return wrong.quadratic_forms(eps_fn, x, t, basis).sum(dim=0) / sigma


def analytical(x, alpha, sigma, data, num_probes, seed):
    """NumPy, from the atoms: no eps_fn."""
    distances = ((x[:, None] - alpha * data) ** 2).sum(-1)
    weights = np.exp(-(distances - distances.min(axis=1, keepdims=True)) / (2 * sigma**2))
    weights /= weights.sum(axis=1, keepdims=True)
    centred = data - (weights @ data)[:, None]
    z = np.random.default_rng(seed).choice(np.array([-1, 1], dtype=x.dtype), (num_probes, *x.shape))
    along = np.einsum("mbd,bnd->mbn", z, centred)
    estimates = (z**2).sum(-1) / sigma**2 - (alpha / sigma**2) ** 2 * (weights * along**2).sum(-1)
    return estimates.mean(axis=0).astype(x.dtype)


@pytest.mark.parametrize("function", wrong.RANDOM_MUTANTS.values(), ids=wrong.RANDOM_MUTANTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_wrong_estimators_are_convicted(function, dtype):
    check = checked(function, dtype=dtype)
    assert check.verdict is Verdict.FAIL, check.message
    assert check.simplest.message == check.message


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("probes_zero_or_root_two", "It is biased"),
        ("one_percent_too_large", r"\(\+1\.\d+%\)|\(\+0\.9\d%\)"),
        ("fixed_probes", "the same answer for 16 seeds"),
        ("seed_ignored", "different answers for the same seed"),
        ("one_probe", "Its variance is .* times that of Hutchinson's estimator"),
    ],
)
def test_the_message_names_what_is_wrong(name, phrase):
    assert re.search(phrase, checked(getattr(wrong, name)).message)


@pytest.mark.parametrize("function", [on_a_sphere, uniform_scaled, sparse, probes_shared_by_the_batch, exact])
def test_right_estimators_of_any_kind_pass(function):
    check = checked(function)
    assert check.verdict is Verdict.PASS, check.message
    assert "exclude a bias of 1%" in check.message
    assert check.evidence == check.items > 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_estimator_without_autodiff_passes(dtype):
    assert checked(analytical, backend="numpy", dtype=dtype).verdict is Verdict.PASS


def test_images_of_few_pixels_pass():
    def estimate(x, sigma, t, eps_fn, num_probes, seed):
        return (
            wrong.quadratic_forms(
                lambda flat, time: eps_fn(flat.reshape(x.shape), time).flatten(1),
                x.flatten(1),
                t,
                wrong.signs((num_probes, len(x), x[0].numel()), wrong.generator(seed)),
            ).mean(dim=0)
            / sigma
        )

    assert checked(estimate, event_shape=(2, 4)).verdict is Verdict.PASS


def test_a_precision_that_rounds_by_more_than_the_bias_is_vacuous():
    check = checked(on_a_sphere, dtype="bfloat16")
    assert check.verdict is Verdict.VACUOUS
    assert "may round by" in check.message


def test_too_few_calls_leave_it_undecided(monkeypatch):
    monkeypatch.setattr(stochastic_checks, "MOST_CALLS", 8)
    check = checked(on_a_sphere)
    assert check.verdict is Verdict.UNDECIDED
    assert "do not decide" in check.message


def test_nan_and_exceptions_are_found():
    assert checked(lambda x, eps_fn: x[:, 0] * math.nan).verdict is Verdict.FAIL
    assert checked(lambda x, eps_fn: x[0]).verdict is Verdict.ERROR
