"""Hypotheses about the optimality of a map: another property of a matrix, or of another matrix."""

from collections.abc import Callable, Iterator

import numpy as np

from afi_properties.asymmetry import asymmetry
from afi_properties.diagnosis.explanation import Fault
from afi_properties.diagnosis.flows.hypothesis import FlowCase, Hypothesis
from afi_properties.diagnosis.flows.route import generator, law_of, place_at
from afi_properties.problem import Array

_SYMMETRIC = 1e-6


def _definite(J: Array) -> Array:
    return np.asarray(np.linalg.eigvalsh((J + J.swapaxes(1, 2)) / 2)[:, 0] >= 0)


def _symmetric(J: Array, tolerance: float = _SYMMETRIC) -> Array:
    return np.asarray(asymmetry(J) <= tolerance)


def _real_positive(J: Array) -> Array:
    values = np.linalg.eigvals(J)
    return np.asarray(((values.real > 0) & (abs(values.imag) <= 1e-9 * abs(values))).all(axis=1))


def _collinear(case: FlowCase) -> Array:
    atoms = law_of(case.t).means
    values = np.linalg.svd(atoms - atoms.mean(axis=0), compute_uv=False)
    return np.full(len(case.t.x), bool((values[1:] <= 1e-6 * max(values[0], 1e-300)).all()))


def _of_jacobian(test: Callable[[Array], Array]) -> Callable[[FlowCase], Array]:
    return lambda case: np.asarray(test(case.jacobian), dtype=np.float64)


def _everywhere(case: FlowCase) -> Array:
    J = case.jacobian
    return np.full(len(J), float((_symmetric(J) & _definite(J)).all()))


def _generator(case: FlowCase) -> Array:
    return _symmetric(generator(place_at(case.t, case.t.x, case.t.t_start))).astype(np.float64)


_TESTS: tuple[tuple[Fault, str, Callable[[Array], Array]], ...] = (
    (Fault.CRITERION, "whether the Jacobian is definite (Theorem 1 as printed), not symmetric", _definite),
    (Fault.CRITERION, "whether the Jacobian's eigenvalues are real and positive", _real_positive),
    (Fault.CRITERION, "whether its determinant is positive", lambda J: np.linalg.det(J) > 0),
    (Fault.SIGN, "the opposite: where the Jacobian is not symmetric", lambda J: ~_symmetric(J)),
    (Fault.SIGN, "the opposite: where the map is not optimal", lambda J: ~(_symmetric(J) & _definite(J))),
    (Fault.CRITERION, "always true", lambda J: np.ones(len(J), dtype=bool)),
    (Fault.CRITERION, "never true", lambda J: np.zeros(len(J), dtype=bool)),
    *(
        (
            Fault.CRITERION,
            f"whether it is symmetric within {tolerance:g}, which is too much",
            lambda J, tolerance=tolerance: _symmetric(J, tolerance) & _definite(J),
        )
        for tolerance in (0.5, 0.3, 0.2, 0.1, 0.05)
    ),
)


def criteria() -> Iterator[Hypothesis]:
    """Yield what a criterion may ask instead, the likelier first."""
    for fault, words, test in _TESTS[:1]:
        yield Hypothesis(fault, f"tells {words}", _of_jacobian(test))
    yield Hypothesis(Fault.BATCH, "tells one thing for the whole batch", _everywhere)
    yield Hypothesis(
        Fault.CRITERION, "tells whether the data are collinear", lambda c: _collinear(c).astype(np.float64)
    )
    for fault, words, test in _TESTS[1:]:
        yield Hypothesis(fault, f"tells {words}", _of_jacobian(test))
    yield Hypothesis(Fault.CRITERION, "tells whether B is symmetric, which it always is", _generator)
