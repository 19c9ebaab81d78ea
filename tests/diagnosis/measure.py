"""How often the diagnosis names the fault, or its family, of wrong implementations that it was not made for."""

import contextlib
import dataclasses
import time
from collections.abc import Iterable, Iterator
from typing import Any
from unittest import mock

from afi_properties.diagnosis import Fault
from afi_verify.checks import conclude, look_for_faults
from afi_verify.conditions import fixed_conditions
from afi_verify.diagnosis import diagnose
from afi_verify.examination import Finding, Kind
from afi_verify.planning import make_plan, planned_checks
from tests.diagnosis.registry import HeldOut
from tests.zoo.matrix import CASES_FOR_A_DIAGNOSIS


@dataclasses.dataclass(frozen=True)
class Named:
    """What was named for one of them in one precision; ``fault`` is ``None`` where nothing was."""

    animal: HeldOut
    dtype: str
    verdict: str
    fault: Fault | None
    diagnosis: str
    size: tuple[int, int] | None
    """N and d of the simplest counterexample."""
    seconds: float
    """Of processor time that the diagnosis took; what came before it is not counted."""

    @property
    def exact(self) -> bool:
        """Whether the fault is the right one."""
        return self.fault is self.animal.fault

    @property
    def family(self) -> bool:
        """Whether its family is one of the right ones."""
        right = {self.animal.fault.family, *self.animal.others}
        return self.fault is not None and self.fault.family in right

    @property
    def small(self) -> bool:
        """Whether the simplest counterexample has at most three atoms in at most three dimensions."""
        return self.size is not None and max(self.size) <= 3


def name_faults(
    animals: Iterable[HeldOut], *, profile: str = "ci", seed: int = 0, dtypes: Iterable[str] = ("float64", "float32")
) -> Iterator[Named]:
    """Run the drawn check of each one's role until some cases are there, and ask for the diagnosis."""
    for animal in animals:
        for dtype in (dtype for dtype in dtypes if dtype in animal.dtypes):
            plan = make_plan(
                profile=profile, seed=seed, scenarios=[animal.family], roles=[animal.role], data=None, weights=None
            )
            check = next(c for c in planned_checks(animal.adapter(dtype), plan) if c.scenario == animal.family)
            with fixed_conditions(), _timed() as seconds:
                result = conclude(check, plan, look_for_faults(check, plan, _Enough()))
            fault, least = Fault(result.fault) if result.fault else None, result.simplest
            size = (least.atoms, least.dimension) if least else None
            yield Named(animal, dtype, result.verdict.value, fault, result.diagnosis, size, sum(seconds))


@contextlib.contextmanager
def _timed() -> Iterator[list[float]]:
    """Collect the processor time of each diagnosis."""
    seconds: list[float] = []

    def timed(*arguments: Any) -> Any:
        before = time.process_time()
        try:
            return diagnose(*arguments)
        finally:
            seconds.append(time.process_time() - before)

    with mock.patch("afi_verify.checks.diagnose", timed):
        yield seconds


class _Enough:
    """Whether there are as many cases as a diagnosis needs, and a wrong one among them."""

    def __init__(self) -> None:
        self.seen, self.worst = 0, Kind.RIGHT

    def __call__(self, finding: Finding) -> bool:
        self.seen += 1
        self.worst = max(self.worst, finding.kind)
        return self.worst > Kind.INACCURATE and self.seen >= CASES_FOR_A_DIAGNOSIS
