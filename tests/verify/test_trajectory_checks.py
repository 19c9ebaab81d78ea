"""Claims about trajectories, from the adapter to the verdict."""

import dataclasses

import numpy as np
import pytest

from afi_properties.catalogue import TRAJECTORY_CLAIMS
from afi_properties.precision import PRECISIONS
from afi_properties.trajectory import trajectory_of
from afi_properties.trajectory_cases import rounded, trajectory_problems, with_skew_epsilon
from afi_verify import Adapter, UnusableError, verify
from afi_verify.results import Verdict
from tests.zoo.flows import adjoint as adjoint_by_hand
from tests.zoo.flows import dirac_law, likelihood


def check(role, function, dtype="float64", **options):
    adapter = Adapter("flow", dtype=dtype, **options)
    adapter.provides(role, function)
    results = verify(adapter, roles=[role]).results.checks
    return next(c for c in results if c.verdict is not Verdict.NOT_PROVIDED)


def right(x, schedule, t_start, t_end, num_steps, data, weights):
    return likelihood(x, schedule, t_start, t_end, num_steps, data, weights)


@pytest.mark.parametrize("family", ["dirac", "gaussian-mixture"])
def test_numbers_are_the_same_in_every_precision(family):
    for problem in trajectory_problems(family, 6, 0):
        for name, value in problem.values.items():
            if name not in ("alpha", "sigma"):
                np.testing.assert_array_equal(value, rounded(value), err_msg=name)
        assert problem.values["weights"].sum() == 1
        assert (np.diff(problem.values["t_end"]) == 0).all()


@pytest.mark.parametrize("claim", TRAJECTORY_CLAIMS, ids=lambda c: f"{c.role}-{c.family}")
def test_every_wrong_formula_is_told_by_some_case(claim):
    best = {}
    problems = list(claim.cases(claim.family, 6, 0))
    for problem in problems + [with_skew_epsilon(problem) for problem in problems if "skew" in claim.eps_kinds][1::2]:
        trajectory = trajectory_of(problem)
        truth = claim.truth(trajectory)  # the oracle takes most of the time
        scale = claim.scale(trajectory, truth.value)
        assert (truth.error < 1e-8 * scale).all()
        for name, formula in claim.wrong.items():
            answer = formula(trajectory, truth.value)
            if answer is not None:
                away = np.abs(answer - truth.value).reshape(len(scale), -1).max(axis=1) / scale
                best[name] = max(best.get(name, 0), float(away.max()))
    assert set(best) == set(claim.wrong)
    assert min(best.values()) > 4e-3, min(best, key=best.get)


def test_right_code_passes_in_both_precisions():
    for dtype in ("float64", "float32"):
        result = check("log_likelihood", right, dtype)
        assert result.verdict is Verdict.PASS
        assert result.evidence >= 4
        assert result.worst_error <= 16


def test_half_precision_cannot_tell():
    result = check("log_likelihood", right, "float16")
    assert result.verdict is Verdict.VACUOUS
    assert PRECISIONS["float16"].unit_roundoff > 1e-4


def test_a_wrong_limit_fails_with_the_smallest_case():
    result = check("log_likelihood", lambda x, schedule, t_start, t_end, num_steps, data, weights: 0 * x[:, 0])
    assert result.verdict is Verdict.FAIL
    assert "does not converge to the truth" in result.message
    assert (result.simplest.atoms, result.simplest.dimension) == (1, 1)


def test_an_adjoint_with_images_and_uniform_weights():
    def by_hand(x, loss_grad, schedule, t_start, t_end, num_steps, data):
        flat, weights = data.reshape(len(data), -1), np.full(len(data), 1 / len(data), dtype=x.dtype)
        gradient = adjoint_by_hand(
            x.reshape(len(x), -1),
            loss_grad.reshape(len(x), -1),
            schedule,
            t_start,
            t_end,
            num_steps,
            dirac_law(schedule, flat, weights),
        )
        return gradient.reshape(x.shape)

    result = check("adjoint", by_hand, event_shape=(1, 2, 2))
    assert result.verdict is Verdict.PASS, result.message


def test_too_many_dimensions_are_said_to_be():
    adapter = Adapter("large", event_shape=(65,))
    adapter.provides("log_likelihood", right)
    (result,) = [c for c in verify(adapter, roles=["log_likelihood"]).results.checks if c.scenario == "dirac"]
    assert result.verdict is Verdict.NOT_PROVIDED
    assert "up to 64 dimensions" in result.message


def test_broken_answers_are_errors():
    result = check("log_likelihood", lambda x, schedule, t_start, t_end, num_steps, data: x)
    assert result.verdict is Verdict.ERROR
    assert "shape" in result.message


def test_unknown_names_are_listed():
    with pytest.raises(UnusableError, match="num_steps"):
        Adapter("a").provides("adjoint", lambda x, data, steps: x)


def test_claims_say_what_they_are():
    for claim in TRAJECTORY_CLAIMS:
        assert dataclasses.is_dataclass(claim)
        assert {"x", "schedule", "t_start", "t_end", "num_steps"} <= claim.parameters
