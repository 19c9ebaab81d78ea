"""One function, one problem: an answer is right, or wrong, or has only lost digits."""

import dataclasses
import hashlib
from collections.abc import Mapping
from enum import IntEnum

import numpy as np

from afi_properties.claim import Claim
from afi_properties.judgement import LIMIT, Truth, errors_of, find_truth, margins_of
from afi_properties.precision import PRECISIONS
from afi_properties.problem import Array, Problem
from afi_properties.vacuity import CaseMargin, case_margin
from afi_verify.errors import BrokenAnswerError
from afi_verify.handing import Handed, Subject, call, round_problem
from afi_verify.roughness import is_smooth


class Kind(IntEnum):
    """How a finding weighs; a check's verdict is that of its weightiest finding."""

    RIGHT = 0
    INACCURATE = 1
    UNDECIDED = 2  # of limits only: the steps that were allowed do not tell
    ERROR = 3
    WRONG = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Finding:
    """What one problem showed.

    Errors and margins are per point; they are ``nan`` where the precision cannot represent the point's truth.
    """

    handed: Handed
    kind: Kind
    message: str  # empty when right
    truth: Truth
    answer: Array | None
    errors: Array  # (B,) in multiples of the attainable
    margins: Mapping[str, Array]  # by wrong formula, (B,)

    @property
    def problem(self) -> Problem:
        """The problem, before rounding."""
        return self.handed.problem

    @property
    def worst(self) -> float:
        """Largest error of a representable point; 0 when there is none."""
        return float(np.nanmax(self.errors)) if not np.isnan(self.errors).all() else 0.0

    @property
    def margin(self) -> CaseMargin:
        """What the problem could have told."""
        return case_margin(self.problem.dimension, self.margins)

    @property
    def worst_point(self) -> int:
        """Index of the point with the largest error."""
        return int(np.nanargmax(self.errors)) if not np.isnan(self.errors).all() else 0


def examine(subject: Subject, problem: Problem) -> Finding:
    """Call the function under test on ``problem`` and compare its answer with the truth."""
    handed = round_problem(subject, problem)
    truth, margins = _known(subject, handed)
    unknown = np.full(problem.batch, np.nan)
    if not truth.representable.any():
        return Finding(handed, Kind.RIGHT, "", truth, None, unknown, margins)
    try:
        complaints: list[str] = []
        answer = call(subject, handed, subject.dtype, complaints)
    except BrokenAnswerError as error:
        return Finding(handed, Kind.ERROR, str(error), truth, None, unknown, margins)
    errors = np.where(truth.representable, errors_of(answer, truth), np.nan)
    bad = errors > LIMIT
    if not bad.any() and complaints:
        return Finding(handed, Kind.ERROR, complaints[0], truth, answer, errors, margins)
    if not bad.any():
        return Finding(handed, Kind.RIGHT, "", truth, answer, errors, margins)
    if not np.isfinite(answer[bad]).all():
        message = "It returned a NaN or an infinity where the truth is finite."
        return Finding(handed, Kind.WRONG, message, truth, answer, errors, margins)
    worst = float(np.nanmax(errors))
    right = _where_right(subject, handed, answer, truth, bad)
    if right is not None and subject.dtype == "float64" and is_smooth(subject, handed, answer - truth.answer, bad):
        message = (
            f"It is off by {worst:.3g} times what float64 can attain: little, but by as much at all numbers near by, "
            "as rounding is not."
        )
        return Finding(handed, Kind.WRONG, message, truth, answer, errors, margins)
    if right is not None:
        message = f"It is off by {worst:.3g} times what {subject.dtype} can attain, but {right}."
        return Finding(handed, Kind.INACCURATE, message, truth, answer, errors, margins)
    message = f"It is off by {worst:.3g} times what {subject.dtype} can attain."
    return Finding(handed, Kind.WRONG, message, truth, answer, errors, margins)


Known = tuple[Truth, Mapping[str, Array]]

_MOST_KNOWN = 256
_known_truths: dict[bytes, Known] = {}


def _known(subject: Subject, handed: Handed) -> Known:
    """Return the truth and the margins of a problem, computed once for all adapters that are handed the same numbers.

    What was examined before must not change a result, so everything that truth and margins are computed from tells
    one problem from another: two libraries may round to half precision differently, and sum strided arrays otherwise.
    """
    claim, problem = subject.claim, handed.problem
    key = _digest(claim, handed, subject.dtype)
    if key in _known_truths:
        return _known_truths[key]
    truth = find_truth(claim, handed.values, problem, handed.skew, PRECISIONS[subject.dtype])
    known = truth, margins_of(claim, handed.values, handed.skew, truth)
    while len(_known_truths) >= _MOST_KNOWN:
        del _known_truths[next(iter(_known_truths))]
    _known_truths[key] = known
    return known


def _digest(claim: Claim, handed: Handed, dtype: str) -> bytes:
    skew = () if handed.skew is None else dataclasses.astuple(handed.skew)
    arrays = [*sorted(handed.values.items()), *enumerate(skew)]
    heads = [(name, array.shape, array.dtype.str) for name, array in arrays]
    digest = hashlib.blake2b(repr((claim.role, claim.label, claim.family, dtype, handed.problem.seed, heads)).encode())
    for _, array in arrays:
        digest.update(array.tobytes())
    return digest.digest()


def _where_right(subject: Subject, handed: Handed, answer: Array, truth: Truth, bad: Array) -> str | None:
    """Tell lost digits from a wrong formula: say in which precision the answer would be right, if in any.

    The same numbers are handed over again in float64. Float64 code has nothing wider, and code that converts to
    float32 on the way does not use it: there an answer has lost digits if it would do for float32. Rounding errors are
    proportional to the unit roundoff; a wrong formula is wrong by as much in any precision, and somewhere by much. One
    that is nowhere wrong by much, as by a small number added to a divisor, is told by how smooth its deviation is.
    """
    if subject.dtype != "float64":
        try:
            again = call(subject, handed, "float64")
        except BrokenAnswerError:
            return None
        return "right in float64" if (errors_of(again, truth)[bad] <= LIMIT).all() else None
    coarse = find_truth(subject.claim, handed.values, handed.problem, handed.skew, PRECISIONS["float32"])
    return "as good as float32 code" if (errors_of(answer, coarse)[bad] <= LIMIT).all() else None
