"""What a run found: plain data, the same in memory, in ``results.json`` and in the report.

Everything here is JSON: strings, numbers, lists, ``None``. A number that JSON cannot hold (NaN, an infinity)
is written as the string ``"nan"``, ``"inf"`` or ``"-inf"``; exact floats are written in hexadecimal.
"""

import dataclasses
import json
import math
import os
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from afi_properties.vacuity import MarginSummary

SCHEMA = "afi-verify/results/1"
"""Version of the format; the number grows when a reader of the older one would misunderstand it."""


class Verdict(StrEnum):
    """The outcome of one check. Only ``PASS`` is green."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INACCURATE = "inaccurate"
    UNDECIDED = "undecided"
    ERROR = "error"
    VACUOUS = "vacuous"
    NOT_PROVIDED = "not provided"


@dataclasses.dataclass(frozen=True)
class Point:
    """One item of one case, as a dot in the plots."""

    log_snr: float
    error: float  # in multiples of what the dtype could attain
    margin: float  # distance to the nearest wrong formula, in multiples of the limit
    dimension: int
    atoms: int


@dataclasses.dataclass(frozen=True)
class Counterexample:
    """A case on which the implementation and the oracle disagree, or on which it broke."""

    case: str  # one line: geometry, sizes, noise level
    batch: int
    atoms: int
    dimension: int
    log_snr: float
    error: float | None  # in multiples of the attainable; None where there was no answer to compare
    message: str  # one sentence: what was returned, what was expected
    script: str  # a stand-alone Python script that replays it; empty where it would not fit
    id: str = ""  # for `afi-verify replay`, in the version that wrote it; empty where there is none


@dataclasses.dataclass(frozen=True)
class FormulaMargin:
    """How well the cases of a check tell one wrong formula from the truth."""

    formula: str
    best: float  # largest margin over all items
    telling: int  # items with a margin above 1
    items: int


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """One check of one adapter."""

    id: str  # adapter/dtype/role/claim/scenario
    role: str
    claim: str  # label, for example "prop-5"
    scenario: str  # "dirac", "gaussian-mixture" or "digits"
    statement: str  # what must hold, one line of text
    printed: str | None  # what the paper prints, where that is wrong
    verdict: Verdict
    message: str  # one paragraph; for a pass empty, or what a test concluded
    cases: int  # batched cases that ran
    items: int  # points in them
    evidence: int  # points that could have told right from wrong
    limit: float  # largest error that passes, in multiples of the attainable
    worst_error: float | None
    median_error: float | None
    margins: tuple[FormulaMargin, ...] = ()
    margins_by_dimension: tuple[MarginSummary, ...] = ()
    points: tuple[Point, ...] = ()
    simplest: Counterexample | None = None
    worst: Counterexample | None = None
    known_failure: str | None = None  # the declared reason, where that is why the verdict does not count
    diagnosis: str = ""  # what explains all wrong answers, as the end of "The answer …"; empty where nothing does
    fault: str = ""  # the family of faults that the diagnosis is of


@dataclasses.dataclass(frozen=True)
class AdapterResult:
    """All checks of one adapter."""

    name: str
    backend: str
    dtype: str
    device: str
    source: str  # the file it came from, as the user named it
    checks: tuple[CheckResult, ...]


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something unusable: a file without an adapter, an unknown role, an import that failed."""

    source: str
    message: str


@dataclasses.dataclass(frozen=True)
class Results:
    """Everything that one run found."""

    version: str
    profile: str
    seed: int
    strict: bool
    adapters: tuple[AdapterResult, ...]
    problems: tuple[Problem, ...] = ()
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)  # by check id, and "total"
    output: dict[str, str] = dataclasses.field(default_factory=dict)  # printed, by id of a check that did not pass
    schema: str = SCHEMA

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        """The checks of all adapters."""
        return tuple(check for adapter in self.adapters for check in adapter.checks)

    @property
    def exit_status(self) -> int:
        """0: nothing failed; 1: something failed; 2: an adapter or the arguments are unusable."""
        if self.problems:
            return 2
        bad = {Verdict.FAIL, Verdict.ERROR, Verdict.UNDECIDED}
        if self.strict:
            bad |= {Verdict.INACCURATE, Verdict.VACUOUS}
        return int(any(check.verdict in bad and check.known_failure is None for check in self.checks))


def count_verdicts(checks: Iterable[CheckResult]) -> dict[str, int]:
    """Count the checks by verdict; ``"planned"`` is their sum, so that what did not run is never lost."""
    counts = {verdict.value: 0 for verdict in Verdict}
    for check in checks:
        counts[check.verdict.value] += 1
    return {"planned": sum(counts.values()), **counts}


def to_json(results: Results) -> str:
    """Return ``results`` as JSON text, with the sums that a reader wants to see first."""
    document = dataclasses.asdict(results)
    document["exit_status"] = results.exit_status
    document["sum"] = count_verdicts(results.checks)
    document["known_failures"] = sum(check.known_failure is not None for check in results.checks)
    for adapter, entry in zip(results.adapters, document["adapters"], strict=True):
        entry["sum"] = count_verdicts(adapter.checks)
        for check in entry["checks"]:
            check["points"] = [list(point.values()) for point in check["points"]]  # thousands: their names are half
    text = json.dumps(_jsonable(document), indent=1, separators=(",", ":"), allow_nan=False)
    # A check stands on one line: most of the file would be indentation. A line feed in JSON is never inside a string.
    return re.sub(r"\n {5,}", "", text) + "\n"


def write_results(results: Results, path: Path) -> None:
    """Write ``results`` to ``path`` as JSON, whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written; what was at ``path`` is then unchanged.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(to_json(results), encoding="utf-8")
        with partial.open("r+b") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        # Four digits are all that a plot or a sentence shows; exact numbers are in the scripts.
        return float(f"{value:.4g}") if math.isfinite(value) else str(value)
    return value
