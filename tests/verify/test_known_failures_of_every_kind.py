"""Known failures of trajectories, random estimates, trained heads and relations: as of every other claim."""

import datetime
import math

import numpy as np
import pytest

from afi_verify import Adapter, UnusableError, verify
from afi_verify.results import Verdict
from tests.zoo.following import follow
from tests.zoo.trainers import posterior_head

TODAY = datetime.date(2026, 5, 17)
DECLARED = {"reason": "see issue 12", "ceiling": 1e17, "until": "2026-12-31"}


def flow(factor):
    def transport_map(x, data, weights, schedule, t_start, t_end, num_steps):
        return (factor * follow(x, data, weights, schedule, t_start, t_end, num_steps)).astype(x.dtype)

    return transport_map


def estimate(factor):
    def trace(x, alpha, sigma, data, num_probes, seed):
        weights = -((x[:, None] - alpha * data) ** 2).sum(axis=2) / (2 * sigma**2)
        weights = np.exp(weights - weights.max(axis=1, keepdims=True))
        weights = weights / weights.sum(axis=1, keepdims=True)
        away = data - (weights @ data)[:, None]
        z = np.random.default_rng(seed).choice([-1.0, 1.0], (num_probes, *x.shape))
        along = np.einsum("mbd,bnd->mbn", z, away)
        values = x.shape[1] / sigma**2 - alpha**2 / sigma**4 * (weights * along**2).sum(axis=2)
        return factor * values.mean(axis=0)

    return trace


def training(factor):
    def train(data, weights, schedule, seed):
        head = posterior_head(data, weights, schedule)
        return lambda x, t: factor * head(x, t)

    return train


def operator(factor):
    """Not linear unless ``factor`` is 1."""

    def product(x, v, alpha, sigma, data):
        return v / sigma**2 * (1 if factor == 1 else 1 + np.abs(v))

    return product


KINDS = {
    "transport_map": ("transport_map", "transport_map", flow, {"scenarios": ["dirac"]}),
    "fisher_trace_stochastic": (
        "fisher_trace_stochastic",
        "fisher_trace_stochastic",
        estimate,
        {"scenarios": ["dirac"]},
    ),
    "train_trace_head": ("train_trace_head", "train_trace_head", training, {"scenarios": ["dirac"]}),
    "relation/linearity": ("fisher_vector_product", "relation", operator, {"scenarios": ["no-oracle"]}),
}
EVERY = pytest.mark.parametrize("name", KINDS)


def checked(name, factor, **changes):
    role, said, make, options = KINDS[name]
    adapter = Adapter("subject")
    adapter.provides(role, make(factor))
    adapter.known_failure(name, **{**DECLARED, **changes})
    report = verify(adapter, roles=[role], today=TODAY, **options)
    wanted = name.partition("/")[2]
    (check,) = [c for c in report.results.checks if c.role == said and c.cases and wanted in ("", c.claim)]
    return check


@EVERY
def test_inside_its_scope_it_is_shown_and_does_not_count(name):
    check = checked(name, 1.5)
    assert (check.verdict, check.known_failure) == (Verdict.FAIL, "see issue 12")
    assert check.simplest.id


@pytest.mark.parametrize("name", ["relation/linearity", "train_trace_head"])  # the cheapest; the rest is common to all
def test_past_its_date_or_its_ceiling_it_counts(name):
    past = checked(name, 1.5, until="2026-05-16")
    assert (past.verdict, past.known_failure) == (Verdict.FAIL, None)
    assert "to be mended by 2026-05-16" in past.message
    high = checked(name, 1.5, ceiling=16.5)
    assert (high.verdict, high.known_failure) == (Verdict.FAIL, None)
    assert "exceeds the declared ceiling" in high.message


@EVERY
def test_elsewhere_the_check_judges_as_always(name):
    scope = {"dtypes": ["float32"]} if name == "train_trace_head" else {"log_snr": (15, 20)}
    check = checked(name, 1.5, **scope)
    assert (check.verdict, check.known_failure) == (Verdict.FAIL, None)
    assert "known" not in check.message


@EVERY
def test_one_that_is_gone_fails_and_says_so(name):
    check = checked(name, 1)
    assert check.verdict is Verdict.FAIL
    assert "It passes, although a known failure is declared" in check.message


def test_a_trajectory_that_is_known_hides_no_other():
    """The first wrong case ends a check, but for one that is known."""

    def wrong_for_some(x, data, weights, schedule, t_start, t_end, num_steps):
        end = follow(x, data, weights, schedule, t_start, t_end, num_steps)
        return (end * (1.5 if float(schedule.alpha(t_end)) == 1 else 3)).astype(x.dtype)

    adapter = Adapter("subject")
    adapter.provides("transport_map", wrong_for_some)
    adapter.known_failure("transport_map", **{**DECLARED, "ceiling": 16 * 600})  # of 10^-3 of the norm
    result = next(c for c in verify(adapter, roles=["transport_map"], today=TODAY).results.checks if c.cases)
    assert (result.verdict, result.known_failure) == (Verdict.FAIL, None)
    assert result.worst_error > 16 * 600


def test_a_range_of_noise_means_nothing_for_trained_heads():
    with pytest.raises(UnusableError, match="all noise levels at once"):
        Adapter("subject").known_failure("train_trace_head", log_snr=(0, 5), **DECLARED)
    Adapter("subject").known_failure("train_trace_head", log_snr=(-math.inf, math.inf), **DECLARED)


@pytest.mark.parametrize("wrong", ["relation/linear", "log_likelihood/eq-14/digits", "transport_is_optimal/thm-2"])
def test_what_there_is_not_is_said_to_be_unknown(wrong):
    with pytest.raises(UnusableError, match="names no check"):
        Adapter("subject").known_failure(wrong, **DECLARED)
