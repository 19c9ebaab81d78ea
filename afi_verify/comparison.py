"""Two runs beside each other: what got better, what got worse, what appeared and what disappeared."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from afi_verify.errors import UnusableError
from afi_verify.report.streaming import read_results_file
from afi_verify.results import CheckResult, Results, Verdict

FACTOR = 2.0
"""By how much the worst error must change to count as a change."""

_LEAST = 1.0
"""Errors below the attainable one are all alike."""

_SEVERITY = {
    Verdict.PASS: 0,
    Verdict.VACUOUS: 1,
    Verdict.INACCURATE: 2,
    Verdict.UNDECIDED: 3,
    Verdict.FAIL: 4,
    Verdict.ERROR: 4,
}


@dataclasses.dataclass(frozen=True)
class Change:
    """What became of one check."""

    check: str
    kind: str  # "better", "worse", "appeared" or "disappeared"
    old: str  # its verdict and worst error; empty where it did not run
    new: str


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All changes, and what makes the runs hard to compare."""

    changes: tuple[Change, ...]
    unchanged: int
    notes: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """What got worse, and what disappeared: a check that no longer runs finds nothing."""
        return tuple(change for change in self.changes if change.kind in ("worse", "disappeared"))


def compare(old: Results, new: Results, factor: float = FACTOR) -> Comparison:
    """Compare two runs, check by check.

    A check that is not provided did not run. Between equal verdicts, worst errors count that differ by more than
    ``factor``, as far as they exceed the attainable error.
    """
    before, after = _ran(old), _ran(new)
    changes = []
    for check in dict.fromkeys([*before, *after]):
        one, other = before.get(check), after.get(check)
        kind = _kind(one, other, factor)
        if kind:
            changes.append(Change(check, kind, _words(one), _words(other)))
    names = ("profile", "seed", "version")
    notes = [
        f"The runs differ in their {name}: {getattr(old, name)} and {getattr(new, name)}."
        for name in names
        if getattr(old, name) != getattr(new, name)
    ]
    return Comparison(tuple(changes), len(before.keys() | after.keys()) - len(changes), tuple(notes))


def load_results(path: Path) -> Results:
    """Return the results in a ``results.json``.

    Raises
    ------
    UnusableError
        If it cannot be read, or is none of this version.
    """
    try:
        return read_results_file(path)
    except OSError as error:
        raise UnusableError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, KeyError) as error:
        raise UnusableError(f"{path} holds no results that this version can read: {error}.") from None


def _ran(results: Results) -> dict[str, CheckResult]:
    return {check.id: check for check in results.checks if check.verdict is not Verdict.NOT_PROVIDED}


def _kind(old: CheckResult | None, new: CheckResult | None, factor: float) -> str:
    if old is None:
        return "appeared"
    if new is None:
        return "disappeared"
    if old.verdict != new.verdict:
        difference = _SEVERITY[new.verdict] - _SEVERITY[old.verdict]
        return "worse" if difference > 0 else "better" if difference < 0 else ""
    if old.worst_error is None or new.worst_error is None:
        return ""
    one, other = max(old.worst_error, _LEAST), max(new.worst_error, _LEAST)
    return "worse" if other > factor * one else "better" if one > factor * other else ""


def _words(check: CheckResult | None) -> str:
    if check is None:
        return ""
    known = ", known failure" if check.known_failure is not None else ""
    error = "" if check.worst_error is None else f", worst error {check.worst_error:.3g}"
    return f"{check.verdict.value}{error}{known}"


def lines_of(comparison: Comparison) -> Iterator[str]:
    """Yield a comparison as lines of text, what got worse first."""
    for kind in ("worse", "disappeared", "better", "appeared"):
        for change in comparison.changes:
            if change.kind == kind:
                yield f"{kind:<12}{change.check}: {change.old or 'did not run'} → {change.new or 'does not run'}"
    counts = [f"{sum(change.kind == kind for change in comparison.changes)} {kind}" for kind in _KINDS]
    yield f"{', '.join(counts)}, {comparison.unchanged} as before"


_KINDS = ("better", "worse", "appeared", "disappeared")
