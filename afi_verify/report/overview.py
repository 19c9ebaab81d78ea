"""The first screen: is it right, how accurate is it, what to do next."""

import dataclasses
import math
from collections.abc import Sequence

from afi_verify.report.wording import plural, times
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
    detail: str


def headline(results: Results) -> Headline:
    """Answer "is it right?" in a sentence that never calls green what did not run."""
    counts = count_verdicts(results.checks)
    ran = counts["planned"] - counts[Verdict.NOT_PROVIDED]
    unusable = f"{plural(len(results.problems), 'input')} could not be used"
    if counts[Verdict.FAIL]:
        failed = f"{counts['fail']} of {plural(ran, 'check')} failed"
        broke = f"{counts['error']} gave no usable answer"
        parts = [failed, *[broke] * bool(counts[Verdict.ERROR]), *[unusable] * bool(results.problems)]
        return Headline(Verdict.FAIL, f"Not right: {', '.join(parts)}.", _detail(results, counts))
    if results.problems:
        return Headline(Verdict.ERROR, f"Not verified: {unusable}.", _detail(results, counts))
    if ran == 0:
        return Headline(Verdict.VACUOUS, "Nothing was verified: no check ran.", _detail(results, counts))
    if counts[Verdict.ERROR]:
        broke = f"{counts['error']} of {plural(ran, 'check')} gave no usable answer"
        return Headline(Verdict.ERROR, f"Not verified: {broke}.", _detail(results, counts))
    if counts[Verdict.UNDECIDED]:
        open_ = f"{counts['undecided']} of {plural(ran, 'check')} could not be decided"
        return Headline(Verdict.UNDECIDED, f"Not settled: {open_}.", _detail(results, counts))
    if counts[Verdict.INACCURATE]:
        loses = f"{counts['inaccurate']} of {plural(ran, 'check')} lose digits they could have kept"
        return Headline(Verdict.INACCURATE, f"Right formulas, inaccurate code: {loses}.", _detail(results, counts))
    if counts[Verdict.VACUOUS]:
        blind = f"{counts['vacuous']} of {plural(ran, 'check')} could not have told"
        return Headline(Verdict.VACUOUS, f"Nothing wrong found, but {blind}.", _detail(results, counts))
    passed = "the one check that ran passes" if ran == 1 else f"all {ran} checks that ran pass"
    return Headline(Verdict.PASS, f"Right: {passed}.", _detail(results, counts))


def _detail(results: Results, counts: dict[str, int]) -> str:
    sentences = []
    if known := sum(check.known_failure is not None for check in results.checks):
        sentences.append(f"{plural(known, 'check')} of those that do not pass {'is' if known == 1 else 'are'} known.")
    if missing := counts[Verdict.NOT_PROVIDED]:
        verb = "was" if missing == 1 else "were"
        sentences.append(
            f"{plural(missing, 'planned check')} {verb} not run because the adapter does not provide the role."
        )
    return " ".join(sentences)


def accuracy(results: Results) -> str:
    """Answer "how accurate?": the largest error, relative to its limit, among what is right."""
    right = [check for check in results.checks if check.verdict is Verdict.PASS and check.worst_error is not None]
    lossy = [check for check in results.checks if check.verdict is Verdict.INACCURATE]
    sentences = []
    if right:
        worst = max(right, key=_strain)
        sentences.append(
            f"The passing check closest to its limit errs by {times(worst.worst_error)} what is attainable "
            f"(limit {times(worst.limit)})."
        )
    if lossy:
        sentences.append(f"Inaccurate code is up to {times(max(lossy, key=_strain).worst_error)} off.")
    return " ".join(sentences) or "No check passes, so there is no accuracy to speak of."


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
