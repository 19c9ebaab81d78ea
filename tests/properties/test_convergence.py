"""Judging limits: sequences of known order and limit, and what must not be mistaken for what."""

import numpy as np
import pytest

from afi_properties.convergence import RESOLUTION, STEPS, Limit, judge_answer, judge_limit

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(3, 4))
SCALE = np.linalg.norm(TRUTH, axis=1)
COARSE = RNG.normal(size=(2, 3, 4))  # coefficients of the first two terms of the error


def sequence(order, limit=TRUTH, size=1.0, second=3.0, noise=0.0):
    rng = np.random.default_rng(1)
    for n in STEPS:
        h = 4 / n
        rounding = noise * SCALE[:, None] * rng.normal(size=TRUTH.shape)
        yield limit + size * (COARSE[0] * h**order + second * COARSE[1] * h ** (order + 1)) + rounding


def judge(answers, unit=2.0**-53):
    """As a check does: until it is decided."""
    seen = []
    for answer in answers:
        seen.append(answer)
        found = judge_limit(seen, TRUTH, np.zeros(3), SCALE, unit, last=len(seen) == len(STEPS))
        if found.limit is not Limit.OPEN:
            break
    return found


@pytest.mark.parametrize("order", [1, 2, 3, 4, 8])
@pytest.mark.parametrize(("unit", "noise"), [(2.0**-53, 1e-16), (2.0**-24, 1e-7)])
def test_right_answers_of_any_order(order, unit, noise):
    found = judge(sequence(order, noise=noise), unit)
    assert found.limit is Limit.RIGHT
    assert (found.errors <= 1).all()


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("far", [3, 10, 300])
@pytest.mark.parametrize(("unit", "noise"), [(2.0**-53, 1e-16), (2.0**-24, 1e-7)])
def test_another_limit_is_wrong(order, far, unit, noise):
    limit = TRUTH * (1 + far * RESOLUTION)
    # The solver's own error at 512 steps has to be smaller than what is wrong.
    found = judge(sequence(order, limit, size=0.1, noise=noise), unit)
    assert found.limit is Limit.WRONG
    assert (found.errors > far / 2).any()


def test_one_wrong_point_of_a_batch_is_found():
    limit = TRUTH.copy()
    limit[1] *= 1.05
    found = judge(sequence(2, limit))
    assert (found.limit, found.worst) == (Limit.WRONG, 1)


def test_half_an_order_is_slow():
    assert judge(sequence(0.5, size=0.1)).limit is Limit.SLOW


def test_no_convergence_is_wrong():
    rng = np.random.default_rng(2)
    assert judge(TRUTH + rng.normal(size=TRUTH.shape) for _ in STEPS).limit is Limit.WRONG


def test_numbers_that_are_none_are_wrong():
    assert judge(np.full_like(TRUTH, np.nan) for _ in STEPS).limit is Limit.WRONG
    answers = [*sequence(1)][:-1]
    assert judge([*(np.inf * a for a in answers), np.full_like(TRUTH, np.inf)]).limit is Limit.WRONG


def test_near_the_truth_and_then_no_nearer_is_stagnant():
    assert judge(sequence(4, TRUTH * (1 + 0.7 * RESOLUTION))).limit is Limit.STAGNANT


def test_the_truths_own_error_counts():
    answers = [*sequence(4, TRUTH * (1 + 1e-5))]
    blurred = judge_limit(answers, TRUTH, 2e-5 * SCALE, SCALE, 2.0**-53, last=True)
    assert blurred.limit is Limit.RIGHT


def test_answers_that_ignore_the_steps_are_judged_like_one():
    for factor, limit in ((1 + RESOLUTION / 2, Limit.RIGHT), (1.1, Limit.WRONG)):
        assert judge(TRUTH * factor for _ in STEPS).limit is limit


@pytest.mark.parametrize(
    ("off", "limit"), [(0.9, Limit.RIGHT), (2, Limit.STAGNANT), (9, Limit.WRONG), (np.nan, Limit.WRONG)]
)
def test_one_answer(off, limit):
    assert judge_answer(TRUTH * (1 + off * RESOLUTION), TRUTH, np.zeros(3), SCALE).limit is limit


def test_right_answers_are_never_called_wrong():
    """Random errors of random orders, with an error that changes its sign on the way."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        order, size = rng.choice([1, 2, 4]), 10 ** rng.uniform(-3, 1)
        terms = size * rng.normal(size=(3, *TRUTH.shape))
        answers = [TRUTH + sum(c * (8 / n) ** (order + k) for k, c in enumerate(terms)) for n in STEPS]
        assert judge(answers).limit in (Limit.RIGHT, Limit.OPEN)


def test_amplified_rounding_near_the_truth_is_no_slow_convergence():
    # As of finite differences of the flow: changes with an order of 0.17, a thousand times what rounding explains.
    answers = [TRUTH * (1 + 1e-9 * (-1) ** k * n**-0.17) for k, n in enumerate(STEPS)]
    assert judge(answers).limit is Limit.RIGHT
    assert judge([TRUTH + 1e6 * (answer - TRUTH) for answer in answers]).limit is not Limit.RIGHT
