"""What an entry of the audit is: a statement of the paper, and a test that judges it as printed and as corrected.

The same test judges both: a statement has a form, the numbers and choices in it that a machine can vary, and the test
takes a form. So a verdict is never stored: it is found, and the catalogue says only which one is expected.
"""

import dataclasses
import enum
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias


class Verdict(enum.StrEnum):
    """What became of a statement."""

    HOLDS = "holds"
    CORRECTED = "holds with correction"
    FALSE = "false"
    MEASURED = "measured"
    NOT_TESTABLE = "not testable here"
    UNSUPPORTED = "unsupported"  # found only: not even the corrected statement, or the measured range, was confirmed


MEANINGS = {
    Verdict.HOLDS: "true as printed",
    Verdict.CORRECTED: "not true, or not well formed, as printed; a slip or an unstated assumption: what follows in the"
    " paper uses the corrected form",
    Verdict.FALSE: "not true as printed, with a counterexample; what is concluded from it falls with it",
    Verdict.MEASURED: "a number, recomputed here, that must lie in the stated range",
    Verdict.NOT_TESTABLE: "needs what is not at hand, as said",
    Verdict.UNSUPPORTED: "neither as printed nor as corrected: the catalogue is wrong",
}


class Method(enum.StrEnum):
    """How a statement was judged."""

    SYMBOLIC = "symbolic derivation"
    CERTIFIED = "ball arithmetic"
    EXACT = "exact arithmetic"
    PROPERTY = "property run"
    NUMERIC = "numerical evaluation"
    CITED = "cited theorem, special cases checked"


@dataclasses.dataclass(frozen=True)
class Statement:
    """A statement in LaTeX, with its words as text in it, and its form: what the test of the entry is handed."""

    latex: str
    form: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a test found out about one form of a statement."""

    holds: bool
    methods: tuple[Method, ...]
    detail: str  # the range in which it was confirmed, or the counterexample
    numbers: Mapping[str, float | int | str] = dataclasses.field(default_factory=dict)
    certified: bool = False  # a failure: that it is proven, by exact or ball arithmetic


Test: TypeAlias = Callable[..., Outcome]
"""``test(cases, **form)``: ``cases`` is how many instances a property run may draw."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One statement of the paper.

    Attributes
    ----------
    label : str
        ``eq-17``, ``prop-7``, ``lemma-2``, ``thm-1``, ``table-1``, ``fig-5``, ``alg-1`` or ``prose-<section>-<words>``.
    title : str
        The statement in a few words.
    printed : Statement
        As the paper has it.
    expected : Verdict
        What the test is expected to find.
    test : callable or None
        The test; None for what is not testable here.
    corrected : Statement or None
        What is true instead, where the print is not.
    slip : bool
        Whether what follows in the paper uses the corrected form, so that nothing falls with the printed one.
    note : str
        What is wrong, what is assumed silently, what is sharper; for the reader.
    reason : str
        Why it is not testable here.
    """

    label: str
    title: str
    printed: Statement
    expected: Verdict
    test: Test | None = None
    corrected: Statement | None = None
    slip: bool = False
    note: str = ""
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What the audit found out about an entry."""

    entry: Entry
    verdict: Verdict
    printed: Outcome | None
    corrected: Outcome | None
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the catalogued one."""
        return self.verdict == self.entry.expected


def judge(entry: Entry, cases: int) -> Finding:
    """Find the verdict of an entry from its statements and its test.

    ``expected`` plays no part, except that it tells a measurement from a statement.

    Parameters
    ----------
    entry : Entry
        The statement.
    cases : int
        How many instances a property run may draw.

    Returns
    -------
    Finding
        The verdict and what it rests on.
    """
    start = time.monotonic()
    if entry.test is None:
        verdict = Verdict.NOT_TESTABLE if entry.reason else Verdict.UNSUPPORTED
        return Finding(entry, verdict, None, None, 0.0)
    printed = entry.test(cases, **entry.printed.form)
    corrected = None
    if not printed.holds and entry.corrected is not None:
        corrected = entry.test(cases, **entry.corrected.form)
    if printed.holds:
        verdict = Verdict.MEASURED if entry.expected == Verdict.MEASURED else Verdict.HOLDS
    elif corrected is None or not corrected.holds:
        verdict = Verdict.UNSUPPORTED
    elif entry.slip:
        verdict = Verdict.CORRECTED
    else:
        verdict = Verdict.FALSE if printed.certified else Verdict.UNSUPPORTED
    return Finding(entry, verdict, printed, corrected, time.monotonic() - start)
