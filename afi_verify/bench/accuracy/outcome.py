"""A problem of the table, by names, and what came of it."""

import dataclasses

from afi_verify.bench.accuracy.densities import EstimateCheck
from afi_verify.bench.accuracy.measure import Measurement


@dataclasses.dataclass(frozen=True)
class Task:
    """One problem, by names: it travels to another process."""

    family: str
    size: str
    log_snr: float
    variant: str
    seed: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a problem: numbers, or why there are none."""

    task: Task
    measurements: tuple[Measurement, ...] = ()
    estimates: tuple[EstimateCheck, ...] = ()
    undecided: str = ""
    error: str = ""
