"""The certified flow: against the change of variables, the integrated oracle, and itself there and back."""

import numpy as np
import pytest

from afi_reference import DiracMixture
from afi_reference.certified import CertifiedDiracMixture, enclose_transport
from afi_reference.flow import FlowOracle
from afi_reference.schedules import EDM

TRIANGLE = np.array([[0.5, 0.0], [0.0, -0.5], [0.0, 0.0]])
POINT = np.array([[0.25, -0.125]])
CASES = {
    "to noise": (TRIANGLE, POINT, 0.25, 0.5, None),
    "to data": (TRIANGLE, POINT, 2.0, 0.5, None),
    "weights": (TRIANGLE + 3, POINT + 3, 0.5, 0.75, np.array([0.5, 0.25, 0.25])),
    "three dimensions": (np.eye(3), np.full((1, 3), 0.25), 1.0, 1.25, None),
}


@pytest.mark.parametrize("name", CASES)
def test_encloses_what_the_change_of_variables_and_the_oracle_say(name):
    atoms, x, start, end, weights = CASES[name]
    answer = enclose_transport(x, atoms, (1.0, start), (1.0, end), weights)
    assert answer.point.decided
    assert answer.jacobian.decided
    law = CertifiedDiracMixture(atoms, weights)
    densities = [law.log_density(point, 1.0, sigma).value for point, sigma in ((x, start), (answer.point.value, end))]
    determinant = np.log(np.linalg.det(answer.jacobian.value))
    np.testing.assert_allclose(densities[0] - densities[1], determinant, rtol=0, atol=1e-14)
    oracle = FlowOracle(DiracMixture(atoms, weights), EDM())
    for ours, theirs in (
        (answer.point, oracle.transport(x, start, end)),
        (answer.jacobian, oracle.transport_jacobian(x, start, end)),
    ):
        assert np.linalg.norm(ours.value - theirs.value) <= theirs.error[0] <= 1e-9


def test_there_and_back_encloses_the_start():
    there = enclose_transport(POINT, TRIANGLE, (0.5, 0.25), (0.5, 0.5))
    back = enclose_transport(there.point.value, TRIANGLE, (0.5, 0.5), (0.5, 0.25))
    np.testing.assert_allclose(back.point.value, POINT, rtol=0, atol=1e-15)
    np.testing.assert_allclose(back.jacobian.value[0] @ there.jacobian.value[0], np.eye(2), rtol=0, atol=1e-15)


def test_one_atom_is_exact():
    answer = enclose_transport(POINT, np.array([[1.0, 2.0], [1.0, 2.0]]), (1.0, 0.25), (0.5, 0.5))
    np.testing.assert_array_equal(answer.point.value, 0.5 * np.array([[1.0, 2.0]]) + 2 * (POINT - [[1.0, 2.0]]))
    np.testing.assert_array_equal(answer.jacobian.value, 2 * np.eye(2)[None])


def test_too_little_precision_is_undecided_and_no_enclosure_is_wrong():
    answer = enclose_transport(POINT, TRIANGLE, (1.0, 0.25), (1.0, 0.5), max_precision=40)
    assert not answer.jacobian.decided
    truth = enclose_transport(POINT, TRIANGLE, (1.0, 0.25), (1.0, 0.5)).jacobian.value
    assert (answer.jacobian.lower <= truth).all()
    assert (truth <= answer.jacobian.upper).all()


def test_bad_levels_are_named():
    with pytest.raises(ValueError, match=r"end must be \(alpha, sigma\)"):
        enclose_transport(POINT, TRIANGLE, (1.0, 0.5), (1.0, 0.0))
