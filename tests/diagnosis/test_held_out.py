"""The diagnosis on wrong implementations that it was not made for; ``python -m tests.diagnosis`` runs all of them."""

import pytest

pytest.importorskip("torch", reason="some of them are written in torch")

from tests.diagnosis.measure import name_faults
from tests.diagnosis.registry import collect

SOME = collect("first")[::6]


def test_most_families_are_named():
    named = list(name_faults(SOME, profile="quick", dtypes=["float64"]))
    assert sum(one.family for one in named) >= 0.75 * len(SOME), [(one.animal.name, one.fault) for one in named]


def test_most_families_of_trajectories_are_named():
    some = collect("trajectories")[::12]
    named = list(name_faults(some, profile="quick", dtypes=["float64"]))
    assert sum(one.family for one in named) >= 0.75 * len(some), [(one.animal.name, one.fault) for one in named]
