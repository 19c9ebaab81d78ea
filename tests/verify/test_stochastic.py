"""Stochastic traces: wrong probes are convicted, right estimators are not, and what cannot be told is said."""

import math
import re

import pytest

from afi_verify import Adapter, stochastic_checks, verify
from afi_verify.results import Verdict

torch = pytest.importorskip("torch")
from tests.zoo import probing  # noqa: E402
from tests.zoo.innocents.estimators import on_a_sphere  # noqa: E402
from tests.zoo.mutants import torch_stochastic as wrong  # noqa: E402

ROLE = "fisher_trace_stochastic"


def checked(function, *, dtype="float32", backend="torch", **options):
    adapter = Adapter("subject", backend=backend, dtype=dtype, **options)
    adapter.provides(ROLE, function)
    (check,) = verify(adapter, roles=[ROLE], scenarios=["dirac"]).results.checks
    return check


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


def test_a_right_estimator_says_what_it_excludes():
    check = checked(on_a_sphere)
    assert check.verdict is Verdict.PASS, check.message
    assert "exclude a bias of 1%" in check.message
    assert check.evidence == check.items > 0


def test_images_of_few_pixels_pass():
    def estimate(x, sigma, t, eps_fn, num_probes, seed):
        return (
            probing.quadratic_forms(
                lambda flat, time: eps_fn(flat.reshape(x.shape), time).flatten(1),
                x.flatten(1),
                t,
                probing.signs((num_probes, len(x), x[0].numel()), probing.generator(seed)),
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
