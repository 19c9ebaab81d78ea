"""How often the diagnosis names the fault, or its family, of wrong implementations that it was not made for."""

import dataclasses
from collections.abc import Iterator, Sequence

from afi_properties.diagnosis import Fault
from afi_verify.checks import conclude, look_for_faults
from afi_verify.conditions import fixed_conditions
from afi_verify.examination import Finding, Kind
from afi_verify.planning import make_plan, planned_checks
from tests.diagnosis.held_out import HeldOut
from tests.zoo.matrix import CASES_FOR_A_DIAGNOSIS


@dataclasses.dataclass(frozen=True)
class Named:
    """What was named for one of them; ``fault`` is ``None`` where nothing was."""

    animal: HeldOut
    verdict: str
    fault: Fault | None
    diagnosis: str

    @property
    def exact(self) -> bool:
        """Whether the fault is the right one."""
        return self.fault is self.animal.fault

    @property
    def family(self) -> bool:
        """Whether its family is."""
        return self.fault is not None and self.fault.family is self.animal.fault.family


def name_faults(animals: Sequence[HeldOut], *, profile: str = "ci", seed: int = 0) -> Iterator[Named]:
    """Run the drawn check of each one's role until some cases are there, and ask for the diagnosis."""
    for animal in animals:
        plan = make_plan(
            profile=profile, seed=seed, scenarios=[animal.family], roles=[animal.role], data=None, weights=None
        )
        check = next(c for c in planned_checks(animal.adapter(), plan) if c.scenario == animal.family)
        with fixed_conditions():
            result = conclude(check, plan, look_for_faults(check, plan, _Enough()))
        fault = Fault(result.fault) if result.fault else None
        yield Named(animal, result.verdict.value, fault, result.diagnosis)


class _Enough:
    """Whether there are as many cases as a diagnosis needs, and a wrong one among them."""

    def __init__(self) -> None:
        self.seen, self.worst = 0, Kind.RIGHT

    def __call__(self, finding: Finding) -> bool:
        self.seen += 1
        self.worst = max(self.worst, finding.kind)
        return self.worst > Kind.INACCURATE and self.seen >= CASES_FOR_A_DIAGNOSIS
