"""Every mutant is caught, no right implementation is accused, and no check is superfluous.

``python -m tests.zoo`` has the full numbers; here a mutant's checks end at the first case that shows the fault, and
what a check catches alone is looked for among the cases of the default profile.
"""

import pytest

from afi_properties.catalogue import CLAIMS
from afi_properties.catalogue import ROLES as ALL_ROLES
from tests.zoo.innocents import INACCURATE, INNOCENTS
from tests.zoo.matrix import ACCUSED, CAUGHT, hunt
from tests.zoo.specimen import MUTANTS

pytest.importorskip("torch")

ROLES = tuple(role for role in ALL_ROLES if any(mutant.role == role for mutant in MUTANTS))
DTYPES = ("float64", "float32", "float16", "bfloat16")
CHECKS = [
    (claim.role, scenario)
    for claim in CLAIMS
    for scenario in (("dirac", "digits") if claim.family == "dirac" else (claim.family,))
]


@pytest.mark.parametrize("dtype", DTYPES[:2])
@pytest.mark.parametrize("role", ROLES)
def test_every_mutant_is_caught(role, dtype):
    survivors = []
    for mutant in MUTANTS:
        if mutant.role == role and dtype in mutant.dtypes:
            outcomes = hunt(mutant, dtype, profile="ci", seed=0, simplest=False, first=True)
            if not any(outcome.verdict in CAUGHT for outcome in outcomes):
                survivors.append(mutant.name)
    assert survivors == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("role", ROLES)
def test_no_right_implementation_is_accused(role, dtype):
    accused = []
    for innocent in INNOCENTS.values():
        if innocent.role == role and dtype in innocent.dtypes:
            outcomes = hunt(innocent, dtype, profile="quick", seed=0, simplest=False)
            accused += [(innocent.name, o.check, o.verdict) for o in outcomes if o.verdict in ACCUSED]
    assert accused == []


@pytest.mark.parametrize("name", INACCURATE)
def test_lost_digits_are_called_so(name):
    animal = INACCURATE[name]
    for dtype in animal.dtypes:
        outcomes = hunt(animal, dtype, profile="quick", seed=0, simplest=False)
        verdicts = {outcome.verdict for outcome in outcomes}
        assert "inaccurate" in verdicts
        assert verdicts <= {"inaccurate", "pass"}


@pytest.mark.parametrize(("role", "scenario"), CHECKS)
def test_every_check_catches_what_no_other_does(role, scenario):
    own = [m for m in MUTANTS if (m.role, m.only) == (role, scenario)]
    own.sort(key=lambda mutant: mutant.backend == "jax")  # last: compiles anew for each size
    for mutant in own:
        outcomes = hunt(mutant, mutant.dtypes[-1], profile="quick", seed=0, simplest=False)
        if [o.check.rpartition("/")[2] for o in outcomes if o.verdict in CAUGHT] == [scenario]:
            return
    pytest.fail(f"None of {own} is caught by {scenario} alone.")
