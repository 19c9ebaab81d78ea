"""The cases of the claims about Theorem 1's map: clear answers, exact structure, evidence for every wrong formula."""

import numpy as np
import pytest

from afi_properties.asymmetry import asymmetry
from afi_properties.claims.transport import OPTIMALITY_CLAIMS
from afi_properties.trajectory import trajectory_of
from afi_properties.transport_cases import LEAST_ASYMMETRY, STRUCTURES, TURNING, transport_problems


@pytest.mark.parametrize("weighted", [True, False])
def test_answers_are_clear_and_those_of_the_structure(weighted):
    told = []
    for problem in transport_problems("dirac", len(STRUCTURES), seed=1 + weighted, weighted=weighted):
        trajectory = trajectory_of(problem)
        turned = asymmetry(trajectory.jacobian.value)
        structure = problem.description.split(",")[0]
        expected = [structure != "general", structure not in TURNING][: problem.batch]
        assert ((turned < 1e-10) == expected).all(), structure
        assert (turned[~np.array(expected)] > LEAST_ASYMMETRY).all()
        claim = OPTIMALITY_CLAIMS[0]
        assert (claim.truth(trajectory).value == expected).all()
        told += [name for name, formula in claim.wrong.items() if formula(trajectory, np.array(expected)) is not None]
    assert set(told) == set(OPTIMALITY_CLAIMS[0].wrong)


@pytest.mark.parametrize("family", ["dirac", "gaussian-mixture"])
def test_numbers_have_eight_bits_and_points_turn_for_many_seeds(family):
    for seed in range(5):
        for problem in transport_problems(family, len(STRUCTURES), seed):
            for name, value in problem.values.items():
                if name not in ("alpha", "sigma"):
                    mantissas = np.frexp(value)[0]
                    assert (mantissas * 256 == np.round(mantissas * 256)).all(), name
            if "covariances" in problem.values:
                assert (np.linalg.eigvalsh(problem.values["covariances"]) > 0).all()


def test_the_dimension_is_that_of_the_adapter():
    assert {problem.dimension for problem in transport_problems("dirac", 6, 0, 4)} == {4}
    assert {problem.dimension for problem in transport_problems("dirac", 6, 0, 1)} == {1}
