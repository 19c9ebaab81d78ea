"""How the report says things: numbers, sums, and what each verdict means."""

import dataclasses
import math

from afi_verify.results import Verdict


@dataclasses.dataclass(frozen=True)
class VerdictWords:
    """What a verdict means, and what to do about it."""

    meaning: str
    advice: str


VERDICTS: dict[Verdict, VerdictWords] = {
    Verdict.PASS: VerdictWords(
        "Every case that could tell right from wrong agrees with the oracle, within the limit.",
        "Nothing to do.",
    ),
    Verdict.FAIL: VerdictWords(
        "The answers differ from the truth by more than rounding can explain: a wrong formula.",
        "Replay the simplest counterexample and compare the code with the statement.",
    ),
    Verdict.INACCURATE: VerdictWords(
        "The formula is right, but the code loses digits that its dtype could have kept.",
        "Look at the plot for the noise levels where it happens, and reorder the arithmetic there.",
    ),
    Verdict.UNDECIDED: VerdictWords(
        "The evidence suffices neither to accept nor to reject.",
        "Run again with a larger profile.",
    ),
    Verdict.ERROR: VerdictWords(
        "There was no answer to compare: it raised, crashed, hung, or returned the wrong shape or dtype.",
        "Replay the counterexample; the message says what was raised or returned.",
    ),
    Verdict.VACUOUS: VerdictWords(
        "The checks ran, but no case could tell right from wrong. This is no evidence of correctness.",
        "Use a wider dtype, or a profile with other cases.",
    ),
    Verdict.NOT_PROVIDED: VerdictWords(
        "The adapter names no function for this role, so nothing ran.",
        "Provide the role in the adapter if the code has it.",
    ),
}

TERMS: dict[str, str] = {
    "attainable error": "What no straightforward implementation in that dtype can avoid: the spread of the "
    "oracle's own answer when its inputs and distances are rounded at random to the dtype, plus one rounding "
    "of the answer. All errors here are multiples of it; 1× is as good as it gets.",
    "limit": "The largest multiple of the attainable error that still passes.",
    "margin": "How far the truth is from the nearest wrong formula, in multiples of the limit. A case whose "
    "margin is below 1 accepts the wrong formula too, so it is no evidence.",
    "evidence": "The points whose margin is above 1.",
    "plots": "One dot per bin of log-SNR, at its worst error: filled where some point of the bin could tell "
    "right from wrong, hollow where none could, a triangle at the top where the answer was not finite. The "
    "line is the median. All plots of a page share the axis of log-SNR.",
    "known failure": "A failure that the adapter declares, with a reason, a ceiling for its error and a date. Its "
    "verdict stands, but does not count for the exit status.",
    "log-SNR": "log(α²/σ²): large where there is little noise, negative where noise dominates.",
}

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None) -> str:
    """Write a number with at most three digits, for reading rather than for computing.

    Parameters
    ----------
    value : float or None
        Any float; None is written as a dash.

    Returns
    -------
    str
        For example ``3.21``, ``1.2·10⁵``, ``∞`` or ``NaN``.
    """
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        if abs(value) >= 1000:
            return f"{value:,.0f}".replace(",", "\u202f").replace("-", "−")
        return f"{value:.3g}".replace("-", "−")
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}·10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace("-", "−")


def times(value: float | None) -> str:
    """Write a multiple of the attainable error, for example ``3.2×``."""
    return number(value) if value is None or not math.isfinite(value) else f"{number(value)}×"


def plural(count: int, noun: str) -> str:
    """Write a count with its noun, for example ``1 check`` or ``2 checks``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def count(value: int) -> str:
    """Write a number of things, its thousands apart: ``12\u202f345``."""
    return f"{value:,}".replace(",", "\u202f")
