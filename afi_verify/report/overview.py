"""The first screen: is it right, how accurate is it, what to do next."""

import dataclasses
import math
from collections.abc import Sequence

from afi_verify.report.wording import count, plural, times
from afi_verify.results import CheckResult, Results, Verdict, count_verdicts

URGENCY = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.UNDECIDED,
    Verdict.INACCURATE,
    Verdict.VACUOUS,
    Verdict.NOT_PROVIDED,
)
"""What to look at first."""

MOST_STEPS = 5

_ORDER = {verdict: place for place, verdict in enumerate((*URGENCY[:-1], Verdict.PASS, Verdict.NOT_PROVIDED))}


def rank(check: CheckResult) -> tuple[int, bool, float]:
    """Return a key by which the checks worth showing come first: by verdict, then the largest error for its limit."""
    return _ORDER[check.verdict], check.known_failure is not None, -_strain(check)


@dataclasses.dataclass(frozen=True)
class Headline:
    """The overall answer in one sentence, and the verdict whose colour it wears."""

    tone: Verdict
    answer: str


def headline(results: Results) -> Headline:
    """Answer "is it right?" in a sentence that never calls green what did not run."""
    counts = count_verdicts(results.checks)
    ran = counts["planned"] - counts[Verdict.NOT_PROVIDED]
    unusable = f"{plural(len(results.problems), 'input')} could not be used"
    if counts[Verdict.FAIL]:
        failed = f"{counts['fail']} of {plural(ran, 'check')} failed"
        broke = f"{counts['error']} gave no usable answer"
        parts = [failed, *[broke] * bool(counts[Verdict.ERROR]), *[unusable] * bool(results.problems)]
        return Headline(Verdict.FAIL, f"Not right: {', '.join(parts)}.")
    if results.problems:
        return Headline(Verdict.ERROR, f"Not verified: {unusable}.")
    if ran == 0:
        return Headline(Verdict.VACUOUS, "Nothing was verified: no check ran.")
    if counts[Verdict.ERROR]:
        broke = f"{counts['error']} of {plural(ran, 'check')} gave no usable answer"
        return Headline(Verdict.ERROR, f"Not verified: {broke}.")
    if counts[Verdict.UNDECIDED]:
        open_ = f"{counts['undecided']} of {plural(ran, 'check')} could not be decided"
        return Headline(Verdict.UNDECIDED, f"Not settled: {open_}.")
    if counts[Verdict.INACCURATE]:
        loses = f"{counts['inaccurate']} of {plural(ran, 'check')} lose digits they could have kept"
        return Headline(Verdict.INACCURATE, f"Right formulas, inaccurate code: {loses}.")
    if counts[Verdict.VACUOUS]:
        blind = f"{counts['vacuous']} of {plural(ran, 'check')} could not have told"
        return Headline(Verdict.VACUOUS, f"Nothing wrong found, but {blind}.")
    passed = "the one check that ran passes" if ran == 1 else f"all {ran} checks that ran pass"
    return Headline(Verdict.PASS, f"Right: {passed}.")


@dataclasses.dataclass(frozen=True)
class Card:
    """A question that a reader has, answered in a few words, and what there is to know about the answer."""

    question: str
    answer: str
    detail: str
    tone: str = ""
    anchor: str = ""  # of the check that the answer is about


def cards(results: Results, first: Sequence[tuple[str, CheckResult]]) -> tuple[Card, ...]:
    """Answer what follows the headline: how accurate, on what evidence, what next.

    Parameters
    ----------
    results : Results
        The run.
    first : sequence of (str, CheckResult)
        What to look at first, with its place in the page; empty where there is nothing to mend.

    Returns
    -------
    tuple of Card
        Three of them.
    """
    return _accuracy(results), _evidence(results), _next(results, first)


def _accuracy(results: Results) -> Card:
    question = "How accurate?"
    right = [check for check in results.checks if check.verdict is Verdict.PASS and check.worst_error is not None]
    lossy = [check for check in results.checks if check.verdict is Verdict.INACCURATE]
    loss = f" Inaccurate code is up to {times(max(lossy, key=_strain).worst_error)} off." if lossy else ""
    if not right:
        return Card(question, "Nothing passes", f"so there is no accuracy to speak of.{loss}")
    worst = max(right, key=_strain)
    return Card(
        question,
        f"{times(worst.worst_error)} at worst",
        f"of what passes. 1× is the error that its precision makes unavoidable, {times(worst.limit)} the limit.{loss}",
    )


def _evidence(results: Results) -> Card:
    ran = [check for check in results.checks if check.verdict is not Verdict.NOT_PROVIDED]
    points, telling = sum(check.items for check in ran), sum(check.evidence for check in ran)
    missing = len(results.checks) - len(ran)
    words = f"of {count(points)} could tell right from wrong."
    if missing:
        planned = f"{count(len(results.checks))} planned checks"
        words += f" {count(missing)} of {planned} did not run: no adapter function for them."
    return Card("On what evidence?", f"{count(telling)} points", words)


def _next(results: Results, first: Sequence[tuple[str, CheckResult]]) -> Card:
    question = "What next?"
    known = sum(check.known_failure is not None for check in results.checks)
    if first:
        anchor, check = first[0]
        why = f"the answer {check.diagnosis}." if check.diagnosis else f"{check.verdict.value}."
        return Card(question, f"Look at {check.role}", f"{check.claim}: {why}", anchor=anchor)
    wider = {"quick": "ci", "ci": "deep"}.get(results.profile)
    more = f"For more cases: --profile {wider}." if wider else "There is no larger profile than this."
    if results.problems:
        return Card(question, "Mend what could not be used", "See above.", "error")
    if known:
        left = f"{plural(known, 'check')} of those that do not pass {'is' if known == 1 else 'are'} declared."
        return Card(question, "Only known failures are left", left)
    if all(check.verdict is Verdict.NOT_PROVIDED for check in results.checks):
        return Card(question, "Provide a role", "The adapter names no function that could be checked.")
    return Card(question, "Nothing to mend", more)


def next_steps(checks: Sequence[CheckResult]) -> list[int]:
    """Return the positions of the checks to look at first, at most `MOST_STEPS`.

    One per adapter and role before a second of the same: a broken function often fails several claims, in every
    dtype. Of equal verdicts, those with a diagnosis first: they say what to do. Roles that are not provided are no
    step: only the user knows whether the code should have them. Nor are known failures.
    """
    wanted = URGENCY[:-1]
    order = sorted(
        (i for i, check in enumerate(checks) if check.verdict in wanted and check.known_failure is None),
        key=lambda index: (wanted.index(checks[index].verdict), not checks[index].diagnosis),
    )
    seen: set[tuple[str, ...]] = set()
    first: list[int] = []
    later: list[int] = []
    for index in order:
        key = (checks[index].id.split("/")[0], checks[index].role)
        (later if key in seen else first).append(index)
        seen.add(key)
    return (first + later)[:MOST_STEPS]


def _strain(check: CheckResult) -> float:
    if check.worst_error is None:
        return 0.0
    error = math.inf if math.isnan(check.worst_error) else check.worst_error
    return error / check.limit if check.limit > 0 else math.inf
