"""Tests of Prop. 7 and 8: instances in ball arithmetic, drawn batches, a steered search, a case that attains them."""

from collections.abc import Callable
from fractions import Fraction
from functools import cache

import hypothesis
import numpy as np
from flint import arb
from hypothesis import strategies as st

from afi_properties.audit.entry import Method, Outcome
from afi_properties.audit.evidence import exact, merge, no_violation
from afi_properties.audit.instances import Instance, Posterior, column, identity, inner, norm, trace
from afi_properties.bounds import Cases, measure
from afi_properties.bounds.campaign import run_campaign

_STEERED = 400


def prop_7(cases: int, *, bound: str) -> Outcome:
    """Test a bound on the error of eq. 17: ``printed`` or ``corrected``, both for eq. 17 with its 1/d."""
    return _test(_trace_exceeds, bound, "trace", ("trace", "trace, computable"), cases)


def prop_8(cases: int, *, bound: str, operator: str) -> Outcome:
    """Test a bound on the error of eq. 20: ``printed`` or ``corrected``, for the operator ``F`` or ``sigma F``."""

    def exceeds(instance: Instance, bound: str) -> bool:
        return _operator_exceeds(instance, bound, operator)

    return _test(exceeds, bound, "operator, radius", ("operator", "operator, radius"), cases)


def _test(
    exceeds: Callable[[Instance, str], bool], bound: str, steered: str, campaign: tuple[str, ...], cases: int
) -> Outcome:
    outcomes = [no_violation(lambda instance: exceeds(instance, bound))(cases)]
    if bound == "corrected":
        tallies = run_campaign(100 * cases, 1)
        drawn = sum(tallies[name].violations for name in campaign)
        outcomes.append(
            Outcome(drawn == 0, (Method.PROPERTY,), f"{drawn} violations in {100 * cases:,} cases of up to 8 atoms")
        )
        reached = steered_tightness(steered)
        outcomes.append(
            Outcome(
                reached >= 0.9,
                (Method.PROPERTY,),
                f"a search steered by Hypothesis reaches {reached:.4f} of the bound",
                {"tightness": reached},
            )
        )
        outcomes.append(attained(steered))
    return merge(outcomes)


def _trace_exceeds(instance: Instance, bound: str) -> bool:
    """Whether the trace by eq. 17 (with 1/d) is proven to be further off than the bound allows.

    The trace head is off by ``number``, the noise prediction by ``v``.
    """
    p = Posterior(instance)
    error = column(instance.v)
    predicted = (p.x - (p.noise + error) * p.sigma) / p.alpha
    head = trace(p.second) / p.d + instance.number
    estimate = p.d * (1 / p.sigma**2 - p.alpha**2 / p.sigma**4 * (head - inner(predicted, predicted) / p.d))
    delta_1, delta_2 = arb(abs(instance.number)), norm(error)
    if bound == "printed":
        allowed = p.alpha**2 / p.sigma**4 * delta_1 + delta_2**2 / p.sigma**2
    else:
        allowed = p.alpha**2 * p.d / p.sigma**4 * delta_1 + delta_2**2 / p.sigma**2
        allowed += 2 * p.alpha * norm(p.mean) / p.sigma**3 * delta_2
    return bool(abs(estimate - trace(p.fisher)) > allowed)


def _operator_exceeds(instance: Instance, bound: str, operator: str) -> bool:
    """Whether the matrix of eq. 20 is proven to be further off than the bound allows, in the Hilbert-Schmidt norm.

    The radius is that of the smallest ball around the origin that holds the atoms and the endpoint.
    """
    p = Posterior(instance)
    error, end = column(instance.v), column(instance.x0)
    predicted = (p.x - (p.noise + error) * p.sigma) / p.alpha
    outer = end * end.transpose() - predicted * predicted.transpose()
    matrix = identity(p.d) / p.sigma**2 - outer * (p.alpha**2 / p.sigma**4)
    radius = arb(max(sum(c * c for c in point) for point in (*instance.atoms, instance.x0))).sqrt()
    delta_2 = norm(error)
    if bound == "printed":
        allowed = p.alpha**2 / p.sigma**3 * (2 * radius**2 + arb(p.d).sqrt() * delta_2)
    else:
        r = p.sigma * delta_2 / p.alpha
        allowed = p.alpha**2 / p.sigma**4 * ((radius + r) ** 4 + radius**4).sqrt()
        allowed = allowed if operator == "F" else allowed * p.sigma
    off = norm(matrix - p.fisher) * (1 if operator == "F" else p.sigma)
    return bool(off > allowed)


@cache
def steered_tightness(bound: str) -> float:
    """Let Hypothesis climb towards the bound, networks wrong by anything in any direction; return how far it gets."""
    best = 0.0
    angle = st.floats(0, float(np.pi))

    @hypothesis.settings(
        max_examples=_STEERED,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.target],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(angle, angle, st.floats(-2, 2), st.floats(-2, 2), st.booleans(), st.floats(0, 1))
    def climb(error_angle: float, end_angle: float, size: float, head: float, sign: bool, spread: float) -> None:
        nonlocal best
        atoms = np.array([[[1.0, 0.0], [np.cos(spread), np.sin(spread)]]])
        error = -(10.0**size) * np.array([[np.cos(error_angle), np.sin(error_angle)]])
        end = np.array([[np.cos(end_angle), np.sin(end_angle)]])
        one = np.ones(1)
        head_error = (-1 if sign else 1) * 10.0**head * one
        errors = measure(Cases(atoms, np.array([[1.0, 0.5]]), one, one, error, head_error, end))
        value = (errors.trace if bound.startswith("trace") else errors.operator)[0]
        ratio = float((value - errors.rounding[0]) / errors.bounds[bound][0])
        hypothesis.target(ratio)
        best = max(best, ratio)

    climb()
    return best


def attained(bound: str) -> Outcome:
    """Prove with fractions that a case attains the bound: one atom (1, 0), alpha = sigma = 1, errors along it.

    The y-prediction is (1 + r, 0). Trace: the head is off by -h, so the error is 2 h + (1 + r)^2 - 1. Operator: the
    endpoint is (0, 1), so the error is the diagonal matrix of (1 + r)^2 and -1.
    """
    r, h = Fraction(3, 7), Fraction(2, 5)
    predicted, mean, end = (1 + r, Fraction(0)), (Fraction(1), Fraction(0)), (Fraction(0), Fraction(1))
    if bound.startswith("trace"):
        head = Fraction(1, 2) - h
        estimate = 2 - (2 * head - sum(c * c for c in predicted))
        equal = abs(estimate - 2) == 2 * h + 2 * r + r**2
        return exact(equal, "attained exactly: one atom at (1, 0), ε_θ off by r along it, t_θ too small")
    error = [
        [predicted[i] * predicted[j] - end[i] * end[j] for j in range(2)] for i in range(2)
    ]  # the covariance of one atom is 0
    square = sum(entry**2 for row in error for entry in row)
    radius = max(sum(c * c for c in mean), sum(c * c for c in end))
    equal = radius == 1 and square == (1 + r) ** 4 + 1
    return exact(equal, "attained exactly: one atom at (1, 0), ε_θ off by r along it, x₀ = (0, 1)")
