"""The exact model passes every check, and what is measured is the truth; a random network fails where it should."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from afi_reference.flow import FlowOracle
from afi_verify.implementations.torch_adjoint import dirac_operator
from afi_verify.stable_diffusion import checks_trajectory
from afi_verify.stable_diffusion.denoiser import Denoiser
from afi_verify.stable_diffusion.examine import (
    LEVEL_CHECKS,
    TRAJECTORY_CHECKS,
    Effort,
    Subject,
    examine_level,
    examine_trajectory,
)
from afi_verify.stable_diffusion.findings import Interval, Tolerances, interval, judge_mean, within
from afi_verify.stable_diffusion.latents import a_sample
from afi_verify.stable_diffusion.levels import spread_times
from afi_verify.stable_diffusion.loading import load_pipeline, network_of
from afi_verify.stable_diffusion.products import Products, rows_for, signs
from tests.stable_diffusion import full_size
from tests.stable_diffusion.more_mutants import MORE_MUTANTS
from tests.stable_diffusion.mutants import MUTANTS, Bench, caught_by, right


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def _law(subject: Subject):
    return network_of(subject.denoiser.pipeline).law(subject.denoiser.conditions[0]["encoder_hidden_states"])


@pytest.mark.parametrize("kind", ["sd15", "sd2-v", "sd3"])
def test_the_exact_model_passes_every_check_with_the_true_numbers(bench, kind) -> None:
    """Noise-, v- and flow prediction at 4×8×8, through save_pretrained and from_pretrained."""
    subject, latents = right(bench, kind)
    law, denoiser = _law(subject), subject.denoiser
    t = spread_times(denoiser.schedule, 5)[1]
    findings = examine_level(subject, latents, t, 0, effort=Effort(samples=2**15))
    assert [finding.check for finding in findings] == list(LEVEL_CHECKS)
    assert {finding.check: finding.verdict for finding in findings if finding.verdict != "pass"} == {}
    json.dumps([finding.to_dict() for finding in findings], allow_nan=False)
    by_name = {finding.check: finding for finding in findings}
    alpha, sigma = denoiser.alpha(t), denoiser.sigma(t)

    # One point: the trace by three estimators.
    x = latents.noised(1, alpha, sigma, torch.Generator().manual_seed(0))[0]
    truth = sigma**2 * float(law.fisher_trace(x.flatten(1).numpy(), alpha, sigma)[0])
    numbers = by_name["traces"].numbers
    for name in ("hutchinson", "hutch++", "diagonal"):
        assert abs(numbers[name] - truth) <= numbers[f"{name}_half_width"] + 1e-9 * truth, name

    # The mean over draws: the oracle's covariance at draws of its own.
    draws = latents.noised(4000, alpha, sigma, torch.Generator().manual_seed(9))[0].flatten(1).numpy()
    share = x[0].numel() - sigma**2 * law.fisher_trace(draws, alpha, sigma)
    own = interval(share)
    for check in ("stein", "squared-score", "denoising-error", "endpoint-operator", "head-trace"):
        found = by_name[check].numbers
        assert abs(found["share"] - own.mean) <= own.half + found["half_width"] * found["share"], check
    assert own.mean > 0.05  # the covariance is there to be seen


def test_likelihood_and_adjoint_of_the_exact_model_are_the_true_ones(bench) -> None:
    subject, latents = right(bench)
    denoiser = subject.denoiser
    times = spread_times(denoiser.schedule, 5)
    effort = Effort(probes=512, steps=12)
    findings = examine_trajectory(subject, latents, (times[1], times[-1]), 0, effort=effort)
    assert [finding.check for finding in findings] == list(TRAJECTORY_CHECKS)
    assert {finding.check: finding.verdict for finding in findings if finding.verdict != "pass"} == {}
    # The flow's oracle, which integrates with an error of 1e-9.
    x = latents.noised(1, denoiser.alpha(times[1]), denoiser.sigma(times[1]), torch.Generator().manual_seed(0))[0]
    oracle = FlowOracle(_law(subject), denoiser.schedule)
    truth = float(oracle.log_determinant(x.flatten(1).numpy(), times[1], times[-1]).value[0])
    found, told = findings[0].numbers, findings[1].numbers
    bits = x[0].numel() * np.log(2)
    slack = found["steps_error"] * bits
    assert abs(found["log_determinant"] - truth) <= found["half_width"] * bits + slack
    assert abs(told["log_determinant"] - truth) <= slack < 0.1 * abs(told["part"])


def test_wrong_adjoint_operators_are_caught(bench) -> None:
    subject, latents = right(bench)
    denoiser = subject.denoiser
    low, high = 279.0, 900.0
    x = latents.noised(1, denoiser.alpha(high), denoiser.sigma(high), torch.Generator().manual_seed(2))[0]
    exact = dirac_operator(denoiser.schedule, latents.values, latents.weights)
    wrong = {
        "half": lambda x, t, v: exact(x, t, v) / 2,
        "sign": lambda x, t, v: -exact(x, t, v),
        "sigma for sigma squared": lambda x, t, v: exact(x, t, v) * denoiser.sigma(t),
    }
    common = (denoiser, Products(denoiser.eps), x, high, low, 2.2e-16, Tolerances(), 0)

    def verdicts(operator):
        found = checks_trajectory.check_adjoint(*common, num_steps=12, operator=operator)
        return [finding.verdict for finding in found]

    assert verdicts(exact) == ["pass", "pass"]
    assert {name: verdicts(operator)[1] for name, operator in wrong.items()} == dict.fromkeys(wrong, "fail")


EVERY = {**MUTANTS, **MORE_MUTANTS}


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
def test_a_mistake_on_the_side_of_diffusers_is_caught_by_the_check_for_it(bench, make) -> None:
    assert EVERY[make] in caught_by(make, bench, until=EVERY[make])


@pytest.mark.parametrize("kind", full_size.KINDS)
def test_the_exact_model_has_the_true_numbers_at_the_size_of_stable_diffusion(tmp_path, kind) -> None:
    """d = 16,384 in float32, at a noise level and along the flow; reports/sd-full-size has draws enough to decide."""
    bed = full_size.Bed(kind, tmp_path)
    t = full_size.times_of(bed.denoiser, full_size.LEVELS)[0]
    findings, told = full_size.at_level(bed, t, 1, Effort(samples=96, probes=16))
    more, along = full_size.on_the_way(bed, 1, Effort(probes=16, steps=4))
    assert [number for number in [*told, *along] if not number.ok] == []
    verdicts = {finding.check: finding.verdict for finding in [*findings, *more]}
    assert list(verdicts) == [*LEVEL_CHECKS, *TRAJECTORY_CHECKS]
    # What needs many draws may be undecided with few.
    few = {*LEVEL_CHECKS[LEVEL_CHECKS.index("stein") :], "likelihood-head"}
    assert {check: verdict for check, verdict in verdicts.items() if verdict != "pass" and check not in few} == {}
    assert set(verdicts.values()) <= {"pass", "undecided"}


def test_a_random_network_is_a_function_with_a_jacobian_but_no_score(shelf) -> None:
    """What holds for any function passes; what only the score of a distribution has fails."""
    denoiser = Denoiser(load_pipeline(str(shelf("sd15"))), "a cat")
    latents = a_sample(torch.randn(48, 4, 8, 8, generator=torch.Generator().manual_seed(0)))
    findings = examine_level(Subject(denoiser), latents, 500.0, 0, effort=Effort(samples=48, probes=16))
    verdicts = {finding.check: finding.verdict for finding in findings}
    for check in ("noising", "predictions", "vjp-and-jvp", "jvp-and-differences", "stein"):
        assert verdicts[check] == "pass", check
    for check in ("symmetry", "fokker-planck"):
        assert verdicts[check] == "fail", check
    assert verdicts["head-trace"] == "not provided"


@pytest.mark.parametrize("kind", ["sdxl", "sd3", "flux"])
def test_products_agree_on_every_architecture(shelf, kind) -> None:
    denoiser = Denoiser(load_pipeline(str(shelf(kind)), dtype="float32" if kind == "flux" else "float64"), "a cat")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 4, 8, 8, generator=generator, dtype=torch.float64)
    u, v = (signs(2, (4, 8, 8), generator, x) for _ in range(2))
    products = Products(denoiser.eps, rows=1)
    points = x.expand_as(u)
    forward, backward = products.jvp(points, v, 400.0), products.vjp(points, u, 400.0)
    torch.testing.assert_close((u * forward).sum((1, 2, 3)), (v * backward).sum((1, 2, 3)), rtol=1e-4, atol=1e-4)
    with sdpa_kernel(SDPBackend.MATH):
        torch.testing.assert_close(products._twice(points, v, 400.0), forward, rtol=1e-3, atol=1e-4)


def test_a_guided_prediction_is_judged_as_a_function_only(bench) -> None:
    subject, latents = right(bench, guidance=4.0)
    findings = examine_level(subject, latents, 279.0, 0, effort=Effort(samples=8192))
    verdicts = {finding.check: finding.verdict for finding in findings}
    assert verdicts.pop("fokker-planck") == verdicts.pop("denoising-error") == "not provided"
    assert verdicts["jvp-and-differences"] == verdicts["symmetry"] == verdicts["stein"] == "pass"
    # The truth of a guided Jacobian: that of the negative prompt and of the prompt, combined.
    denoiser = subject.denoiser
    laws = [network_of(denoiser.pipeline).law(c["encoder_hidden_states"]) for c in denoiser.conditions]
    alpha, sigma = denoiser.alpha(279.0), denoiser.sigma(279.0)
    x, v = latents.noised(2, alpha, sigma, torch.Generator().manual_seed(1))[:2]
    mine, theirs = (law.fisher_vector_product(*(a.flatten(1).numpy() for a in (x, v)), alpha, sigma) for law in laws)
    found = Products(denoiser.eps).vjp(x, v, 279.0).flatten(1).numpy() / sigma
    np.testing.assert_allclose(found, theirs + 4 * (mine - theirs), rtol=1e-7, atol=1e-8)


def test_a_check_that_breaks_is_an_error_and_costs_no_other(bench) -> None:
    subject, latents = right(bench)

    def broken(x, t):
        raise RuntimeError("CUDA out of memory. Tried to allocate")

    broken_head = dataclasses.replace(subject, head=broken)
    findings = examine_level(broken_head, latents, 279.0, 0, effort=Effort(samples=32))
    verdicts = {finding.check: finding for finding in findings}
    assert [finding.check for finding in findings] == list(LEVEL_CHECKS)
    assert verdicts["head-trace"].verdict == "error"
    assert "--max-memory" in verdicts["head-trace"].detail
    assert verdicts["symmetry"].verdict == "pass"


def test_memory_bounds_the_rows_of_a_pass(shelf) -> None:
    denoiser = Denoiser(load_pipeline(str(shelf("sd15"))), "a cat")
    x = torch.randn(1, 4, 8, 8)
    assert rows_for(denoiser.eps, x, 500.0, None) == 64
    assert rows_for(denoiser.eps, x, 500.0, 1) == 1
    few, many = (rows_for(denoiser.eps, x, 500.0, size) for size in (2**21, 2**23))
    assert 1 <= few < many <= 64
    v = signs(7, (4, 8, 8), torch.Generator().manual_seed(0), x)
    whole, parts = (Products(denoiser.eps, rows).vjp(x.expand_as(v), v, 500.0) for rows in (64, 2))
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


def test_verdicts_of_means() -> None:
    near, far, wide = Interval(0.01, 0.02), Interval(0.4, 0.1), Interval(0.1, 0.5)
    assert judge_mean("c", near, 1.0, 0.25, "").verdict == "pass"
    assert judge_mean("c", far, 1.0, 0.25, "").verdict == "fail"
    assert judge_mean("c", wide, 1.0, 0.25, "").verdict == "undecided"
    assert judge_mean("c", Interval(np.nan, 0.1), 1.0, 0.25, "").verdict == "fail"
    assert judge_mean("c", near, 0.0, 0.25, "").verdict == "fail"
    assert within("c", np.nan, 0.1, "").verdict == "fail"
    assert within("c", 0.2, 0.3, "").verdict == "vacuous"
    assert within("c", 0.4, 0.3, "").verdict == "fail"
    assert np.isinf(interval(np.ones(1)).half)


def test_values_of_one_latent_count_as_one() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=10), 100)
    assert interval(values, np.repeat(np.arange(10), 100)).half > 5 * interval(values).half


def test_intervals_hold_their_mean() -> None:
    rng = np.random.default_rng(1)
    assert all(abs(found.mean) <= found.half for found in (interval(rng.normal(size=30)) for _ in range(300)))
