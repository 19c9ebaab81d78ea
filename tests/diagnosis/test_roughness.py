"""Small deviations in float64: rounding is inaccurate, a formula that is nearly right is wrong."""

import numpy as np
import pytest

from afi_verify import Adapter, verify
from afi_verify.results import Verdict
from tests.zoo.building_blocks import mean, posterior


def right(x, alpha, sigma, data):
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


def nearly_right_divisor(x, alpha, sigma, data):
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / (sigma**2 * (1 + 1e-11))


def nearly_right_exponents(x, alpha, sigma, data):
    return (alpha * mean(posterior(x, alpha, sigma * (1 + 3e-12), data), data) - x) / sigma**2


def all_in_float32(x, alpha, sigma, data):
    x, data = x.astype(np.float32), data.astype(np.float32)
    return right(x, np.float32(alpha), np.float32(sigma), data).astype(np.float64)


def noise_in_float32(x, alpha, sigma, data):
    return right(x, np.float64(np.float32(alpha)), np.float64(np.float32(sigma)), data)


def weights_in_float32(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data).astype(np.float32).astype(np.float64)
    return (alpha * (p @ data) / p.sum(axis=1, keepdims=True) - x) / sigma**2


def expanded_distances(x, alpha, sigma, data):
    logits = (2 * alpha * x @ data.T - alpha**2 * (data**2).sum(axis=1) - (x**2).sum(axis=1)[:, None]) / (2 * sigma**2)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (alpha * (p @ data) / p.sum(axis=1, keepdims=True) - x) / sigma**2


def result_of(function):
    adapter = Adapter("subject", dtype="float64")
    adapter.provides("score", function)
    (result,) = verify(adapter, profile="quick", scenarios=["dirac"], roles=["score"]).results.checks[:1]
    return result


def scheduled_in_float32(x, schedule, t, data):
    alpha, sigma = np.float32(schedule.alpha(t)), np.float32(schedule.sigma(t))
    return right(x, float(alpha), float(sigma), data)


@pytest.mark.parametrize("function", [nearly_right_divisor, nearly_right_exponents])
def test_a_deviation_as_smooth_as_a_formula_is_wrong(function):
    assert result_of(function).verdict is Verdict.FAIL


@pytest.mark.parametrize("function", [all_in_float32, noise_in_float32, scheduled_in_float32, weights_in_float32])
def test_float32_inside_is_inaccurate_and_said_so(function):
    result = result_of(function)
    assert result.verdict is Verdict.INACCURATE
    assert "float32" in result.diagnosis


def test_cancellation_is_inaccurate():
    assert result_of(expanded_distances).verdict is Verdict.INACCURATE
