"""What became of each check since an earlier run, and how the run stands against a ratchet: as the page shows it."""

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path

from afi_verify.comparison import compare, load_results
from afi_verify.ratchet import load_ratchet
from afi_verify.report.places import anchor_of, title_of
from afi_verify.report.wording import plural
from afi_verify.results import CheckResult, Results

MOST_CHANGES = 500
"""Rows on the page; the others are counted."""

MOST_VIOLATIONS = 100

KINDS = ("worse", "disappeared", "better", "appeared")
"""What became of a check, in the order of the page."""


@dataclasses.dataclass(frozen=True)
class Step:
    """A check that changed; ``old`` or ``new`` is None where it did not run."""

    kind: str
    anchor: str  # of its entry in this page; empty where it has none
    adapter: str
    check: CheckResult  # the new one, or the old one where there is no new one
    old: CheckResult | None
    new: CheckResult | None

    @property
    def factor(self) -> float | None:
        """The new worst error over the old one; None where one of them is missing or not finite."""
        one, other = (None if check is None else check.worst_error for check in (self.old, self.new))
        if one is None or other is None or not (math.isfinite(one) and math.isfinite(other) and one > 0):
            return None
        return other / one


@dataclasses.dataclass(frozen=True)
class History:
    """A run beside an earlier one."""

    name: str  # of the earlier one, as the user gave it
    counts: dict[str, int]  # by kind
    unchanged: int
    notes: tuple[str, ...]
    steps: tuple[Step, ...]
    left_out: int
    before: dict[str, CheckResult]  # by id

    @property
    def sentence(self) -> str:
        """What changed, in one sentence."""
        words = {
            "worse": ("got worse", "got worse"),
            "disappeared": ("no longer runs", "no longer run"),
            "better": ("got better", "got better"),
            "appeared": ("is new", "are new"),
        }
        parts = [f"{n} {words[kind][n != 1]}" for kind, n in self.counts.items() if n]
        same = plural(self.unchanged, "check")
        return f"{', '.join(parts)}; {same} as before." if parts else f"Nothing changed: {same} as before."

    @property
    def tone(self) -> str:
        """The tone of the sentence: of a regression, of an improvement, or none."""
        if self.counts["worse"] or self.counts["disappeared"]:
            return "worse"
        return "better" if self.counts["better"] else ""


@dataclasses.dataclass(frozen=True)
class RatchetView:
    """A run beside the recorded accuracy of its checks."""

    name: str
    held: int  # checks of this run that are in the record
    violations: tuple[str, ...]
    left_out: int


def look_back(new: Results, old: Results, name: str) -> History:
    """Compare a run with an earlier one, what got worse first."""
    comparison = compare(old, new)
    before = {check.id: check for check in old.checks}
    places = {
        check.id: (anchor_of(a, c), title_of(adapter))
        for a, adapter in enumerate(new.adapters)
        for c, check in enumerate(adapter.checks)
    }
    titles = {check.id: title_of(adapter) for adapter in old.adapters for check in adapter.checks}
    after = {check.id: check for check in new.checks}
    changes = [change for kind in KINDS for change in comparison.changes if change.kind == kind]
    steps = []
    for change in changes[:MOST_CHANGES]:
        one = None if change.kind == "appeared" else before[change.check]
        other = None if change.kind == "disappeared" else after[change.check]
        anchor, title = places.get(change.check, ("", titles.get(change.check, "")))
        check = other or before[change.check]
        steps.append(Step(change.kind, anchor if other else "", title, check, one, other))
    return History(
        name=name,
        counts={kind: sum(change.kind == kind for change in changes) for kind in KINDS},
        unchanged=comparison.unchanged,
        notes=comparison.notes,
        steps=tuple(steps),
        left_out=len(changes) - len(steps),
        before=before,
    )


def read_history(new: Results, path: Path) -> History:
    """Compare a run with the one in a ``results.json``.

    Raises
    ------
    UnusableError
        If the file cannot be read, or holds no results of this version.
    """
    return look_back(new, load_results(path), str(path))


def read_ratchet(new: Results, path: Path) -> RatchetView:
    """Hold a run against the ratchet in a file.

    Raises
    ------
    UnusableError
        If the file cannot be read, is no ratchet, or was recorded with another profile or seed.
    """
    ratchet = load_ratchet(path)
    found = ratchet.violations(new)
    return RatchetView(
        name=str(path),
        held=_count(check.id in ratchet.errors for check in new.checks),
        violations=tuple(found[:MOST_VIOLATIONS]),
        left_out=max(0, len(found) - MOST_VIOLATIONS),
    )


def _count(truths: Iterable[bool]) -> int:
    return sum(truths)
