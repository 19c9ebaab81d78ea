"""Conversions among kinds of prediction, against their definitions."""

from itertools import product

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from afi_reference.schedules import (
    EDM,
    KINDS,
    LogSNRLinear,
    RectifiedFlow,
    StableDiffusion,
    SubVP,
    VEGeometric,
    VPCosine,
    VPLinear,
    convert,
)

PAIRS = list(product(KINDS, KINDS))


def all_kinds(x0, eps, alpha, sigma, rates):
    """Every kind of prediction from its definition, where data and noise are both known."""
    return {
        "eps": eps,
        "x0": x0,
        "v": alpha * eps - sigma * x0,
        "score": -eps / sigma,
        "velocity": rates[0] * x0 + rates[1] * eps,
    }


def check_conversion(function, source, target):
    """Prove one conversion for all noise levels, variance preserving or not."""
    x0, eps = sp.symbols("x0 eps", real=True)
    alpha, sigma = sp.symbols("alpha sigma", positive=True)
    rates = sp.symbols("alpha_rate sigma_rate", real=True)
    known = all_kinds(x0, eps, alpha, sigma, rates)
    x = alpha * x0 + sigma * eps
    result = function(known[source], source, target, x=x, alpha=alpha, sigma=sigma, rates=rates)
    assert sp.simplify(sp.nsimplify(result) - known[target]) == 0


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_sympy_proves_every_conversion(source, target):
    check_conversion(convert, source, target)


def test_the_proof_rejects_the_formula_that_holds_only_for_vp():
    def vp_only(v, source, target, *, x, alpha, sigma, rates):
        return alpha * x - sigma * v

    with pytest.raises(AssertionError):
        check_conversion(vp_only, "v", "x0")


@pytest.mark.parametrize(("source", "target"), PAIRS)
@settings(max_examples=25, deadline=None)
@given(
    level=st.floats(-4, 4),
    size=st.floats(0.3, 3),
    shape=st.sampled_from([(1, 1), (4, 3), (3, 2, 2, 5)]),
    seed=st.integers(0, 99),
)
def test_numbers_and_broadcasting(source, target, level, size, shape, seed):
    rng = np.random.default_rng(seed)
    x0, eps = rng.standard_normal((2, *shape))
    angles = np.arctan(np.exp(-level / 2)) * rng.uniform(0.9, 1.0, shape[0])
    alpha, sigma, rates = size * np.cos(angles), size * np.sin(angles), (-np.sin(angles), np.cos(angles))
    column = (-1, *[1] * (len(shape) - 1))
    spread = [value.reshape(column) for value in (alpha, sigma, *rates)]
    known = all_kinds(x0, eps, spread[0], spread[1], spread[2:])
    x = spread[0] * x0 + spread[1] * eps
    result = convert(known[source], source, target, x=x, alpha=alpha, sigma=sigma, rates=rates)
    np.testing.assert_allclose(result, known[target], rtol=1e-11, atol=1e-11)


SCHEDULES = [
    VPLinear(),
    VPCosine(),
    LogSNRLinear(8, -8),
    SubVP(),
    VEGeometric(),
    EDM(),
    RectifiedFlow(),
    StableDiffusion(),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_velocity_is_that_of_the_pf_ode(schedule, share):
    """Eq. 5 and 6: f x - g2/2 score, along a path of fixed data and noise."""
    t = schedule.t_min + share * (schedule.t_max - schedule.t_min)
    alpha, sigma, eps = schedule.alpha(t), schedule.sigma(t), 0.3
    x = alpha * -0.7 + sigma * eps
    level = {"x": x, "alpha": alpha, "sigma": sigma}
    velocity = convert(eps, "eps", "velocity", rates=schedule.rates(t), **level)
    score = convert(eps, "eps", "score", **level)
    assert velocity == pytest.approx(schedule.f(t) * x - schedule.g2(t) / 2 * score, rel=1e-12)


def test_the_velocity_of_rectified_flow_is_noise_minus_data_up_to_the_last_time():
    for t in (0.25, 1.0):
        schedule = RectifiedFlow()
        x = (1 - t) * 2.0 + t * 0.5
        level = {"x": x, "alpha": schedule.alpha(t), "sigma": schedule.sigma(t), "rates": schedule.rates(t)}
        assert convert(0.5 - 2.0, "velocity", "x0", **level) == pytest.approx(2.0)
        assert convert(0.5 - 2.0, "velocity", "eps", **level) == pytest.approx(0.5)


def test_what_the_prediction_does_not_determine_is_an_error():
    pure_noise, pure_data = {"x": 1.0, "alpha": 0.0, "sigma": 1.0}, {"x": 1.0, "alpha": 1.0, "sigma": 0.0}
    with pytest.raises(ValueError, match='"eps" does not determine "x0"'):
        convert(1.0, "eps", "x0", **pure_noise)
    with pytest.raises(ValueError, match='"x0" does not determine "eps"'):
        convert(1.0, "x0", "eps", **pure_data)
    with pytest.raises(ValueError, match="the score is infinite"):
        convert(1.0, "eps", "score", **pure_data)
    assert convert(0.25, "eps", "score", **pure_noise) == -0.25
    assert convert(-0.25, "score", "eps", **pure_noise) == 0.25
    assert convert(-0.25, "v", "x0", **pure_noise) == 0.25


def test_unusable_arguments_are_named():
    x = np.zeros((4, 3))
    with pytest.raises(ValueError, match="Unknown kind of prediction 'noise'; known are eps, x0, v, score"):
        convert(x, "noise", "x0", x=x, alpha=1.0, sigma=1.0)
    with pytest.raises(ValueError, match=r"needs rates=schedule\.rates"):
        convert(x, "eps", "velocity", x=x, alpha=1.0, sigma=1.0)
    with pytest.raises(ValueError, match=r"shape of x, \(4, 3\); got \(3,\)"):
        convert(x[0], "eps", "x0", x=x, alpha=1.0, sigma=1.0)
    with pytest.raises(ValueError, match=r"sigma must be a number or have shape \(4,\); got \(3,\)"):
        convert(x, "eps", "x0", x=x, alpha=1.0, sigma=np.ones(3))


# torch warns about itself when torch.func is first used.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_torch_agrees_with_numpy(source, target):
    torch = pytest.importorskip("torch", reason="torch is an extra")
    rng = np.random.default_rng(1)
    prediction, x = rng.standard_normal((2, 5, 3))
    alpha, sigma, rates = rng.uniform(0.3, 1, 5), rng.uniform(0.3, 1, 5), (-rng.random(5), rng.random(5))
    expected = convert(prediction, source, target, x=x, alpha=alpha, sigma=sigma, rates=rates)
    tensors = [torch.tensor(value) for value in (prediction, x, alpha, sigma, *rates)]

    def formula(p, x, a, s, *r):
        return convert(p, source, target, x=x, alpha=a, sigma=s, rates=r)

    for result in (formula(*tensors), torch.func.vmap(formula)(*tensors)):
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12)
