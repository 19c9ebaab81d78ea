"""The zoo itself: its animals are unique and say what they are."""

from tests.zoo.specimen import FAULTS, MUTANTS


def test_names_are_unique():
    names = [specimen.name for specimen in MUTANTS]
    assert len(set(names)) == len(names)


def test_diagnoses_are_known():
    assert {specimen.diagnosis for specimen in MUTANTS} <= set(FAULTS)
