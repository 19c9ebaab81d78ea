"""Whether a few hundred random answers show that an estimator is wrong; replay scripts contain this file's source.

A cruder test than that of the check, for faults that are gross: six standard errors, which a right estimator exceeds
once in a hundred million runs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

CALLS = 400

STANDARD_ERRORS = 6.0

SAME = 16
"""That many equal answers for different seeds are no coincidence."""


def judge_estimates(ask: Callable[[int], Any], expected: Any, allowance: Any, variance: Any) -> str:
    """Return what is wrong with ``ask(seed)``, (B,); empty if nothing shows.

    Parameters
    ----------
    expected
        The mean that the answers should have, (B,).
    allowance
        What rounding may change of it, (B,).
    variance
        The largest variance that is accepted, (B,).
    """
    first, again = ask(0), ask(0)
    if not np.isfinite(first).all():
        return "a NaN or an infinity where the truth is finite"
    if not (abs(first - again) <= allowance).all():
        return "different answers for the same seed"
    rows = [first]
    for seed in range(1, CALLS):
        rows.append(ask(seed))
        if len(rows) == SAME and (np.array(rows) == rows[0]).all():
            return (
                "" if (abs(first - expected) <= allowance).all() else f"one answer for {SAME} seeds, and not the trace"
            )
    answers = np.array(rows)
    if not np.isfinite(answers).all():
        return "a NaN or an infinity where the truth is finite"
    away = abs(answers.mean(axis=0) - expected)
    standard_error = np.sqrt(answers.var(axis=0, ddof=1) / CALLS)
    if (away > allowance + STANDARD_ERRORS * standard_error).any():
        return f"a mean of {answers.mean(axis=0)} over {CALLS} seeds"
    # The variance of a sample variance is at most that of squares of normals, but for heavier tails: twice is enough.
    if (answers.var(axis=0, ddof=1) > 2 * variance).any():
        return f"a variance of {answers.var(axis=0, ddof=1)} over {CALLS} seeds"
    return ""
