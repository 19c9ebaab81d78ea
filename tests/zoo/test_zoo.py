"""The zoo itself: its animals are unique, say what they are, and are wrong in nothing but their sin."""

import numpy as np
import pytest

from afi_properties.strategies import Demand, stratified_problems
from afi_verify.backends import load_backend
from afi_verify.errors import BrokenAnswerError
from afi_verify.handing import Subject, call, round_problem
from tests.zoo.specimen import MUTANTS, Fault, Specimen

LIBRARIES = ("numpy", "torch", "jax")


def ordinary_problem(specimen: Specimen):
    """Several points, more atoms, more dimensions, at a middling noise level: nothing coincides."""
    (dimension,) = {int(np.prod(specimen.options["event_shape"]))} if "event_shape" in specimen.options else {16}
    demand = Demand(
        family=specimen.family,
        variance_preserving=True,
        per_sample_noise="per_sample_noise" in specimen.options,
        dimension=dimension,
    )
    wanted = (3, 4 if specimen.family == "gaussian-mixture" else 8)
    problems = (p for p in stratified_problems(demand, rounds=20, seed=0) if (p.batch, p.atoms) == wanted)
    return min(problems, key=lambda p: abs(p.log_snr[0]) + 10 * p.strided)


def subject_of(specimen: Specimen, dtype: str) -> Subject:
    adapter = specimen.adapter(dtype)
    (provided,) = adapter.functions.values()
    return Subject(adapter, load_backend(specimen.backend, dtype, "cpu"), provided)


@pytest.mark.parametrize("specimen", MUTANTS, ids=lambda specimen: specimen.name)
def test_right_in_structure(specimen):
    problem = ordinary_problem(specimen)
    for dtype in specimen.dtypes:
        subject = subject_of(specimen, dtype)
        try:
            call(subject, round_problem(subject, problem), dtype)
        except BrokenAnswerError as error:
            assert specimen.diagnosis == Fault.ARGUMENT_CHANGED, str(error)
            assert "in place" in str(error)
