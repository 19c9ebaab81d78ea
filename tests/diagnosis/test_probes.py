"""What questions that make a part of a formula trivial tell, on mistakes that no formula of ours describes."""

import numpy as np
import pytest

from afi_properties.diagnosis import Fault
from afi_verify import Adapter, verify
from tests.zoo.building_blocks import (
    covariance_product,
    mean,
    posterior,
    softmax,
    squared_distances,
)


def odd_power_of_sigma(x, alpha, sigma, data):
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**1.7


def odd_power_of_alpha(x, alpha, sigma, data):
    return (alpha**1.3 * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2


def odd_distances(x, alpha, sigma, data):
    p = softmax(-((squared_distances(x, alpha, data) / sigma**2) ** 0.8) / 2)
    return (alpha * mean(p, data) - x) / sigma**2


def heavier_for_each_next_atom(x, alpha, sigma, data):
    p = posterior(x, alpha, sigma, data) * np.linspace(1, 2, len(data))
    return (alpha * mean(p / p.sum(axis=1, keepdims=True), data) - x) / sigma**2


def mean_of_batch_mixed_in(x, alpha, sigma, data):
    y = mean(posterior(x, alpha, sigma, data), data)
    return (alpha * (0.9 * y + 0.1 * y.mean(axis=0)) - x) / sigma**2


def random_numbers_added(x, alpha, sigma, data):
    noise = np.random.default_rng(0).normal(size=x.shape)
    return (alpha * mean(posterior(x, alpha, sigma, data), data) - x) / sigma**2 + 0.1 * noise / sigma


def sine_of_the_truth(x, v, alpha, sigma, data):
    right = v / sigma**2 - alpha**2 / sigma**4 * covariance_product(posterior(x, alpha, sigma, data), data, v)
    return right * (1 + 0.3 * np.sin(x.sum(axis=1, keepdims=True)))


@pytest.mark.parametrize(
    ("function", "faults"),
    [
        (odd_power_of_sigma, {Fault.POWER_OF_SIGMA}),
        (odd_power_of_alpha, {Fault.POWER_OF_ALPHA}),
        (odd_distances, {Fault.WEIGHTS_WRONG}),
        (heavier_for_each_next_atom, {Fault.ORDER}),
        (mean_of_batch_mixed_in, {Fault.BATCH}),
        (random_numbers_added, {Fault.ESTIMATE, Fault.BATCH}),
        (sine_of_the_truth, {Fault.CONSTANT}),
    ],
)
def test_the_part_is_named(function, faults):
    arguments = function.__code__.co_varnames[: function.__code__.co_argcount]
    role = "fisher_vector_product" if "v" in arguments else "score"
    adapter = Adapter("subject", dtype="float64")
    adapter.provides(role, function)
    (result,) = verify(adapter, profile="quick", scenarios=["dirac"], roles=[role]).results.checks[:1]
    assert result.fault in {fault.value for fault in faults}, result.diagnosis
