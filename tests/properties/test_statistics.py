"""Sequential tests: no more false alarms than stated, whatever the distribution, and at least the stated power."""

import numpy as np
import pytest

from afi_properties.statistics import MISS, BiasTest, ExcessRiskTest, Outcome

ONE = np.ones(1)
VARIANCE = 4e-4


def a_test(false_alarm=1e-8, points=1, allowance=0.0):
    many = np.ones(points)
    return BiasTest(many, allowance * many, 0.01 * many, VARIANCE * many, false_alarm)


def rare(rng, shape, chance=1e-3):
    return np.where(rng.random(shape) < chance, (1 - chance) / chance, -1) * np.sqrt(chance / (1 - chance))


STANDARDISED = {  # mean 0, variance 1
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
    "heavy-tailed": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
    "rare large values": rare,
    "two values": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
}


def decide(test, draw, rng, *, early=True):
    outcome = Outcome.OPEN
    while (outcome is Outcome.OPEN or (outcome is Outcome.RIGHT and not early)) and test.count < test.budget:
        outcome = test.add(draw(rng, (64, len(test.truth))))
    return outcome


def of_variance(share, bias, name):
    def draw(rng, shape):
        return 1 + bias + np.sqrt(share * VARIANCE) * STANDARDISED[name](rng, shape)

    return draw


@pytest.mark.parametrize("share", [1.0, 0.1])
@pytest.mark.parametrize("name", STANDARDISED)
def test_false_alarms_are_no_more_than_stated(name, share):
    """At a rate that can be seen, looking all the time and accepting nothing."""
    rng = np.random.default_rng(0)
    outcomes = [decide(a_test(0.1), of_variance(share, 0, name), rng, early=False) for _ in range(300)]
    alarms = sum(outcome in (Outcome.BIASED, Outcome.SCATTERED) for outcome in outcomes)
    assert alarms <= 30  # the stated rate is a bound, and a loose one


@pytest.mark.parametrize("bias", [0.01, -0.01, 0.1, 100.0, -100.0])
@pytest.mark.parametrize("name", STANDARDISED)
def test_a_bias_of_one_percent_or_more_is_found(name, bias):
    rng = np.random.default_rng(1)
    outcomes = [decide(a_test(), of_variance(1.0, bias, name), rng) for _ in range(100)]
    assert sum(outcome in (Outcome.BIASED, Outcome.SCATTERED) for outcome in outcomes) >= 100 * (1 - 2 * MISS)


@pytest.mark.parametrize("name", STANDARDISED)
def test_what_is_right_is_accepted_soon(name):
    rng = np.random.default_rng(2)
    tests = [a_test() for _ in range(50)]
    assert {decide(test, of_variance(1.0, 0, name), rng) for test in tests} == {Outcome.RIGHT}
    assert np.median([test.count for test in tests]) < tests[0].budget / 2


def test_every_point_is_tested():
    rng = np.random.default_rng(3)
    test = a_test(points=3)
    assert decide(test, lambda r, s: 1 + np.array([0, 0, 0.02]) + 0.01 * r.standard_normal(s), rng) is Outcome.BIASED
    assert np.argmax(np.abs(test.mean_error)) == 2


def test_a_larger_variance_than_stated_is_found():
    rng = np.random.default_rng(4)
    test = a_test()
    assert decide(test, of_variance(30.0, 0, "normal"), rng) is Outcome.SCATTERED
    assert test.variance_ratio[0] == pytest.approx(30, rel=0.5)


def test_rounding_within_the_allowance_is_no_bias():
    rng = np.random.default_rng(5)
    test = a_test(allowance=0.004)
    assert decide(test, lambda r, s: np.full(s, 1.004), rng, early=False) is Outcome.RIGHT


def test_an_allowance_as_large_as_the_bias_is_refused():
    with pytest.raises(ValueError, match="less than the bias"):
        a_test(allowance=0.01)
    with pytest.raises(ValueError, match="positive and finite"):
        BiasTest(ONE, 0 * ONE, ONE, 0 * ONE, 0.1)


LOSSES = {
    "squared normal": lambda rng, n: rng.standard_normal(n) ** 2,
    "constant": lambda rng, n: np.ones(n),
    "nine in ten are zero": lambda rng, n: np.where(rng.random(n) < 0.1, 10.0, 0.0),
}


def decide_risk(draw, mean, rng, false_alarm=1e-8):
    test = ExcessRiskTest(acceptable=1e-3, unacceptable=4e-3, false_alarm=false_alarm)
    outcome = Outcome.OPEN
    while outcome is Outcome.OPEN and test.count < 20_000:
        outcome = test.add(mean * draw(rng, 64))
    return outcome


@pytest.mark.parametrize("name", LOSSES)
def test_excess_risks_are_told_apart(name):
    rng = np.random.default_rng(6)
    assert {decide_risk(LOSSES[name], 5e-4, rng) for _ in range(50)} == {Outcome.RIGHT}
    assert {decide_risk(LOSSES[name], 4e-3, rng) for _ in range(50)} == {Outcome.BIASED}
    alarms = sum(decide_risk(LOSSES[name], 1e-3, rng, 0.1) is Outcome.BIASED for _ in range(200))
    assert alarms <= 20


def test_an_excess_risk_is_not_negative():
    test = ExcessRiskTest(1e-3, 4e-3, 0.1)
    for value in (-1.0, np.nan):
        with pytest.raises(ValueError, match="not negative"):
            test.add(np.array([value]))
    with pytest.raises(ValueError, match="acceptable < unacceptable"):
        ExcessRiskTest(2.0, 1.0, 0.1)
